// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire

extension Engine {
    /// The one question to the rules: what they say of this subject.
    mutating func ruling(on subject: RuleSubject) -> RuleDecision { policy.classify(subject) }

    /// Asks the rules about this packet as it is.
    mutating func ask(_ p: inout Inspection) { ask(&p, subject(&p)) }

    /// Asks them about this packet, seen so.
    mutating func ask(_ p: inout Inspection, _ subject: RuleSubject) {
        if p.isOwnTraffic {
            if records(&p) { record(.ownTraffic) }
            p.ruling = RuleDecision(outcome: .forceAllow)
            return
        }
        p.ruling = ruling(on: subject)
        if records(&p) { record(.ruled(subject, p.ruling, isKept: false)) }
        if p.isRehearsal { turnRules(&p) }
    }

    /// A rule that is taken as turned forces the packet to be allowed, as does one that is added where none matches.
    private mutating func turnRules(_ p: inout Inspection) {
        let isTurned =
            switch p.ruling.outcome {
            case .deny: !p.isSubject(to: .denyRule)
            case .implicitDeny: !p.isSubject(to: .noAllowRule)
            default: false
            }
        if isTurned { p.ruling.outcome = .forceAllow }
    }

    /// What has no state: other protocols, ICMPv6 but its errors, and everything whose stateful inspection is off.
    mutating func judgeByRulesAlone(_ p: inout Inspection) -> Finding? { refusalByRules(&p) }

    /// The packet as rules see it.
    mutating func subject(_ p: inout Inspection) -> RuleSubject {
        var s = RuleSubject(
            p.headers, direction: p.direction, interfacePatterns: p.traits.patterns, activeSchedules: activeSchedules)
        s.hasInterface = p.interface != 0
        if hot.examinesSender { s.senders = senders(&p) }
        return s
    }

    /// A packet of a known connection as rules see it.
    mutating func subject(_ p: inout Inspection, of i: ConnectionIndex, _ side: Side) -> RuleSubject {
        var s = subject(&p)
        if hot.examinesSender { s.senders = sendersOfKnown(&p, i, side) }
        return s
    }

    /// The finding of a ruling that drops a packet of no known connection.
    mutating func refusalByRules(_ p: inout Inspection) -> Finding? {
        switch p.ruling.outcome {
        case .deny: Finding(.deny, .denyRule, rule: p.ruling.rule)
        case .implicitDeny: implicitDeny(&p)
        case .bypass, .forceAllow, .allow, .noMatch, .undetermined: nil
        }
    }

    /// No Allow rule matched: with a note of its own where a local socket would have answered.
    private mutating func implicitDeny(_ p: inout Inspection) -> Finding {
        let couldBeLocal = p.direction == .incoming && p.metadata.hook != .forward && p.metadata.hook != .none
        return Finding(
            couldBeLocal && listeningPorts.contains(p.headers) ? .outOfAllowedPolicyOpenPort : .outOfAllowedPolicy,
            .noAllowRule)
    }

    /// The rules' answer for a packet of a known connection: cached, or asked again where what they look at differs.
    mutating func ruleKnown(_ p: inout Inspection, _ i: ConnectionIndex, _ side: Side) {
        if let cached = cachedRuling(&p, i, side) {
            p.ruling = cached
            if records(&p) { record(.ruled(subject(&p, of: i, side), cached, isKept: true)) }
            if p.isRehearsal { turnRules(&p) }
            return
        }
        ask(&p, subject(&p, of: i, side))
        cache(&p, i, side)
    }

    private mutating func cachedRuling(_ p: inout Inspection, _ i: ConnectionIndex, _ side: Side) -> RuleDecision? {
        let cached = table.decision(of: i, for: side)
        guard isCurrent(cached, &p), mayBeCached(&p, i), !mayHaveOtherSender(&p, i, side),
            !hot.examinesFlags[p.direction] || cached.flagsSeen & flagBit(&p) != 0
        else { return nil }
        return RuleDecision(
            outcome: RuleOutcome(rawValue: cached.outcome) ?? .undetermined, rule: cached.rule,
            logOnlyRule: cached.logOnlyRule)
    }

    /// Keeps the answer for this side; where the flags in the packet led to another answer than the one kept, that one
    /// stays, for it is the one of most packets. What was said of the agent's own packet holds for no other.
    mutating func cache(_ p: inout Inspection, _ i: ConnectionIndex, _ side: Side) {
        guard !p.leavesNoTrace, !p.isOwnTraffic, mayBeCached(&p, i), speaksForItsSender(&p, i, side) else { return }
        var cached = table.decision(of: i, for: side)
        let isCurrent = isCurrent(cached, &p) && !mayHaveOtherSender(&p, i, side)
        let agrees =
            cached.outcome == p.ruling.outcome.rawValue && cached.rule == p.ruling.rule
            && cached.logOnlyRule == p.ruling.logOnlyRule
        guard !isCurrent || agrees else { return }
        cached.flagsSeen = (isCurrent ? cached.flagsSeen : 0) | flagBit(&p)
        cached.generation = generation
        cached.interface = p.interface
        cached.direction = p.direction
        cached.outcome = p.ruling.outcome.rawValue
        cached.rule = p.ruling.rule
        cached.logOnlyRule = p.ruling.logOnlyRule
        table.keep(cached, of: i, for: side)
    }

    /// Whether what was decided then is decided for this packet. A router may see one side's packets in both directions:
    /// a spoofed one comes in by the interface through which the real ones leave.
    private mutating func isCurrent(_ cached: CachedRuleDecision, _ p: inout Inspection) -> Bool {
        cached.generation == generation && cached.interface == p.interface && cached.direction == p.direction
    }

    /// Whether packets that follow cannot differ from this one in what rules look at, flags apart: the MAC addresses are
    /// those of the opening packet, and of an ICMP exchange only the identifier is the same.
    private mutating func mayBeCached(_ p: inout Inspection, _ i: ConnectionIndex) -> Bool {
        (!hot.examinesSourceMAC[p.direction] || p.headers.sourceMAC == table.standing(of: i).openingMAC)
            && !hot.examinesDestinationMAC[p.direction]
            && !(p.headers.transport == .icmp && hot.examinesICMP[p.direction])
    }

    private mutating func flagBit(_ p: inout Inspection) -> UInt64 {
        1 << UInt64(p.headers.tcp.flags.intersection(.ruleFlags).rawValue)
    }
}
