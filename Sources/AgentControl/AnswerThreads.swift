// SPDX-License-Identifier: GPL-3.0-or-later

package import NIOCore
import NIOPosix

/// The threads on which the agent's servers have their clients answered, so that no answer delays an event loop.
///
/// Not Swift's shared pool: its threads are libdispatch's, which ask for priorities that a process without CAP_SYS_NICE may
/// not have, and complain of that on standard error, the service's journal.
package enum AnswerThreads {
    /// Never shut down: an answer may come after its server's end.
    private static let pool: NIOThreadPool = {
        let pool = NIOThreadPool(numberOfThreads: 4)
        pool.start()
        return pool
    }()

    /// Runs `answer` on one of them; the future is the loop's.
    package static func run<Value: Sendable>(
        for loop: any EventLoop, _ answer: @escaping @Sendable () -> Value
    ) -> EventLoopFuture<Value> {
        pool.runIfActive(eventLoop: loop, answer)
    }
}
