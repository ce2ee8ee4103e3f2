// SPDX-License-Identifier: GPL-3.0-or-later

import EventLog
import FirewallEngine
import FirewallPolicy
import Locking
import Logging
import NetfilterQueue
import PacketWire
import Synchronization

/// What was said of the queues' losses.
struct LossReports {
    /// Of each queue, so far.
    var reported: [QueueCounters]
    /// What of it the next run can read.
    fileprivate var written: [UInt16: KernelLosses] = [:]
    /// Queues of which the log says that packets may have passed unseen.
    fileprivate var overflown: Set<UInt16> = []

    init(queues: Int) { reported = Array(repeating: QueueCounters(), count: queues) }
}

extension Housekeeper {
    /// Reports what the kernel's queues lost since the last look, as Internal Driver Error with the kernel's counters.
    func reportLosses() {
        let table = try? QueueTable.read()
        // Before a queue is open what the table says of it is about another process.
        for (place, queue) in agent.queues.enumerated() where queue.waker.withLock({ $0 != nil }) {
            queue.note(table?.row(of: queue.number))
            warnOfOverflow(queue)
            let now = queue.counters.withLock { $0 }
            let lost = now.losses &- losses.reported[place].losses
            losses.reported[place] = now
            guard lost > 0, lost < 1 << 40 else { continue }
            var metadata = PacketMetadata()
            metadata.queue = queue.number
            metadata.hook = .none
            var event = Event(
                reason: .internalDriverError, action: lossAction, instant: Clocks.monotonic(), metadata: metadata,
                headers: PacketHeaders())
            event.policyEpoch = policies.current.epoch
            log.report(event, count: lost, detail: now.text)
            logger.warning("queue \(queue.number) lost \(lost) packets: \(now.text)")
        }
        writeLosses()
    }

    /// For the next run, once all queues are open; only what has changed.
    private func writeLosses() {
        let rows = losses.reported.compactMap(\.kernel)
        guard rows.count == agent.queues.count else { return }
        let now = Dictionary(rows.map { ($0.number, KernelLosses($0)) }, uniquingKeysWith: { $1 })
        guard now != losses.written else { return }
        losses.written = now
        lossFile.write(now)
    }

    var lossFile: LossFile { LossFile(path: options.lossesPath) }

    /// Once for each queue; status goes on counting. How many packets passed, the kernel does not say.
    private func warnOfOverflow(_ queue: WorkerQueue) {
        guard queue.overflows.load(ordering: .relaxed) > 0,
            losses.overflown.insert(queue.number).inserted
        else { return }
        logger.warning(
            """
            queue \(queue.number) may have been full: failing open, the kernel then passes packets that nobody judged, \
            and does not count them; raise queue.length, or spread the load over more queue.numbers
            """)
    }

    /// Failing open, the kernel passes what it cannot queue.
    private var lossAction: EventAction { workers.first?.main.configuration.failsOpen == true ? .failOpen : .observed }
}

extension QueueCounters {
    /// Packets that got no verdict of the engine's.
    fileprivate var losses: UInt64 {
        UInt64(kernel?.droppedQueueFull ?? 0) &+ UInt64(droppedSocketFull) &+ refusedVerdicts &+ unsentVerdicts
            &+ malformedMessages
    }

    /// The kernel's count of the queue, or the socket's own: that one counts what passed unseen too where the queue fails
    /// open.
    var droppedSocketFull: UInt32 { max(kernel?.droppedSocketFull ?? 0, socketOverflows) }

    fileprivate var text: String {
        "queue full \(kernel?.droppedQueueFull ?? 0), socket buffer full "
            + "\(droppedSocketFull), verdicts refused \(refusedVerdicts), verdicts unsent "
            + "\(unsentVerdicts), malformed messages \(malformedMessages)"
    }
}
