// SPDX-License-Identifier: GPL-3.0-or-later

public import ConnectionTracking

extension Policy {
    /// What the rules say about a subject (POLICY.md, rule semantics): for priority 4, 3, 2, 1, 0 the first of Bypass, Log
    /// Only (4 only, noted in passing), Force Allow, Deny, Allow (0 only) that matches; without a match the direction's
    /// implicit deny, if it is restrictive. Costs no heap allocation.
    public func classify(_ subject: RuleSubject) -> RuleDecision {
        subject.direction.isIncoming ? incoming.decide(subject, lists) : outgoing.decide(subject, lists)
    }

    /// Whether what no Allow or Force Allow rule of this direction admits is refused: because an Allow rule exists, be its
    /// schedule on or off, or because the policy's `default` says so.
    public func isRestrictive(_ direction: Direction) -> Bool { self[direction].isRestrictive }

    /// Whether a rule of this direction looks at TCP flags, so that packets of one connection can differ in their decision.
    public func examinesFlags(_ direction: Direction) -> Bool { self[direction].examinesFlags }

    /// Whether a rule of this direction looks at the source MAC address.
    public func examinesSourceMAC(_ direction: Direction) -> Bool { self[direction].examinesSourceMAC }

    /// Whether a rule of this direction looks at the destination MAC address.
    public func examinesDestinationMAC(_ direction: Direction) -> Bool { self[direction].examinesDestinationMAC }

    /// Whether a rule of this direction looks at the interface.
    public func examinesInterface(_ direction: Direction) -> Bool { self[direction].examinesInterface }

    /// Whether an outgoing rule looks at who sends.
    public var examinesSender: Bool { outgoing.examinesSender }

    /// Whether a rule of this direction looks at ICMP type or code.
    public func examinesICMP(_ direction: Direction) -> Bool { self[direction].examinesICMP }

    private subscript(direction: Direction) -> DirectionRules { direction.isIncoming ? incoming : outgoing }
}
