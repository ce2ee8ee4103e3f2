// SPDX-License-Identifier: GPL-3.0-or-later

import EventLog
import Glibc
import Logging
import Synchronization

extension Agent {
    /// A worker's loop turns four times a second even without packets. One that stands still may hold its engine's lock, on
    /// which the main thread, the control socket and the other workers then wait for ever: so the watchdog is a thread of
    /// its own, takes no lock, and ends the process at once. The kernel then closes the queues, and the rules in place
    /// decide, rather than a queue that nobody reads.
    func startWatchdog() {
        _ = Thread.start(name: "watchdog") { self.watch() }
    }

    /// Looks, one a second, at which a worker may stand still. They are counted, not timed: while the whole process is
    /// stopped nobody looks.
    private static let patience = 10

    private func watch() {
        var turns = [UInt64](repeating: 0, count: workers.count)
        var standstills = [Int](repeating: 0, count: workers.count)
        while !haveWorkersEnded.load(ordering: .relaxed) {
            sleep(1)
            for (place, worker) in workers.enumerated() {
                let now = worker.turns.load(ordering: .relaxed)
                standstills[place] = now == turns[place] ? standstills[place] + 1 : 0
                turns[place] = now
                if standstills[place] >= Agent.patience { endBecause(of: worker) }
            }
        }
    }

    private func endBecause(of worker: Worker) {
        if haveWorkersEnded.load(ordering: .relaxed) { return }
        logger.critical("the worker of queue \(worker.number) hangs; ending, since its packets find no reader")
        // The writer's thread, if it can, writes what waits.
        log.stop()
        usleep(500_000)
        _exit(EXIT_FAILURE)
    }
}
