// SPDX-License-Identifier: GPL-3.0-or-later

/// The part of the packet's way that gives a reason (DESIGN section 2).
package enum Stage: UInt8, Sendable, BitwiseCopyable {
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
    package var letter: String {
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
package struct ReasonRow: Sendable {
    package let reason: DropReason
    /// The number that users know; unique.
    package let number: UInt16
    /// Stable machine name: `out-of-connection`.
    package let slug: String
    /// Display name: `Out Of Connection`.
    package let name: String
    package let stage: Stage
    /// When it is raised, one sentence.
    package let raisedWhen: String
    /// Path of the policy setting that changes the outcome; `"rule"`: the rule that the event names; nil: none does.
    package let setting: String?
    /// Where it can be seen: `queue`, `guard` (frame guard), `replay`.
    package let seen: String
    /// Advice to the administrator; empty where there is none.
    package let advice: String
    /// False for what this version does not raise yet.
    package let isAvailable: Bool

    init(
        _ reason: DropReason, _ number: UInt16, _ slug: String, _ name: String, _ stage: Stage, raisedWhen: String,
        setting: String?, seen: String, advice: String, isAvailable: Bool = true
    ) {
        self.reason = reason
        self.number = number
        self.slug = slug
        self.name = name
        self.stage = stage
        self.raisedWhen = raisedWhen
        self.setting = setting
        self.seen = seen
        self.advice = advice
        self.isAvailable = isAvailable
    }
}

extension DropReason {
    /// Its row of the table.
    package var row: ReasonRow { ReasonRow.all[Int(rawValue)] }

    /// The reason with this slug.
    package init?(slug: String) {
        guard let row = ReasonRow.all.first(where: { $0.slug == slug }) else { return nil }
        self = row.reason
    }

    /// The reason with this number.
    package init?(number: UInt16) {
        guard let row = ReasonRow.all.first(where: { $0.number == number }) else { return nil }
        self = row.reason
    }
}
