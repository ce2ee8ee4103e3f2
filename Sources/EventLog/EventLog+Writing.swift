// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc
import Locking
import Synchronization

/// Starts a thread of this name with this body; false where there can be none.
package typealias LogThread = (_ name: String, _ body: @escaping @Sendable () -> Void) -> Bool

extension EventLog {
    /// Between two visits while events flow.
    private static let nap: Int32 = 50
    /// Looks at outputs that have not ended, and between two of them.
    private static let mostLooks = 1200
    private static let lookEvery: useconds_t = 10_000

    /// The writer thread's body; returns after `stop`, with everything written or counted as lost.
    ///
    /// - Parameters:
    ///   - clock: the time.
    ///   - thread: starts the threads of outputs.
    package func run(_ clock: @escaping @Sendable () -> LogClock, thread: LogThread) {
        while !isStopping.load(ordering: .acquiring) {
            startOutputs(clock, thread)
            if step(clock()) { sleepDeeply() } else { sleepLightly() }
        }
        finish(clock())
    }

    /// One visit: takes what the queues hold, folds it, and hands out what is ready.
    ///
    /// - Returns: whether nothing is left to do until new events come.
    @discardableResult
    package func step(_ clock: LogClock) -> Bool {
        writer.withLock { writing in
            collect(&writing, clock)
            writing.writer.write()
            return writing.writer.isIdle
        }
    }

    /// The last step: hands out what is folded too, and ends the outputs. What they do not take is lost.
    package func finish(_ clock: LogClock) {
        writer.withLock { writing in
            collect(&writing, clock)
            writing.writer.finish()
            let outputs = writing.writer.outputs
            for output in outputs where output.hasThread { output.stop() }
            for output in outputs where !output.hasThread { output.finish(at: clock.now) }
            // One whose disk does not answer cannot be waited for: what it has not written counts as pending for ever.
            for _ in 0..<EventLog.mostLooks where !outputs.allSatisfy({ !$0.hasThread || $0.hasEnded }) {
                usleep(EventLog.lookEvery)
            }
        }
    }

    private func startOutputs(_ clock: @escaping @Sendable () -> LogClock, _ thread: LogThread) {
        for output in writer.withLock({ $0.writer.outputs }) where !output.hasThread { output.start(thread, clock) }
    }

    private func sleepDeeply() {
        wakeup.announce(.deep)
        let isQuiet = queues.allSatisfy { $0.isEmpty }
        wakeup.wait(milliseconds: isQuiet ? -1 : 0)
    }

    private func sleepLightly() {
        wakeup.announce(.nap)
        wakeup.wait(milliseconds: EventLog.nap)
    }
}
