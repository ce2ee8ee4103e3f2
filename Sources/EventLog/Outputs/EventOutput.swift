// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import FirewallPolicy
import Locking
import PacketWire
import Synchronization

/// One output of the log: takes records from the writer's thread and sends them from a thread of its own.
///
/// So an output that is slow, full or gone, or whose disk does not answer, holds up nobody: the writer only puts records into the
/// inbox, under a lock that is held for a few stores. When the inbox is full the writer merges what comes (`OutputFeed`).
///
/// Invariant: for every reason and action, what the output was given = written + waiting + lost.
package final class EventOutput: Sendable {
    let name: String
    /// It sends packets, of which events may tell.
    let isNetwork: Bool
    /// What the log had handed out before this output was there.
    let receivedBefore: EventTally
    /// What the writer's thread has put in and the output's has not taken yet.
    private let inbox = Guarded(Inbox())
    /// The output's thread's own; locked for a whole step, and by nobody else while that thread runs.
    private let sender: Guarded<OutputSender>
    /// What status shows of it.
    private let shown: Guarded<OutputState>
    private let wakeup = EventWakeup()
    private let life = Atomic(Life.withoutThread)
    private let isStopping = Atomic(false)

    private enum Life: UInt8, AtomicRepresentable {
        /// Whoever steps the log steps this output too.
        case withoutThread
        case running
        case ended
    }

    private struct Inbox {
        var records: [RecordFields] = []
        /// Bytes of them, roughly.
        var weight = 0
        var settings: OutputSettings?
        var mustReopen = false
        /// Events that were not for this output.
        var spared = EventTally()
    }

    /// Bytes of records that may wait in the inbox, and as many again once they are taken from it.
    private static let room = 8 << 20

    init(_ settings: OutputSettings, receivedBefore: EventTally, _ peers: OwnPeers) {
        name = settings.name
        isNetwork = settings.isNetwork
        self.receivedBefore = receivedBefore
        let sender = OutputSender(settings, peers)
        shown = Guarded(OutputState(sender))
        self.sender = Guarded(sender)
    }

    var state: OutputState { shown.withLock { $0 } }
}

// MARK: - For the writer's thread

extension EventOutput {
    /// Takes a record, `always` even where there is no room; false where there is none. An output without a thread is stepped
    /// first, for which it needs the time.
    func offer(_ fields: RecordFields, at now: Instant, always: Bool = false) -> Bool {
        if put(fields, always: always) { return true }
        guard !hasThread else { return false }
        step(at: now)
        return put(fields, always: false)
    }

    /// Counts a record that is not for this output.
    func spare(_ summary: EventSummary) {
        inbox.withLock { $0.spared.add(summary.count, summary.event.reason, summary.event.action) }
    }

    /// Events that this output was not to have.
    var spared: EventTally { inbox.withLock { $0.spared } }

    private func put(_ fields: RecordFields, always: Bool) -> Bool {
        let (isTaken, isHalfFull) = inbox.withLock { inbox in
            guard always || inbox.weight < EventOutput.room else { return (false, false) }
            let before = inbox.weight
            inbox.weight += MemoryLayout<RecordFields>.stride + fields.record.packet.count
            inbox.records.append(fields)
            return (true, before < EventOutput.room / 2 && inbox.weight >= EventOutput.room / 2)
        }
        // The others learn of it at the end of the writer's step.
        if isHalfFull { wakeup.wake() }
        return isTaken
    }

    /// Nothing waits for it, or in it but for the end of its budget's window.
    var isDone: Bool { inbox.withLock { $0.records.isEmpty && !$0.mustReopen } && state.isDone }
    /// Nothing waits for it or in it.
    var isSettled: Bool { isDone && state.isSettled }

    func adopt(_ settings: OutputSettings) {
        inbox.withLock { $0.settings = settings }
        wakeup.wake()
    }

    func reopen() {
        inbox.withLock { $0.mustReopen = true }
        wakeup.wake()
    }

    /// Says that there is something to do.
    func wake() { wakeup.wake() }

