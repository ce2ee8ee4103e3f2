// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import Glibc
import Locking

/// What other threads have the main one do, since it alone may change what is the housekeeper's.
final class Errands: Sendable {
    /// Runs on the main thread.
    typealias Task = @Sendable (Housekeeper) -> ControlReply

    private struct Waiting {
        var errands: [Errand] = []
        var isClosed = false
    }

    private let waiting = Guarded(Waiting())

    /// Has the main thread do it, and waits for what it answers. Not to be called on the main thread.
    func ask(_ task: @escaping Task) -> ControlReply {
        let errand = Errand(task)
        let isTaken = waiting.withLock { waiting in
            guard !waiting.isClosed else { return false }
            waiting.errands.append(errand)
            return true
        }
        guard isTaken else { return Errands.refusal }
        Signals.wakeMainThread()
        return errand.result()
    }

    /// Does all that wait.
    func run(by housekeeper: Housekeeper) {
        let errands = waiting.withLock { waiting in
            defer { waiting.errands = [] }
            return waiting.errands
        }
        for errand in errands { errand.finish(errand.task(housekeeper)) }
    }

    /// Refuses those that wait, and all that come.
    func close() {
        let errands = waiting.withLock { waiting in
            defer { waiting = Waiting(isClosed: true) }
            return waiting.errands
        }
        for errand in errands { errand.finish(Errands.refusal) }
    }

    private static let refusal = ControlReply.failure(ControlFailure(.unavailable, "the agent is ending"))
}

/// One of them, and who waits for it.
@safe
private final class Errand: @unchecked Sendable {
    let task: Errands.Task
    private let answer = Guarded<ControlReply?>(nil)
    private let done: UnsafeMutablePointer<sem_t>

    init(_ task: @escaping Errands.Task) {
        self.task = task
        unsafe done = .allocate(capacity: 1)
        unsafe sem_init(done, 0, 0)
    }

    deinit {
        unsafe sem_destroy(done)
        unsafe done.deallocate()
    }

    func finish(_ reply: ControlReply) {
        answer.withLock { $0 = reply }
        unsafe sem_post(done)
    }

    /// Waits until it is there.
    func result() -> ControlReply {
        while true {
            if let reply = answer.withLock({ $0 }) { return reply }
            _ = unsafe sem_wait(done)
        }
    }
}
