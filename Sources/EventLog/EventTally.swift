// SPDX-License-Identifier: GPL-3.0-or-later

package import FirewallEngine

/// One number per reason and action, for the terms of the accounting. Sums wrap rather than trap.
package struct EventTally: Sendable, Equatable {
    private var counts = [UInt64](repeating: 0, count: DropReason.count * EventAction.allCases.count)

    package init() {}

    package subscript(reason: DropReason, action: EventAction) -> UInt64 {
        get { counts[EventTally.place(reason, action)] }
        set { counts[EventTally.place(reason, action)] = newValue }
    }

    package mutating func add(_ count: UInt64, _ reason: DropReason, _ action: EventAction) {
        counts[EventTally.place(reason, action)] &+= count
    }

    package mutating func add(_ other: EventTally) {
        for place in counts.indices { counts[place] &+= other.counts[place] }
    }

    func subtracting(_ other: EventTally) -> EventTally {
        var rest = self
        for place in counts.indices { rest.counts[place] &-= other.counts[place] }
        return rest
    }

    /// The sum over all reasons and actions.
    package var total: UInt64 { counts.reduce(0, &+) }

    private static func place(_ reason: DropReason, _ action: EventAction) -> Int {
        Int(reason.rawValue) * EventAction.allCases.count + Int(action.rawValue)
    }
}

/// Where the events of one reason and action are, as one output has it. `received` = `written` + `pending` + `lost`, at any moment.
package struct EventTerms: Sendable, Equatable {
    /// Events handed to the log; with those that a setting silenced, they are all that the engine counted.
    package var received: UInt64 = 0
    /// Taken by the output.
    package var written: UInt64 = 0
    /// In memory: in a worker's queue, in the folding table, or waiting for an output that takes nothing.
    package var pending: UInt64 = 0
    /// Given up when the output was closed while it took nothing.
    package var lost: UInt64 = 0
    /// Records that the output has taken; fewer than `written` where events were folded.
    package var records: UInt64 = 0

    package init() {}
}

/// The terms of docs/design.md 1.3 that the event log knows, for one output and every reason and action. Drops are those whose action is
/// `deny`; the other actions report packets that passed, or that the kernel dropped.
package struct EventAccounting: Sendable {
    let received: EventTally
    let written: EventTally
    let lost: EventTally
    let records: EventTally

    package subscript(reason: DropReason, action: EventAction) -> EventTerms {
        var terms = EventTerms()
        terms.received = received[reason, action]
        terms.written = written[reason, action]
        terms.lost = lost[reason, action]
        terms.pending = terms.received &- terms.written &- terms.lost
        terms.records = records[reason, action]
        return terms
    }

    /// All reasons and actions together.
    package var total: EventTerms {
        var terms = EventTerms()
        terms.received = received.total
        terms.written = written.total
        terms.lost = lost.total
        terms.pending = terms.received &- terms.written &- terms.lost
        terms.records = records.total
        return terms
    }
}