    var hasThread: Bool { life.load(ordering: .acquiring) != .withoutThread }
    var hasEnded: Bool { life.load(ordering: .acquiring) == .ended }

    /// Gives the output a thread; without one whoever steps the log goes on stepping it.
    func start(_ thread: LogThread, _ clock: @escaping @Sendable () -> LogClock) {
        life.store(.running, ordering: .releasing)
        if thread("out \(name)", { self.run(clock) }) { return }
        life.store(.withoutThread, ordering: .releasing)
    }

    /// Has its thread send what waits and end. What is not taken is lost.
    func stop() {
        isStopping.store(true, ordering: .releasing)
        wakeup.wake()
    }
}

// MARK: - For the output's thread

extension EventOutput {
    private func run(_ clock: () -> LogClock) {
        var isWritable = false
        while !isStopping.load(ordering: .acquiring) {
            step(at: clock().now, isWritable: isWritable)
            let awaited = sender.withLock { $0.awaited }
            isWritable = wakeup.wait(milliseconds: state.pause(at: clock().now), orUntilWritable: awaited)
        }
        finish(at: clock().now)
        life.store(.ended, ordering: .releasing)
    }

    /// Takes what is in the inbox, as long as all of it can be sent. Where the target is known to take bytes again it is not
    /// kept waiting.
    func step(at now: Instant, isWritable: Bool = false) {
        sender.withLock { sender in
            if isWritable { sender.noteWritable() }
            repeat {
                takeInbox(&sender)
                sender.send(at: now)
                show(sender)
            } while sender.hasNoRecords && hasRecords
        }
    }

    /// The last step.
    func finish(at now: Instant) {
        sender.withLock { sender in
            takeInbox(&sender, always: true)
            sender.close(at: now)
            show(sender)
        }
    }

    func open() throws(OutputError) {
        try sender.withLock { sender throws(OutputError) in try sender.open() }
    }

    private var hasRecords: Bool { inbox.withLock { !$0.records.isEmpty } }

    private func takeInbox(_ sender: inout OutputSender, always: Bool = false) {
        let taken = inbox.withLock { inbox in
            var taken = Inbox()
            swap(&taken.settings, &inbox.settings)
            swap(&taken.mustReopen, &inbox.mustReopen)
            guard sender.hasNoRecords || always else { return taken }
            swap(&taken.records, &inbox.records)
            inbox.weight = 0
            return taken
        }
        if let settings = taken.settings { sender.adopt(settings) }
        if taken.mustReopen { sender.reopen() }
        if !taken.records.isEmpty { sender.take(taken.records) }
    }

    private func show(_ sender: borrowing OutputSender) {
        let state = OutputState(sender)
        shown.withLock { $0 = state }
    }
}

/// How an output is.
struct OutputState: Sendable {
    let target: String
    let format: EventFormat
    let trouble: OutputError?
    let warning: String?
    let nextAttempt: Instant?
    /// When it wants to be stepped without being woken.
    private let wakeAt: Instant?
    /// Events that became part of a coarser record because the budget was spent.
    let coarse: UInt64
    /// Events that wait on disk.
    let spooled: UInt64
    let isDone: Bool
    let isSettled: Bool
    let written: EventTally
    let records: EventTally
    let lost: EventTally

    init(_ sender: borrowing OutputSender) {
        target = sender.targetText
        format = sender.format
        trouble = sender.trouble
        warning = sender.warning
        nextAttempt = sender.nextAttempt
        wakeAt = sender.wakeAt
        coarse = sender.coarseCount
        spooled = sender.spooledCount
        isDone = sender.isDone
        isSettled = sender.isSettled
        written = sender.backlog.written
        records = sender.backlog.records
        lost = sender.backlog.lost
    }

    /// Milliseconds until the output wants to be stepped without being woken; -1 for never.
    func pause(at now: Instant) -> Int32 {
        guard !isSettled, let wakeAt else { return isSettled ? -1 : 0 }
        let left = (wakeAt - now).nanoseconds / 1_000_000 + 1
        return Int32(clamping: min(max(left, 1), RetryPause.longest.nanoseconds / 1_000_000))
    }
}
