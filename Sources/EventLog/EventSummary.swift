// SPDX-License-Identifier: GPL-3.0-or-later

package import FirewallEngine
import FirewallPolicy
package import PacketWire

/// One event, or several that became one: the first of them, how many, from when to when, and what they have in common.
package struct EventSummary: Sendable, BitwiseCopyable {
    /// The first one that came. Of its fields only those in `shared` are true of all.
    package var event: Event
    package var count: UInt64
    package var first: Instant
    package var last: Instant
    package var shared: SharedFields

    package init(_ event: Event, count: UInt64 = 1, shared: SharedFields = .all) {
        self.event = event
        self.count = count
        first = event.instant
        last = event.instant
        self.shared = shared
    }

    /// Adds an event that folds into this one: same reason, cause, rule, action, answer, direction, interface, protocol,
    /// addresses and destination port. What else the record says is true of the first event.
    mutating func fold(_ other: Event) {
        count &+= 1
        first = min(first, other.instant)
        last = max(last, other.instant)
    }

    /// Adds events of the same reason, action and direction that have nothing else in common for certain.
    mutating func merge(_ other: EventSummary) {
        count &+= other.count
        first = min(first, other.first)
        last = max(last, other.last)
        if let account = other.event.account { event.account?.add(account) }
        shared.formIntersection(other.shared)
        shared.formIntersection(SharedFields(event, other.event))
    }
}

/// The fields that all events of a summary have in common, beside reason, action and direction.
package struct SharedFields: OptionSet, Sendable, BitwiseCopyable {
    package var rawValue: UInt16
    package init(rawValue: UInt16) { self.rawValue = rawValue }

    package static let source = SharedFields(rawValue: 1 << 0)
    package static let destination = SharedFields(rawValue: 1 << 1)
    package static let destinationPort = SharedFields(rawValue: 1 << 2)
    /// IP version and transport protocol.
    package static let transport = SharedFields(rawValue: 1 << 3)
    package static let interfaces = SharedFields(rawValue: 1 << 4)
    /// Hook and queue.
    package static let delivery = SharedFields(rawValue: 1 << 5)
    /// Policy epoch, and with it the mode.
    package static let policy = SharedFields(rawValue: 1 << 6)
    package static let rule = SharedFields(rawValue: 1 << 7)
    package static let note = SharedFields(rawValue: 1 << 8)
    /// What only one packet has: source port, frame, TCP header, bytes.
    package static let packet = SharedFields(rawValue: 1 << 9)
    /// What decided, and what has to be turned; of connections, how they ended.
    package static let cause = SharedFields(rawValue: 1 << 10)

    /// How the packet was answered.
    package static let reply = SharedFields(rawValue: 1 << 11)

    package static let all = SharedFields(rawValue: 0xfff)

    /// What two events of different packets have in common.
    init(_ a: Event, _ b: Event) {
        self = []
        let samePolicy = a.policyEpoch == b.policyEpoch
        let sameTransport =
            a.headers.network == b.headers.network && a.headers.protocolNumber == b.headers.protocolNumber
        if a.headers.network == b.headers.network {
            if a.headers.source == b.headers.source { insert(.source) }
            if a.headers.destination == b.headers.destination { insert(.destination) }
        }
        if sameTransport {
            insert(.transport)
            if a.headers.destinationPort == b.headers.destinationPort { insert(.destinationPort) }
        }
        if a.metadata.inInterface == b.metadata.inInterface && a.metadata.outInterface == b.metadata.outInterface {
            insert(.interfaces)
        }
        if a.metadata.hook == b.metadata.hook && a.metadata.queue == b.metadata.queue { insert(.delivery) }
        if samePolicy { insert(.policy) }
        if samePolicy && a.rule == b.rule { insert(.rule) }
        if a.note == b.note { insert(.note) }
        if a.reply == b.reply { insert(.reply) }
        let sameRemedy =
            a.remedy == b.remedy && a.remedyRule == b.remedyRule
            && (samePolicy || !(a.remedy.contains(.denyRule) || a.remedy.contains(.ruleRate)))
        let sameEnd = a.account?.ending == b.account?.ending && a.account?.timeout == b.account?.timeout
        if a.cause == b.cause && sameRemedy && sameEnd { insert(.cause) }
    }
}

/// What becomes one line of the log.
package struct EventRecord: Sendable {
    package var summary: EventSummary
    /// The first packet's bytes where the policy asks for packet data, otherwise empty.
    package var packet: [UInt8] = []
    /// Free text that stands in place of the event's note: what the agent reports of itself.
    package var detail: String?
    /// The unit of the process that sent it.
    package var unit: String?

    package init(_ summary: EventSummary, packet: [UInt8] = [], detail: String? = nil, unit: String? = nil) {
        self.summary = summary
        self.packet = packet
        self.detail = detail
        self.unit = unit
    }
}
