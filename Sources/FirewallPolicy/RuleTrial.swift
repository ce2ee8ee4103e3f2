// SPDX-License-Identifier: GPL-3.0-or-later

public import ConnectionTracking

/// Criteria of a rule, by what they look at.
public struct RuleCriteria: OptionSet, Hashable, Sendable, BitwiseCopyable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    public static let frame = RuleCriteria(rawValue: 1 << 0)
    public static let protocols = RuleCriteria(rawValue: 1 << 1)
    public static let sourceAddresses = RuleCriteria(rawValue: 1 << 2)
    public static let destinationAddresses = RuleCriteria(rawValue: 1 << 3)
    public static let sourcePorts = RuleCriteria(rawValue: 1 << 4)
    public static let destinationPorts = RuleCriteria(rawValue: 1 << 5)
    public static let sourceMACs = RuleCriteria(rawValue: 1 << 6)
    public static let destinationMACs = RuleCriteria(rawValue: 1 << 7)
    public static let flags = RuleCriteria(rawValue: 1 << 8)
    public static let icmp = RuleCriteria(rawValue: 1 << 9)
    public static let interfaces = RuleCriteria(rawValue: 1 << 10)
    public static let schedule = RuleCriteria(rawValue: 1 << 11)
    /// Of a built-in rule for ICMP errors: the quoted packet is of no known exchange.
    public static let knownQuote = RuleCriteria(rawValue: 1 << 12)
    /// A Deny rule that does not name ICMPv6 stops no neighbour discovery.
    public static let neighbourDiscovery = RuleCriteria(rawValue: 1 << 13)
    /// A Deny rule that does not name IGMP stops none.
    public static let groupMembership = RuleCriteria(rawValue: 1 << 14)
    /// Ports, flags or the ICMP type decide, which this packet does not have and another of its datagram has.
    public static let transport = RuleCriteria(rawValue: 1 << 15)
    public static let sender = RuleCriteria(rawValue: 1 << 16)

    /// How many they are.
    public var count: Int { rawValue.nonzeroBitCount }

    /// One by one, in the order above.
    public var each: [RuleCriteria] {
        (0..<17).map { RuleCriteria(rawValue: 1 << $0) }.filter { contains($0) }
    }
}

/// How one rule fared with a packet.
public struct RuleTrial: Hashable, Sendable, BitwiseCopyable {
    /// Index in `Policy.rules`.
    public var rule: Int32
    /// What kept it from matching; empty: it matches.
    public var missed: RuleCriteria

    init(_ rule: Int32, _ missed: RuleCriteria) {
        self.rule = rule
        self.missed = missed
    }
}

extension Policy {
    /// Every rule of the subject's direction but Log Only, in the order in which they are asked, and how each fares. The first
    /// that misses nothing is the one that `classify` names, unless the subject's transport fields are elsewhere.
    public func trials(of subject: RuleSubject) -> [RuleTrial] {
        let rules = subject.direction.isIncoming ? incoming : outgoing
        return rules.trials(of: subject, lists)
    }

    /// The rules of a direction but Log Only and those that are off, by their indices in `rules`, in the order in which they are asked.
    public func order(_ direction: Direction) -> [Int32] { (direction.isIncoming ? incoming : outgoing).order }
}
