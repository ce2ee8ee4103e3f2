// SPDX-License-Identifier: GPL-3.0-or-later

import EventLog
import FirewallEngine
import FirewallPolicy
import Glibc
import Locking
import Logging
import NetfilterQueue
import PacketWire
import Synchronization

extension Housekeeper {
    /// Whether the manager keeps the queues' sockets all the time, so that the kernel goes on queueing after a crash. Where
    /// the agent's failure is to let packets pass it must not: a kept socket keeps the queue bound, and then neither
    /// `--queue-bypass` nor the closing of the queue lets anything pass.
    static func keepsSockets(_ policy: Policy) -> Bool {
        policy.document.failure.engine == .closed && policy.document.mode != .tap
    }

    /// Follows the policy in what the manager keeps.
    func updateKeptSockets() {
        guard let manager else { return }
        let wanted = Housekeeper.keepsSockets(policies.current)
        for queue in agent.queues {
            if wanted {
                keepSocket(of: queue, with: manager)
            } else {
                manager.forget(name: InheritedSocket.name(queue.kind, queue.number))
            }
        }
        areSocketsKept = wanted
    }

    @discardableResult
    private func keepSocket(of queue: WorkerQueue, with manager: ServiceManager) -> Bool {
        guard let waker = queue.waker.withLock({ $0 }) else { return false }
        return manager.store(waker.socket, name: InheritedSocket.name(queue.kind, queue.number))
    }

    /// Before a planned end: has the manager keep every socket for the next run. False where nobody keeps them; then the
    /// queues are given up.
    func handSocketsOver() -> Bool {
        guard let manager else { return false }
        let areKept = agent.queues.allSatisfy { keepSocket(of: $0, with: manager) }
        return areKept && manager.awaitAttention()
    }

    /// What became of the queues' sockets of the run before, once all queues are open.
    func reportTakeovers() {
        let handedOver = lossFile.read()
        for (place, queue) in agent.queues.enumerated() {
            switch queue.takeover.withLock({ $0 }) {
            case .none: continue
            case .refused(let why): logger.warning("\(why); queue \(queue.number) was opened anew")
            case .done(let orphans):
                logger.notice("queue \(queue.number) goes on: its packets waited for this process")
                reportLossesSince(handedOver?[queue.number], place, queue)
                if orphans > 0 { reportOrphans(orphans, of: queue) }
            }
        }
        reportLosses()
    }

    /// What a kept queue lost while nobody looked: the kernel went on counting where the run before had stopped reading. What
    /// that run reported is not reported again; where it left no word of it, all of it counts as reported.
    private func reportLossesSince(_ before: KernelLosses?, _ place: Int, _ queue: WorkerQueue) {
        let counters = queue.counters.withLock { $0 }
        losses.reported[place] = counters
        guard let before, let row = counters.kernel else { return }
        let full = row.droppedQueueFull &- before.queueFull
        let buffer = row.droppedSocketFull &- before.socketFull
        let lost = UInt64(full) + UInt64(buffer)
        guard lost > 0, lost < 1 << 31 else { return }
        report(
            lost, of: queue,
            "\(lost) packets were lost while no agent read the queue: queue full \(full), socket buffer full \(buffer)")
    }

    private func reportOrphans(_ count: UInt32, of queue: WorkerQueue) {
        let fails = queue.configuration.failsOpen ? "passed" : "dropped"
        report(
            UInt64(count), of: queue,
            "\(count) packets that the process before had received and not decided were \(fails)")
    }

    private func report(_ count: UInt64, of queue: WorkerQueue, _ text: String) {
        logger.warning("queue \(queue.number): \(text)")
        var event = Event(
            reason: .internalDriverError, action: queue.configuration.failsOpen ? .failOpen : .observed,
            instant: Clocks.monotonic(), metadata: PacketMetadata(), headers: PacketHeaders())
        event.metadata.queue = queue.number
        event.metadata.hook = .none
        event.policyEpoch = policies.current.epoch
        log.report(event, count: count, detail: text)
    }

    func tellReady() {
        manager?.tell(["READY=1", "STATUS=\(standingText)"])
    }

    func tellReloading() {
        let now = UInt64(max(0, Clocks.monotonic().nanoseconds)) / 1000
        manager?.tell(["RELOADING=1", "MONOTONIC_USEC=\(now)", "STATUS=loading \(options.policyPath)"])
    }

    func tellStopping() { manager?.tell(["STOPPING=1", "STATUS=ending"]) }

    /// One line: what is in force, and what was refused last.
    private var standingText: String {
        let standing = policies.description
        let document = standing.policy.document
        let refused = standing.lastReloadError?.split(separator: "\n").first.map {
            "; the last reload was refused: \($0)"
        }
        return "\(agent.describeQueues()), policy epoch \(standing.policy.epoch) with \(document.rules.count) rules, "
            + "\(document.mode), fails \(document.failure.engine)\(refused ?? "")"
    }
}
