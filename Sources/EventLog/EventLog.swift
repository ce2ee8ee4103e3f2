// SPDX-License-Identifier: GPL-3.0-or-later

package import FirewallEngine
package import FirewallPolicy
import Locking
package import PacketWire
import Synchronization

/// The log of firewall events: takes them from the workers' queues and brings them to the outputs.
///
/// One thread runs `run`; it alone folds events and resolves their records. Each output sends from a thread of its own. Workers
/// put events into `queues` and never wait for any of them. Everybody else speaks to the log through the methods here, which
/// return at once: what they ask for is done at the writer's next step.
///
/// Invariant (docs/design.md 1.3), for every output, reason and action: events received = written + pending + lost.
package final class EventLog: Sendable {
    /// One per worker, in their order.
    package let queues: [EventQueue]
    let wakeup: EventWakeup
    /// Protects what was asked for and is not yet done, and the count of reports received.
    private let orders = Guarded(Orders())
    /// The outputs, for those who ask how they are.
    private let outputs: Guarded<[EventOutput]>
    /// The writer thread's own; locked for a whole step, and by nobody else while that thread runs.
    let writer: Guarded<Writing>
    let isStopping = Atomic(false)
    private let spoolDirectory: String

    private struct Orders {
        var next = LogOrders()
        var received = EventTally()
    }

    struct Writing: ~Copyable {
        var writer: EventWriter
        /// Exchanged with the queues' buffers; empty between steps.
        var spares: [EventBuffer]
    }

    /// - Parameters:
    ///   - workers: how many queues to make.
    ///   - queueCapacity: events that each of them holds until the writer comes.
    ///   - fold: for how long like events become one record.
    ///   - outputs: where records go, each by another name.
    ///   - host: this host's name for the records.
    ///   - flowSeed: of the records' flow identifiers.
    ///   - spoolDirectory: where outputs of a policy have their spools.
    package init(
        workers: Int, queueCapacity: Int = 8192, fold: Instant.Span, outputs: [OutputSettings], host: String?,
        flowSeed: (UInt64, UInt64), spoolDirectory: String = "/var/lib/portreeve"
    ) {
        self.spoolDirectory = spoolDirectory
        let wakeup = EventWakeup()
        let bytesCapacity = 256 * 1024
        queues = (0..<workers).map { _ in
            EventQueue(capacity: queueCapacity, bytesCapacity: bytesCapacity, wakeup: wakeup)
        }
        let spares = (0..<workers).map { _ in EventBuffer(capacity: queueCapacity, bytesCapacity: bytesCapacity) }
        self.wakeup = wakeup
        let writer = EventWriter(fold: fold, outputs: outputs, host: host, flowSeed: flowSeed)
        self.outputs = Guarded(writer.outputs)
        self.writer = Guarded(Writing(writer: writer, spares: spares))
    }
}

extension EventLog {
    /// With the outputs that the policy asks for.
    package convenience init(
        workers: Int, queueCapacity: Int = 8192, document: PolicyDocument, host: String?, flowSeed: (UInt64, UInt64),
        spoolDirectory: String = "/var/lib/portreeve"
    ) {
        self.init(
            workers: workers, queueCapacity: queueCapacity, fold: document.events.fold,
            outputs: document.outputs(spools: spoolDirectory), host: host, flowSeed: flowSeed,
            spoolDirectory: spoolDirectory)
    }

    /// As the policy says it.
    package func register(_ names: PolicyNames, _ document: PolicyDocument) {
        register(names, fold: document.events.fold, outputs: document.outputs(spools: spoolDirectory))
    }
}

// MARK: - For the control thread

extension EventLog {
    /// Opens the outputs, so that the agent can refuse to start when one of them takes nothing.
    package func open() throws(OutputError) {
        for output in outputs.withLock({ $0 }) { try output.open() }
    }

    /// Makes the names of a policy known, and what it says of events. Call it before a worker uses that policy.
    package func register(_ names: PolicyNames, fold: Instant.Span, outputs: [OutputSettings]) {
        orders.withLock { orders in
            orders.next.policies.append(names)
            orders.next.fold = fold
            orders.next.outputs = outputs
        }
        wakeup.wake()
    }

    /// Replaces the names of interfaces.
    package func setInterfaces(_ names: InterfaceNames) {
        orders.withLock { $0.next.interfaces = names }
    }

    /// Replaces the names of users.
    package func setUsers(_ names: [UInt32: String]) { orders.withLock { $0.next.users = names } }

    /// By what the unit of a packet's sender is found out, on the writer's thread.
    package func setUnitOfSender(_ unit: @escaping @Sendable (Event) -> String?) {
        orders.withLock { $0.next.unitOfSender = unit }
    }

    /// Replaces what is said of blocked sources.
    package func setBlocks(_ notes: [(BlockedAddress, String)]) {
        orders.withLock { $0.next.blocks = Dictionary(notes) { $1 } }
    }

    /// Closes the event files and opens them anew, after they were rotated.
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

    /// How each output is, and where its events are, at this moment; in the order of the policy.
    package func reports() -> [OutputReport] {
        // First what left, then what came: so nothing that is pending shows as less than nothing.
        let outputs = outputs.withLock { $0 }
        let states = outputs.map(\.state)
        var received = orders.withLock { $0.received }
        for queue in queues { received.add(queue.received) }
        return zip(outputs, states).map { OutputReport($0, $1, received: received) }
    }

    /// Lets `run` write what is left and return. Workers have to have ended before.
    package func stop() {
        isStopping.store(true, ordering: .releasing)
        wakeup.wake()
    }
}

// MARK: - For the writer thread

extension EventLog {
    /// The queues come before the orders: an event's policy was registered before the event was made, so its name is
    /// among the orders that are taken after it.
    func collect(_ writing: inout Writing, _ clock: LogClock) {
        for (index, queue) in queues.enumerated() { queue.take(into: &writing.spares[index]) }
        let orders = orders.withLock { orders in
            defer { orders.next = LogOrders() }
            return orders.next
        }
        writing.writer.begin(clock)
        if writing.writer.adopt(orders) {
            let current = writing.writer.outputs
            outputs.withLock { $0 = current }
        }
        for index in writing.spares.indices {
            writing.writer.add(writing.spares[index])
            writing.spares[index].removeAll()
        }
    }
}
