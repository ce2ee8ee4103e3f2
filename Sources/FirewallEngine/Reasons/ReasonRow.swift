// SPDX-License-Identifier: GPL-3.0-or-later

/// The part of the packet's way that gives a reason (docs/design.md 2).
public enum Stage: UInt8, Sendable, BitwiseCopyable {
    /// V: unreadable or invalid headers and addresses.
    case sanity
    /// F
    case fragments
    /// R
    case rules
    /// T: TCP flags, sequence, state.
    case tracking
    /// U: UDP and ICMP pseudo-state.
    case unsolicited
    /// C: limits.
    case connections
    /// E: the agent's own trouble.
    case agent
    /// Not a drop.
    case notice

    /// As events and tables print it.
    public var letter: String {
        switch self {
        case .sanity: "V"
        case .fragments: "F"
        case .rules: "R"
        case .tracking: "T"
        case .unsolicited: "U"
        case .connections: "C"
        case .agent: "E"
        case .notice: "notice"
        }
    }
}

/// One row of the table of reasons.
public struct ReasonRow: Sendable {
    public let reason: DropReason
    /// The number that users know; unique.
    public let number: UInt16
    /// Stable machine name: `out-of-connection`.
    public let slug: String
    /// Display name: `Out Of Connection`.
    public let name: String
    public let stage: Stage
    /// When it is raised, one sentence.
    public let raisedWhen: String
    /// Where it can be seen: `queue`, `guard` (frame guard), `replay`.
    public let seen: String
    /// Advice to the administrator; empty where there is none.
    public let advice: String
    /// False for what this version does not raise yet.
    public let isAvailable: Bool

    init(
        _ reason: DropReason, _ number: UInt16, _ slug: String, _ name: String, _ stage: Stage, raisedWhen: String,
        seen: String, advice: String, isAvailable: Bool = true
    ) {
        self.reason = reason
        self.number = number
        self.slug = slug
        self.name = name
        self.stage = stage
        self.raisedWhen = raisedWhen
        self.seen = seen
        self.advice = advice
        self.isAvailable = isAvailable
    }
}

extension DropReason {
    /// Its row of the table.
    public var row: ReasonRow { ReasonRow.all[Int(rawValue)] }

    /// The reason with this slug.
    public init?(slug: String) {
        guard let row = ReasonRow.all.first(where: { $0.slug == slug }) else { return nil }
        self = row.reason
    }

    /// The reason with this number.
    public init?(number: UInt16) {
        guard let row = ReasonRow.all.first(where: { $0.number == number }) else { return nil }
        self = row.reason
    }
}
