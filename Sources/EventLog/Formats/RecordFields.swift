// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
package import FirewallEngine
package import FirewallPolicy
package import PacketWire

/// What one record says, resolved once for every format and every output.
///
/// Names, texts, times and identifiers stand here as values; which fields hold for all events of a record is decided here too
/// (`RecordFields+Packet.swift`), so that a format only chooses its keys. What is not known, or not true of all events of the
/// record, is `nil`.
package struct RecordFields: Sendable {
    /// What the record is about, in the words of Suricata's EVE log where it has one.
    package enum Kind: String, Sendable, CaseIterable {
        /// A packet that was dropped, or would have been, or was seen to be dropped by the kernel.
        case drop
        /// A connection that ended.
        case flow
        /// What only this firewall says: a packet that passed and is worth a record, or news of the agent itself.
        case portreeve
    }

    package let record: EventRecord
    package let host: String?
    /// Of the first and last event; nanoseconds since 1970.
    package private(set) var first: Int64
    package private(set) var last: Int64
    package let inInterface: String?
    package let outInterface: String?
    package let physicalInInterface: String?
    package let physicalOutInterface: String?
    package let rule: RuleName?
    package let mode: Mode?
    package let note: String?
    package let cause: CauseRow?
    /// All that has to be turned for the packet to pass. Empty where nothing helps; `nil` where nothing was refused, or where
    /// the record is of events with different remedies.
    package let explain: [String]?
    package let flowID: UInt64?
    package let communityID: CommunityID?
    /// Of connections that ended.
    package let account: FlowAccount?
    /// The name of who sent it, for this host's own packets.
    package let senderUser: String?

    package var summary: EventSummary { record.summary }
    package var event: Event { record.summary.event }

    package var kind: Kind {
        if event.action.isRefusal { return .drop }
        return event.reason == .connectionClosed ? .flow : .portreeve
    }

    /// The rule's name for what a rule decided, otherwise the reason's.
    package var name: String {
        let row = event.reason.row
        return row.reason.isOfOneRule ? rule?.name ?? row.name : row.name
    }
}

extension RecordFields {
    /// Takes another record's time in.
    mutating func widen(to other: RecordFields) {
        first = min(first, other.first)
        last = max(last, other.last)
    }

    /// What a record can do without where it is too long for its output.
    enum Shortening { case withoutPacket, withoutTexts }

    func shortened(_ shortening: Shortening) -> RecordFields {
        var record = record
        record.packet = []
        let keepsTexts = shortening == .withoutPacket
        return RecordFields(
            record: record, host: host, first: first, last: last, inInterface: inInterface, outInterface: outInterface,
            physicalInInterface: physicalInInterface, physicalOutInterface: physicalOutInterface, rule: rule,
            mode: mode,
            note: keepsTexts ? note : nil, cause: cause, explain: keepsTexts ? explain : nil, flowID: flowID,
            communityID: communityID, account: account, senderUser: senderUser)
    }

    /// The record of several, of which `summary` says what they have in common.
    func coarse(_ summary: EventSummary) -> RecordFields {
        let shared = summary.shared
        let record = EventRecord(summary)
        let clockOffset = Instant.Span(nanoseconds: first &- self.summary.first.nanoseconds)
        return RecordFields(
            record: record, host: host, first: first, last: last,
            inInterface: shared.contains(.interfaces) ? inInterface : nil,
            outInterface: shared.contains(.interfaces) ? outInterface : nil,
            physicalInInterface: nil, physicalOutInterface: nil,
            rule: shared.contains(.rule) ? rule : nil, mode: shared.contains(.policy) ? mode : nil,
            note: RecordResolver.note(record), cause: shared.contains(.cause) ? cause : nil,
            explain: shared.contains(.cause) ? explain : nil, flowID: nil, communityID: nil,
            account: FlowAccount(summary, clockOffset: clockOffset), senderUser: nil)
    }
}

/// A record's place in what one output was given.
package struct RecordPlace: Sendable, BitwiseCopyable {
    /// Counts the records given to the output since the agent started, from 1.
    package var sequence: UInt64
    /// Events that the output gave up since the record before.
    package var lost: UInt64

    package init(sequence: UInt64, lost: UInt64 = 0) {
        self.sequence = sequence
        self.lost = lost
    }
}

