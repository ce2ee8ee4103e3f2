// SPDX-License-Identifier: GPL-3.0-or-later

package import FirewallEngine
package import FirewallPolicy
import Locking
package import PacketWire
import Synchronization

/// The log of firewall events: takes them from the workers' queues and brings them into the event file.
///
/// One thread runs `run`; it alone folds, formats and touches the file. Workers put events into `queues` and never wait
/// for it. Everybody else speaks to it through the methods here, which return at once: what they ask for is done at the
/// writer's next step.
///
/// Invariant (DESIGN 1.3): for every reason and action, events received = written + pending + lost.
package final class EventLog: Sendable {
    /// One per worker, in their order.
    package let queues: [EventQueue]
    private let wakeup: EventWakeup
    /// Protects what was asked for and is not yet done, and the count of reports received.
    private let orders = Guarded(Orders())
    /// Protects what `accounting` and `fileState` show of the writer.
    private let published: Guarded<Published>
    /// The writer thread's own; locked for a whole step, and by nobody else while that thread runs.
    private let writer: Guarded<Writing>
    private let isStopping = Atomic(false)

    private struct Orders {
        var next = LogOrders()
        var received = EventTally()
    }

    private struct Published {
        var written = EventTally()
        var lost = EventTally()
        var lines = EventTally()
        var file: EventFileState
    }

    private struct Writing: ~Copyable {
        var writer: EventWriter
        /// Exchanged with the queues' buffers; empty between steps.
        var spares: [EventBuffer]
    }

    /// - Parameters:
    ///   - workers: how many queues to make.
    ///   - queueCapacity: events that each of them holds until the writer comes.
    ///   - settings: `events` of the policy.
    ///   - host: this host's name for the records.
    package init(workers: Int, queueCapacity: Int = 8192, settings: EventSettings, host: String?) {
        let wakeup = EventWakeup()
        let bytesCapacity = 256 * 1024
        queues = (0..<workers).map { _ in
            EventQueue(capacity: queueCapacity, bytesCapacity: bytesCapacity, wakeup: wakeup)
        }
        let spares = (0..<workers).map { _ in EventBuffer(capacity: queueCapacity, bytesCapacity: bytesCapacity) }
        self.wakeup = wakeup
        published = Guarded(Published(file: EventFileState(path: settings.path)))
        writer = Guarded(Writing(writer: EventWriter(settings: settings, host: host), spares: spares))
    }
}

/// How the event file is.
package struct EventFileState: Sendable {
    package var path: String
    /// Why lines wait; `nil` while the file takes them.
    package var trouble: EventFileError?
    /// When the writer tries again, on its clock; `nil` without trouble.
    package var nextAttempt: Instant?

    init(path: String) { self.path = path }
}

// MARK: - For the control thread

extension EventLog {
    /// Opens the event file, so that the agent can refuse to start when it cannot be written.
    package func open() throws(EventFileError) {
        try writer.withLock { writing throws(EventFileError) in try writing.writer.open() }
    }

    /// Tries whether events could be written to this path, before a policy that says so is taken over.
    package static func check(path: String) throws(EventFileError) { _ = try EventFile(opening: path) }

    /// Makes the names and settings of a policy known. Call it before a worker uses that policy.
    package func register(_ names: PolicyNames, settings: EventSettings) {
        orders.withLock { orders in
            orders.next.policies.append(names)
            orders.next.settings = settings
        }
        wakeup.wake()
    }

    /// Replaces the names of interfaces.
    package func setInterfaces(_ names: InterfaceNames) {
        orders.withLock { $0.next.interfaces = names }
    }

    /// Closes the event file and opens it anew, after it was rotated.
    package func reopen() {
        orders.withLock { $0.next.mustReopen = true }
        wakeup.wake()
    }

    /// Writes an event that the agent reports of itself (stage E), such as packets that the kernel's queue lost.
    ///
    /// - Parameters:
    ///   - event: its reason and circumstances; usually without headers.
    ///   - count: how many packets it stands for.
    ///   - detail: free text in place of the note: the kernel's counters, the name of an interface.
    package func report(_ event: Event, count: UInt64 = 1, detail: String) {
        guard count > 0 else { return }
        let summary = EventSummary(event, count: count)
        orders.withLock { orders in
            orders.received.add(count, event.reason, event.action)
            if orders.next.reports.count < LogOrders.reportCapacity {
                orders.next.reports.append(EventRecord(summary, detail: detail))
            } else {
                orders.next.mergedReports.merge(summary)
            }
        }
        wakeup.wake()
    }

    /// Where all events are, at this moment.
    package func accounting() -> EventAccounting {
        // First what left, then what came: so nothing that is pending shows as less than nothing.
        let (written, lost, lines) = published.withLock { ($0.written, $0.lost, $0.lines) }
        var received = orders.withLock { $0.received }
        for queue in queues { received.add(queue.received) }
        return EventAccounting(received: received, written: written, lost: lost, records: lines)
    }

    /// The event file, and what is wrong with it.
    package func fileState() -> EventFileState { published.withLock { $0.file } }

    /// Lets `run` write what is left and return. Workers have to have ended before.
    package func stop() {
        isStopping.store(true, ordering: .releasing)
        wakeup.wake()
    }
}

// MARK: - For the writer thread

extension EventLog {
    /// Between two visits while events flow.
    private static let nap: Int32 = 50

    /// The writer thread's body; returns after `stop`, with everything written or counted as lost.
    package func run(_ clock: () -> LogClock) {
        while !isStopping.load(ordering: .acquiring) {
            if step(clock()) { sleepDeeply() } else { sleepLightly() }
        }
        finish(clock())
    }

    /// One visit: takes what the queues hold, folds it, and writes what is ready.
    ///
    /// - Returns: whether nothing is left to do until new events come.
    @discardableResult
    package func step(_ clock: LogClock) -> Bool {
        writer.withLock { writing in
            collect(&writing, clock)
            writing.writer.write()
            publish(writing.writer)
            return writing.writer.isIdle
        }
    }

    /// The last step: writes what is folded too, and closes the file. What it does not take is lost.
    package func finish(_ clock: LogClock) {
        writer.withLock { writing in
            collect(&writing, clock)
            writing.writer.finish()
            publish(writing.writer)
        }
    }

    /// The queues come before the orders: an event's policy was registered before the event was made, so its name is
    /// among the orders that are taken after it.
    private func collect(_ writing: inout Writing, _ clock: LogClock) {
        for (index, queue) in queues.enumerated() { queue.take(into: &writing.spares[index]) }
        let orders = orders.withLock { orders in
            defer { orders.next = LogOrders() }
            return orders.next
        }
        writing.writer.begin(clock)
        writing.writer.adopt(orders)
        for index in writing.spares.indices {
            writing.writer.add(writing.spares[index])
            writing.spares[index].removeAll()
        }
    }

    private func publish(_ writer: borrowing EventWriter) {
        let shown = Published(
            written: writer.written, lost: writer.lost, lines: writer.lines, file: writer.fileState)
        published.withLock { $0 = shown }
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
