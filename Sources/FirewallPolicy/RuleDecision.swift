// SPDX-License-Identifier: GPL-3.0-or-later

/// What the rules say about a packet; the stateful checks come after.
public enum RuleOutcome: UInt8, Sendable, BitwiseCopyable, CaseIterable {
    case bypass, forceAllow, deny, allow
    /// No rule decides, and the packet passes: nothing restricts its direction, or it is ICMPv6.
    case noMatch
    /// An Allow rule exists for the direction, or `default` refuses, and no rule admits the packet.
    case implicitDeny
    /// The transport fields, which this packet does not have, decide.
    case undetermined
}

/// The outcome of `Policy.classify`.
public struct RuleDecision: Hashable, Sendable, BitwiseCopyable {
    public var outcome: RuleOutcome
    /// Index of the deciding rule in `Policy.rules`, or -1.
    public var rule: Int32
    /// Index of the Log Only rule whose event is due if the packet finally passes, or -1: the first in the order of the
    /// file of those that match. -1 if a Bypass rule of priority 4 matched, which is asked before them.
    public var logOnlyRule: Int32

    public init(outcome: RuleOutcome, rule: Int32 = -1, logOnlyRule: Int32 = -1) {
        self.outcome = outcome
        self.rule = rule
        self.logOnlyRule = logOnlyRule
    }
}

extension RuleOutcome {
    /// What a rule of this action says of a packet that it decides about.
    public init(_ action: RuleAction) {
        switch action {
        case .bypass: self = .bypass
        case .forceAllow: self = .forceAllow
        case .deny: self = .deny
        case .allow, .logOnly: self = .allow
        }
    }
}
