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

/// One thread, one engine, and the queues of one place in the ranges of all kinds.
///
/// The thread holds the engine's lock for one batch at a time (at most 32 packets); the control socket and housekeeping
/// take it between batches, and other workers when an ICMP error quotes a connection that may be here. No thread ever
/// holds two of these locks. The queues' sockets are the thread's alone.
final class Worker: Sendable {
    /// What the thread has said of itself.
    enum Standing {
        case starting
        case running(QueueWaker)
        case failed(String)
        case ended
    }

    /// Those of its place in each range, the established one first.
    let queues: [WorkerQueue]
    /// The bits of packet marks that are ours.
    let marks: MarkLayout
    /// Whether flows are offloaded that the policy says may be: not while the kernel might know some of an older policy.
    let mayOffload = Atomic<Bool>(false)
    /// Where packets go whose destination was translated.
    let networks = Guarded(ConnectedNetworks())
    /// Where flows are told to the kernel that pass there.
    let fastPath = Guarded<FastPathMaps?>(nil)
    /// Protects the connections, the counters and the policy in force of this worker.
    let engine: Guarded<Engine>
    let events: EventQueue
    /// Sends answers to refused packets.
    let answers: AnswerSockets
    /// Set once, before the thread starts: all workers, for ICMP errors about their connections.
    let peers = Guarded<[Worker]>([])
    let standing = Guarded(Standing.starting)
    /// Grows at each turn of the loop; the watchdog looks at it.
    let turns = Atomic<UInt64>(0)
    let isStopping = Atomic<Bool>(false)
    /// The first packet is not judged before: connections of the run before have to be in the engine.
    private let mayBegin = Atomic<Bool>(false)
    /// At the end the queues are another process's business.
    let leavesQueue = Atomic<Bool>(false)
    /// How long packets waited; as old as the queues' counters.
    let latency = Guarded(LatencyHistogram())
    /// Fragments that were ever held.
    let heldEver = Atomic<UInt64>(0)

    /// The queue of what is established.
    var main: WorkerQueue { queues[0] }
    /// Its number stands for the worker.
    var number: UInt16 { main.number }

    /// - Parameters:
    ///   - queues: what to open, the established one first.
    ///   - marks: of the policy.
    ///   - engine: judges their packets.
    ///   - events: takes the events.
    ///   - answers: takes the answers.
    init(
        _ queues: [WorkerQueue], marks: MarkLayout, engine: consuming sending Engine, events: EventQueue,
        answers: AnswerSockets
    ) {
        self.queues = queues
        self.marks = marks
        self.engine = Guarded(engine)
        self.events = events
        self.answers = answers
    }

    func report(opened waker: QueueWaker) { standing.withLock { $0 = .running(waker) } }
    func report(failed why: String) { standing.withLock { $0 = .failed(why) } }
    func reportEnded() { standing.withLock { if case .running = $0 { $0 = .ended } } }

    /// Lets the thread judge packets.
    func begin() { mayBegin.store(true, ordering: .releasing) }

    /// Called by the thread when its queues are open.
    func awaitBegin() {
        while !mayBegin.load(ordering: .acquiring) && !isStopping.load(ordering: .relaxed) { usleep(200) }
    }

    /// No packet has come to any of its queues.
    var isIdle: Bool { queues.allSatisfy(\.isIdle) }

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
