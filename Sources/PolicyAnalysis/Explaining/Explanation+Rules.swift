// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ConnectionTracking
import FirewallEngine
package import FirewallPolicy
import PacketWire
import PolicyFile

extension Explanation {
    /// So many rules that nearly match are named.
    private static let mostNearMisses = 8

    /// What the rules said: which decided, and which of those asked before it, or of those that could have admitted the packet, lack one
    /// criterion only.
    func lines(of subject: RuleSubject, _ decision: RuleDecision, isKept: Bool) -> [Line] {
        var lines: [Line] = []
        let kept = isKept ? " (kept from an earlier packet of the connection)" : ""
        lines.append(Line(depth: 0, text: "rules: \(sentence(of: decision, subject))\(kept)"))
        if decision.rule >= 0, let rule = rule(decision.rule) {
            lines.append(
                Line(
                    depth: 1,
                    text: "decides: \(place(of: decision.rule)): \(rule.action.word), priority \(rule.priority)"))
            if rule.offload, decision.outcome == .bypass {
                let what = "offload: the kernel may pass what follows of its flow in this direction, unjudged"
                lines.append(Line(depth: 1, text: what))
            }
        }
        let misses = nearMisses(of: subject, before: decision.rule)
        for trial in misses.prefix(Self.mostNearMisses) {
            lines.append(Line(depth: 1, text: "nearly: \(place(of: trial.rule)): \(text(of: trial, subject))"))
        }
        if misses.count > Self.mostNearMisses {
            lines.append(
                Line(depth: 1, text: "and \(misses.count - Self.mostNearMisses) more that lack one criterion only"))
        }
        if decision.logOnlyRule >= 0 {
            lines.append(Line(depth: 1, text: "logged, if it passes, by \(place(of: decision.logOnlyRule))"))
        }
        return lines
    }

    /// Rules that rank before the deciding one and lack exactly one criterion, in the order in which they are asked.
    package func nearMisses(of subject: RuleSubject, before rule: Int32) -> [RuleTrial] {
        policy.trials(of: subject).prefix { $0.rule != rule || !$0.missed.isEmpty }.filter { $0.missed.count == 1 }
    }

    private func sentence(of decision: RuleDecision, _ subject: RuleSubject) -> String {
        switch decision.outcome {
        case .bypass: "bypass: it passes, and nothing else is asked"
        case .forceAllow: "forced to be allowed"
        case .deny: "denied"
        case .allow: "allowed"
        case .noMatch:
            policy.isRestrictive(subject.direction)
                ? "none matches, and this protocol needs none"
                : "none matches, and none has to: \(subject.direction.word) packets are not restricted by Allow rules"
        case .implicitDeny: "none admits it, and \(restriction(subject.direction))"
        case .undetermined: "undecided: fields decide that only the first fragment has"
        }
    }

    private func restriction(_ direction: Direction) -> String {
        let setting = direction == .incoming ? policy.document.unmatched.incoming : policy.document.unmatched.outgoing
        if setting == .deny { return "default.\(direction.word) is deny" }
        return "one is needed, because \(direction.word) Allow rules exist"
    }

    /// What kept a rule from the packet: the criterion, and the value that it met.
    private func text(of trial: RuleTrial, _ subject: RuleSubject) -> String {
        guard let rule = rule(trial.rule) else { return "" }
        return "\(rule.action.word) but for \(Self.text(of: trial.missed, rule, subject, policy))"
    }

    static func text(of missed: RuleCriteria, _ rule: Rule, _ subject: RuleSubject, _ policy: Policy) -> String {
        let isIPv6 = subject.network == .ipv6
        func no(_ inverted: Bool?) -> String {
            inverted == true ? "is one of those excluded" : "is none of those named"
        }
        return switch missed {
        case .frame: "frame: this is \(isIPv6 ? "IPv6" : subject.network == .ipv4 ? "IPv4" : "another frame")"
        case .protocols: "protocol: \(subject.protocolNumber) \(no(rule.protocols?.isInverted))"
        case .sourceAddresses:
            "source.addresses: \(subject.source.description(isIPv6: isIPv6)) \(no(rule.source.addresses?.isInverted))"
        case .destinationAddresses:
            "destination.addresses: \(subject.destination.description(isIPv6: isIPv6)) \(no(rule.destination.addresses?.isInverted))"
        case .sourcePorts:
            subject.hasPorts
                ? "source.ports: \(subject.sourcePort) \(no(rule.source.ports?.isInverted))"
                : "source.ports: it has none"
        case .destinationPorts:
            subject.hasPorts
                ? "destination.ports: \(subject.destinationPort) \(no(rule.destination.ports?.isInverted))"
                : "destination.ports: it has none"
        case .sourceMACs: "source.macs: \(subject.sourceMAC != .none ? subject.sourceMAC.description : "it has none")"
        case .destinationMACs:
            "destination.macs: \(subject.destinationMAC != .none ? subject.destinationMAC.description : "it has none")"
        case .flags: subject.hasFlags ? "flags: \(subject.flags.words)" : "flags: it has none"
        case .icmp: subject.hasICMP ? "icmp: type \(subject.icmpType), code \(subject.icmpCode)" : "icmp: it is none"
        case .interfaces: "interfaces: it is on \(subject.hasInterface ? "none of those named" : "none that is known")"
        case .schedule: hours(of: rule, policy)
        case .sender:
            subject.senders == 0 ? "sender: none of those named, or of no process" : "sender: none of those named"
        case .knownQuote: "what it quotes: of no known exchange"
        case .neighbourDiscovery: "its protocol: a deny rule stops neighbour discovery only where it names icmpv6"
        case .groupMembership: "its protocol: a deny rule stops IGMP only where it names igmp"
        default: "ports, flags or type, which this fragment does not show"
        }
    }

    private static func hours(of rule: Rule, _ policy: Policy) -> String {
        let schedule = rule.schedule.map { policy.document.schedules[$0] }
        guard let schedule, let end = schedule.end else { return "schedule: it does not hold now" }
        return schedule.hoursOf == nil
            ? "until: it has ended (\(end.text))" : "schedule and until (\(end.text)): it does not hold now"
    }

    func rule(_ index: Int32) -> Rule? {
        policy.rules.indices.contains(Int(index)) ? policy.rules[Int(index)] : nil
    }

    /// "policy.yaml:12:5 "No telnet"".
    package func place(of index: Int32) -> String {
        guard let rule = rule(index) else { return "a rule of an earlier policy" }
        return rule.place
    }
}

extension Rule {
    /// Where it stands, and its name.
    package var place: String {
        isBuiltIn ? "built-in \"\(name)\"" : "\(position.file):\(position.line):\(position.column) \"\(name)\""
    }
}
