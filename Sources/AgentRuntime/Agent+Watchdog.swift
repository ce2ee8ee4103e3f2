// SPDX-License-Identifier: GPL-3.0-or-later

import EventLog
import Glibc
import Logging
import Synchronization

extension Agent {
    /// A worker's loop turns four times a second even without packets. One that stands still may hold its engine's lock, on
    /// which the main thread, the control socket and the other workers then wait for ever: so the watchdog is a thread of
    /// its own, takes no lock, and ends the process at once. The kernel then closes the queues, and the rules in place
    /// decide, rather than a queue that nobody reads. The service manager hears of every look at which all had turned.
    func startWatchdog() {
        _ = Thread.start(name: "watchdog") { self.watch() }
    }

    /// Looks at which a worker may stand still, ten seconds of them. They are counted, not timed: while the whole process is
    /// stopped nobody looks.
    private var patience: Int { max(1, 10_000_000 / Int(watchInterval)) }

    /// Microseconds between two looks: a second, or less where the service manager wants to hear more often; an idle worker
    /// turns every quarter second.
    private var watchInterval: UInt32 {
        UInt32(max(300_000, min(1_000_000, (manager?.watchdogMicroseconds ?? 2_000_000) / 2)))
    }

    private func watch() {
        let (interval, patience) = (watchInterval, patience)
        var turns = [UInt64](repeating: 0, count: workers.count)
        var standstills = [Int](repeating: 0, count: workers.count)
        while !haveWorkersEnded.load(ordering: .relaxed) {
            usleep(interval)
            for (place, worker) in workers.enumerated() {
                let now = worker.turns.load(ordering: .relaxed)
                standstills[place] = now == turns[place] ? standstills[place] + 1 : 0
                turns[place] = now
                if standstills[place] >= patience { endBecause(of: worker) }
            }
            if manager?.watchdogMicroseconds != nil, standstills.allSatisfy({ $0 == 0 }) {
                manager?.tell(["WATCHDOG=1"])
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
