// SPDX-License-Identifier: GPL-3.0-or-later

import AgentMetrics
import EventLog
import FastPath
import FirewallEngine
import FirewallPolicy
import Glibc
import Locking
import NetfilterQueue
import PacketWire
import Synchronization

/// One queue number, one thread, one engine.
///
/// The thread holds the engine's lock for one batch at a time (at most 32 packets); the control socket and housekeeping
/// take it between batches, and other workers when an ICMP error quotes a connection that may be here. No thread ever
/// holds two of these locks. The queue's socket is the thread's alone.
final class Worker: Sendable {
    /// What the thread has said of itself.
    enum Standing {
        case starting
        case running(QueueWaker)
        case failed(String)
        case ended
    }

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

    let queue: QueueConfiguration
    /// The bits of packet marks that are ours.
    let marks: MarkLayout
    /// Whether flows are offloaded that the policy says may be: not while the kernel might know some of an older policy.
    let mayOffload = Atomic<Bool>(false)
    /// Where packets go whose destination was translated.
    let networks = Guarded(ConnectedNetworks())
    /// Where flows are told to the kernel that pass there.
    let fastPath = Guarded<FastPathMaps?>(nil)
    let manager: ServiceManager?
    private let inherited: Int32?
    let takeover = Guarded(Takeover.none)
    /// Protects the connections, the counters and the policy in force of this worker.
    let engine: Guarded<Engine>
    let events: EventQueue
    /// Set once, before the thread starts: all workers, for ICMP errors about their connections.
    let peers = Guarded<[Worker]>([])
    let standing = Guarded(Standing.starting)
    /// Grows at each turn of the loop; the watchdog looks at it.
    let turns = Atomic<UInt64>(0)
    let isStopping = Atomic<Bool>(false)
    /// The first packet is not judged before: connections of the run before have to be in the engine.
    private let mayBegin = Atomic<Bool>(false)
    /// At the end the queue is another process's business.
    let leavesQueue = Atomic<Bool>(false)
    /// What the queue lost. Once a second the thread writes what its socket knows, and housekeeping the kernel's row,
    /// whose reading allocates.
    let queueCounters = Guarded(QueueCounters())
    /// Serial number of the last packet that the queue had when it was opened here: 0, unless a run before had it.
    private let idAtStart = Atomic<UInt32>(0)
    /// Batches after which the kernel may have passed packets unseen.
    let overflows = Atomic<UInt64>(0)
    /// How long packets waited; as old as `queueCounters`.
    let latency = Guarded(LatencyHistogram())
    /// Fragments that were ever held.
    let heldEver = Atomic<UInt64>(0)

    var number: UInt16 { queue.number }

    /// - Parameters:
    ///   - queue: what to open.
    ///   - marks: of the policy.
    ///   - engine: judges its packets.
    ///   - events: takes the events.
    ///   - manager: who kept `inherited`, if anybody did.
    ///   - inherited: the queue's socket of the run before; owned from now on.
    init(
        _ queue: QueueConfiguration, marks: MarkLayout, engine: consuming sending Engine, events: EventQueue,
        manager: ServiceManager?, inherited: Int32?
    ) {
        self.queue = queue
        self.marks = marks
        self.manager = manager
        self.inherited = inherited
        self.engine = Guarded(engine)
        self.events = events
    }

    func report(opened waker: QueueWaker) { standing.withLock { $0 = .running(waker) } }
    func report(failed why: String) { standing.withLock { $0 = .failed(why) } }
    func reportEnded() { standing.withLock { if case .running = $0 { $0 = .ended } } }

    /// Opens the queue, or goes on with the one of the run before. A socket of which that cannot be is closed everywhere
    /// first, since it might be the one that has the queue.
    func openQueue() throws(QueueError) -> QueueSocket {
        guard let inherited else { return try QueueSocket(queue) }
        do {
            let socket = try QueueSocket(queue, takingOver: inherited)
            let orphans = socket.orphans
            idAtStart.store(socket.idAtTakeover, ordering: .relaxed)
            takeover.withLock { $0 = .done(orphans: orphans) }
            return socket
        } catch {
            takeover.withLock { $0 = .refused("\(error)") }
            manager?.forget(name: InheritedSocket.name(ofQueue: number))
            _ = manager?.awaitAttention()
            return try QueueSocket(queue)
        }
    }

    /// Lets the thread judge packets.
    func begin() { mayBegin.store(true, ordering: .releasing) }

    /// Called by the thread when its queue is open.
    func awaitBegin() {
        while !mayBegin.load(ordering: .acquiring) && !isStopping.load(ordering: .relaxed) { usleep(200) }
    }

    func note(_ counters: QueueCounters) {
        queueCounters.withLock { known in
            let kernel = known.kernel
            known = counters
            known.kernel = kernel
        }
    }

    func note(_ row: QueueRow?) { queueCounters.withLock { $0.kernel = row } }

    /// The kernel says that no packet has come since the queue was opened here, nor was one waiting then.
    var isIdle: Bool {
        let counters = queueCounters.withLock { $0 }
        return counters.sends == 0 && counters.kernel?.lastID == idAtStart.load(ordering: .relaxed)
    }

    var isRunning: Bool { standing.withLock { if case .running = $0 { true } else { false } } }

    /// Has the thread begin a turn now rather than after its sleep.
    func wake() { standing.withLock { if case .running(let waker) = $0 { waker.wake() } } }

    /// Asks the thread to end after its batch.
    func stop(leavingQueue: Bool) {
        leavesQueue.store(leavingQueue, ordering: .relaxed)
        isStopping.store(true, ordering: .relaxed)
        wake()
    }
}
