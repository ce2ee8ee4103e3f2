// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
package import FirewallPolicy

/// Something about a policy that loads, which hardly is what its author meant, or is good to know; it is so, not likely.
package struct PolicyLint: Hashable, Sendable {
    package enum Level: String, Sendable {
        case warning
        /// It depends on this host, or is no fault.
        case note
    }

    /// Stable name: "covered".
    package let code: String
    package let level: Level
    /// nil: it is about the policy as a whole.
    package let position: SourcePosition?
    /// One sentence without its full stop.
    package let text: String
    package let cure: String

    package init(_ code: String, _ level: Level = .warning, at position: SourcePosition?, _ text: String, cure: String)
    {
        self.code = code
        self.level = level
        self.position = position
        self.text = text
        self.cure = cure
    }
}

extension PolicyLint {
    /// What a finding says; nil where a rule is as it should be.
    package init?(_ finding: RuleFinding, _ policy: Policy) {
        let rule = policy.rules[Int(finding.rule)]
        guard !rule.isBuiltIn else { return nil }
        let name = "rule \"\(rule.name)\""
        switch finding.verdict {
        case .effective, .disabled: return nil
        case .covered(let others, let agrees):
            let places = others.prefix(5).map { policy.rules[Int($0)].place }.joined(separator: ", ")
            let more = others.count > 5 ? " and \(others.count - 5) more" : ""
            let what = rule.action == .allow ? "every connection that it could admit" : "every packet that it matches"
            let effect = agrees ? "which do the same" : "not all of which do the same"
            let one = others.count == 1
            self.init(
                agrees ? "redundant" : "shadowed", at: rule.position,
                "\(name) decides nothing, because \(what) is decided before by \(places)\(more), "
                    + (one ? (agrees ? "which does the same" : "which does something else") : effect),
                cure: Self.cure(rule, policy, agrees: agrees))
        case .matchesNothing(let why):
            self.init("matches-nothing", at: rule.position, "\(name) matches no packet: \(why.text)", cure: why.cure)
        case .admitsNothing(.noOpening):
            self.init(
                "admits-nothing", at: rule.position,
                "\(name) admits nothing, because it matches no segment that opens a connection, and others need no allow rule",
                cure: "leave its flags out, or remove it")
        case .admitsNothing(.exempt):
            self.init(
                "admits-nothing", at: rule.position,
                "\(name) admits nothing, because ICMPv6 and IGMP need no allow rule: they pass unless a deny rule names them",
                cure: Self.cure(rule, policy, agrees: true))
        case .admitsNothing(.datagrams(let setting)):
            self.init(
                "admits-nothing", at: rule.position,
                "\(name) admits nothing, because datagrams that answer nothing take a force-allow rule",
                cure: "make it action: force-allow, or set \(setting): allow")
        case .inert:
            self.init(
                "inert", .note, at: rule.position,
                "\(name) matches nothing on this host, which has no interface that it names",
                cure: "see that the name is right: \"ip link\" shows those that there are")
        case .undecided:
            self.init(
                "undecided", .note, at: rule.position,
                "whether \(name) ever decides was not found out within the budget",
                cure: "nothing is known to be wrong")
        }
    }

    private static func cure(_ rule: Rule, _ policy: Policy, agrees: Bool) -> String {
        let unmatched = policy.document.unmatched
        let isLast =
            rule.action == .allow
            && (rule.direction == .incoming ? unmatched.incoming : unmatched.outgoing) == .byRules
            && !policy.rules.contains {
                $0.action == .allow && $0.direction == rule.direction && $0.isEnabled && $0 != rule
            }
        if isLast {
            return
                "mind that it is the only \(rule.direction == .incoming ? "incoming" : "outgoing") allow rule: by being there it has "
                + "everything refused that no rule admits"
        }
        return agrees ? "remove it" : "remove it, narrow those before it, or give it a higher rank"
    }
}

extension RuleVerdict.Emptiness {
    var text: String {
        switch self {
        case .criterion(let key): "the list of its \(key) is empty"
        case .excluded(let key): "\"not\" in its \(key) leaves nothing that gets as far as the rules"
        case .refused(let key): "packets with its \(key) are refused before any rule is asked"
        case .ignored: "no rule is asked on the interfaces that it names (interfaces.ignore)"
        case .family: "IPv6 packets are refused before any rule is asked (engine.sanity.block-ipv6)"
        case .tag: "frames are looked at behind their VLAN tags, by what these carry"
        case .header:
            "a packet's protocol is what follows its IPv6 extension headers, none of these themselves, and where nothing "
                + "follows engine.sanity.drop-zero-payload refuses it"
        case .criteria: "its criteria exclude each other"
        case .schedule: "its schedule never holds in the year to come"
        case .ended(let end, let hasSchedule):
            hasSchedule
                ? "its schedule does not hold from now until \(end), when it ends" : "it has ended (until: \(end))"
        }
    }

    fileprivate var cure: String {
        switch self {
        case .criterion: "fill the list, or remove the rule"
        case .excluded: "remove the rule, or shorten the list"
        case .refused, .family: "remove the rule"
        case .tag: "name the frame type that the tagged frames carry, or remove the rule"
        case .header: "name what follows them, or remove the rule"
        case .ignored: "take the interface out of interfaces.ignore, or remove the rule"
        case .criteria: "remove the rule, or the criterion that is one too many"
        case .schedule: "give the schedule hours, or remove the rule"
        case .ended: "give it another end, or remove the rule"
        }
    }
}
