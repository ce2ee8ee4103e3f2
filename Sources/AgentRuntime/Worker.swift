// SPDX-License-Identifier: GPL-3.0-or-later

import EventLog
import FirewallEngine
import FirewallPolicy
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

    let queue: QueueConfiguration
    /// Protects the connections, the counters and the policy in force of this worker.
    let engine: Guarded<Engine>
    let events: EventQueue
    /// Set once, before the thread starts: all workers, for ICMP errors about their connections.
    let peers = Guarded<[Worker]>([])
    let standing = Guarded(Standing.starting)
    /// Grows at each turn of the loop; the watchdog looks at it.
    let turns = Atomic<UInt64>(0)
    let isStopping = Atomic<Bool>(false)
    /// What the queue lost; the thread looks once a second.
    let queueCounters = Guarded(QueueCounters())
    /// Fragments that were ever held.
    let heldEver = Atomic<UInt64>(0)

    var number: UInt16 { queue.number }

    init(_ queue: QueueConfiguration, engine: consuming sending Engine, events: EventQueue) {
        self.queue = queue
        self.engine = Guarded(engine)
        self.events = events
    }

    func report(opened waker: QueueWaker) { standing.withLock { $0 = .running(waker) } }
    func report(failed why: String) { standing.withLock { $0 = .failed(why) } }
    func reportEnded() { standing.withLock { if case .running = $0 { $0 = .ended } } }

    /// Asks the thread to end after its batch.
    func stop() {
        isStopping.store(true, ordering: .relaxed)
        standing.withLock { if case .running(let waker) = $0 { waker.wake() } }
    }
}