/// Names and seeds that turn records into fields.
package struct RecordResolver: Sendable {
    /// Name of this host; left out where `nil`.
    package var host: String?
    package var interfaces = InterfaceNames()
    /// What is said of blocked sources.
    package var blocks: [BlockedAddress: String] = [:]
    /// Names of users by their numbers.
    package var users: [UInt32: String] = [:]
    private var policies = PolicyHistory()
    private var explanations: [ExplanationKey: [String]] = [:]
    private let flowSeed: (UInt64, UInt64)

    /// `flowSeed` makes the flow identifiers of one run its own; the same seed gives the same identifiers.
    package init(host: String?, flowSeed: (UInt64, UInt64)) {
        self.host = host
        self.flowSeed = flowSeed
    }

    /// Makes a policy known, before the first event of it.
    package mutating func register(_ names: PolicyNames) {
        policies.register(names)
        explanations.removeAll(keepingCapacity: true)
    }

    /// What a record says. `clockOffset` has to be added to its instants to have Unix time.
    package mutating func fields(_ record: EventRecord, clockOffset: Instant.Span) -> RecordFields {
        let summary = record.summary
        let event = summary.event
        let shared = summary.shared
        let names = shared.contains(.policy) ? policies[event.policyEpoch] : nil
        let rule = shared.contains(.rule) ? names?.rule(event.rule) : nil
        let ofAll = shared.contains(.interfaces) ? event.metadata : PacketMetadata()
        let ofOne = shared.contains(.packet) ? ofAll : PacketMetadata()
        let headers = shared.contains(.packet) ? event.headers : PacketHeaders()
        let isOneCause = shared.contains(.cause)
        return RecordFields(
            record: record, host: host,
            first: summary.first.nanoseconds &+ clockOffset.nanoseconds,
            last: summary.last.nanoseconds &+ clockOffset.nanoseconds,
            inInterface: interfaces[ofAll.inInterface], outInterface: interfaces[ofAll.outInterface],
            physicalInInterface: interfaces[ofOne.physicalInInterface],
            physicalOutInterface: interfaces[ofOne.physicalOutInterface],
            rule: rule, mode: names?.mode, note: noteOfBlock(record) ?? RecordResolver.note(record),
            cause: isOneCause && event.cause != .none ? event.cause.row : nil,
            explain: isOneCause && event.action.isRefusal ? explanation(of: event, names) : nil,
            flowID: FlowID.make(headers, seed: flowSeed), communityID: CommunityID(headers),
            account: FlowAccount(summary, clockOffset: clockOffset),
            senderUser: ofOne.senderUID == .max ? nil : users[ofOne.senderUID])
    }

    /// Texts of a few hundred kinds are kept: making them took longer than the rest of a record.
    private mutating func explanation(of event: Event, _ names: PolicyNames?) -> [String] {
        guard !event.remedy.isEmpty else { return [] }
        let key = ExplanationKey(
            epoch: names == nil ? nil : event.policyEpoch, rule: event.remedyRule, remedy: event.remedy)
        if let known = explanations[key] { return known }
        if explanations.count == RecordResolver.mostExplanations { explanations.removeAll(keepingCapacity: true) }
        let new = event.remedy.explanations(names, rule: event.remedyRule)
        explanations[key] = new
        return new
    }

    private struct ExplanationKey: Hashable {
        let epoch: UInt32?
        let rule: Int32
        let remedy: CauseSet
    }

    /// Until when a source is blocked, by whom and why.
    private func noteOfBlock(_ record: EventRecord) -> String? {
        let event = record.summary.event
        guard event.reason == .blockedSource, record.summary.shared.contains(.source) else { return nil }
        return blocks[BlockedAddress(event.headers.source, version: event.headers.network == .ipv6 ? 6 : 4)]
    }

    private static let mostExplanations = 256

    fileprivate static func note(_ record: EventRecord) -> String? {
        if let detail = record.detail { return detail }
        let shared = record.summary.shared
        if let account = FlowAccount(record.summary, clockOffset: .zero) { return account.note }
        if !shared.contains(.source) { return "many sources" }
        return shared.contains(.note) ? record.summary.event.note.text : nil
    }
}
