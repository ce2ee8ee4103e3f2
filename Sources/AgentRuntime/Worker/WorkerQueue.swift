// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import FirewallPolicy
import Locking
import NetfilterQueue
import Synchronization

/// One queue of a worker, as other threads see it: its socket is the worker's thread's alone (`OpenQueue`).
final class WorkerQueue: Sendable {
    /// What became of the socket that the run before left.
    enum Takeover {
        case none
        case refused(String)
        /// With the count of packets that it left undecided.
        case done(orphans: UInt32)

        var isDone: Bool {
            if case .done = self { true } else { false }
        }

        var orphans: UInt32 {
            if case .done(let orphans) = self { orphans } else { 0 }
        }
    }

    let kind: QueueKind
    let configuration: QueueConfiguration
    private let manager: ServiceManager?
    private let inherited: Int32?
    let takeover = Guarded(Takeover.none)
    /// The queue's socket, once it is open.
    let waker = Guarded<QueueWaker?>(nil)
    /// What the queue lost. Once a second the thread writes what its socket knows, and housekeeping the kernel's row, whose
    /// reading allocates.
    let counters = Guarded(QueueCounters())
    /// Serial number of the last packet that the queue had when it was opened here: 0, unless a run before had it.
    private let idAtStart = Atomic<UInt32>(0)
    /// Batches after which the kernel may have passed packets unseen.
    let overflows = Atomic<UInt64>(0)
    /// Packets of this queue that the engine has decided, and let pass; changed and read under the engine's lock.
    let judged = Atomic<UInt64>(0)
    let passed = Atomic<UInt64>(0)

    var number: UInt16 { configuration.number }

    /// - Parameters:
    ///   - kind: what comes to it.
    ///   - configuration: what to open.
    ///   - manager: who kept `inherited`, if anybody did.
    ///   - inherited: the queue's socket of the run before; owned from now on.
    init(_ kind: QueueKind, _ configuration: QueueConfiguration, manager: ServiceManager?, inherited: Int32?) {
        self.kind = kind
        self.configuration = configuration
        self.manager = manager
        self.inherited = inherited
    }

    /// Opens the queue, or goes on with the one of the run before. A socket of which that cannot be is closed everywhere
    /// first, since it might be the one that has the queue.
    func open() throws(QueueError) -> QueueSocket {
        guard let inherited else { return try QueueSocket(configuration) }
        do {
            let socket = try QueueSocket(configuration, takingOver: inherited)
            let orphans = socket.orphans
            idAtStart.store(socket.idAtTakeover, ordering: .relaxed)
            takeover.withLock { $0 = .done(orphans: orphans) }
            return socket
        } catch {
            takeover.withLock { $0 = .refused("\(error)") }
            manager?.forget(name: InheritedSocket.name(kind, number))
            _ = manager?.awaitAttention()
            return try QueueSocket(configuration)
        }
    }

    func note(_ counters: QueueCounters) {
        self.counters.withLock { known in
            let kernel = known.kernel
            known = counters
            known.kernel = kernel
        }
    }

    func note(_ row: QueueRow?) { counters.withLock { $0.kernel = row } }

    /// The kernel says that no packet has come since the queue was opened here, nor was one waiting then.
    var isIdle: Bool {
        let counters = counters.withLock { $0 }
        return counters.sends == 0 && counters.kernel?.lastID == idAtStart.load(ordering: .relaxed)
    }

    /// The queue goes on as if no process had changed, or is one that the run before did not have: nothing could pass by it.
    var isSeamless: Bool {
        switch takeover.withLock({ $0 }) {
        case .done: true
        case .refused: false
        case .none: kind != .established && !configuration.failsOpen
        }
    }
}

/// A queue in the hands of its worker's thread.
final class OpenQueue {
    let queue: WorkerQueue
    var socket: QueueSocket

    init(_ queue: WorkerQueue) throws(QueueError) {
        self.queue = queue
        socket = try queue.open()
    }

    /// Counts what became of this queue's packets between two states of the engine's counters; under the engine's lock.
    func count(_ before: EngineCounters.Verdicts, _ after: EngineCounters.Verdicts) {
        queue.judged.add(after.inspected &- before.inspected, ordering: .relaxed)
        queue.passed.add(after.passed &- before.passed, ordering: .relaxed)
    }
}

extension EngineCounters {
    /// Packets decided, and those of them that passed.
    struct Verdicts {
        let inspected: UInt64
        let passed: UInt64
    }

    var verdicts: Verdicts { Verdicts(inspected: inspected, passed: passed) }
}
