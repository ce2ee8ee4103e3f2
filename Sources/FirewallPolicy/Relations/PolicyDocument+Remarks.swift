// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import PacketWire

extension PolicyDocument {
    /// What is to be said of this policy, the widest first: what its author hardly meant. `sshPorts` are those on which this
    /// host's SSH servers listen.
    public func remarks(sshPorts: Set<UInt16> = []) -> [PolicyRemark] {
        let lists = ListCovers(self)
        // A rule that is off decides nothing, and is spoken of as soon as it is on.
        let extents = rules.filter(\.isEnabled).map { RuleExtent($0, self, lists) }
        let denials = extents.filter { $0.rule.action == .deny }
        return (openness.map { [$0] } ?? []) + sshPorts.sorted().compactMap { unreachable($0, extents, denials, lists) }
            + extents.compactMap { outranked($0, denials) } + extents.map(\.rule).compactMap(deadness)
    }

    /// Whether what no rule of a direction matches is refused.
    private func isRestrictive(_ direction: Direction) -> Bool {
        switch direction == .incoming ? unmatched.incoming : unmatched.outgoing {
        case .allow: false
        case .deny: true
        case .byRules: rules.contains { $0.isEnabled && $0.direction == direction && $0.action == .allow }
        }
    }

    /// Incoming traffic is restricted where what no rule matches is refused, and by Deny rules. Who says that it is to pass beside
    /// Allow rules knows that the rest comes in.
    private var openness: PolicyRemark? {
        let incoming = rules.filter { $0.isEnabled && $0.direction == .incoming }
        guard !isRestrictive(.incoming), !incoming.contains(where: { $0.action == .allow || $0.action == .deny })
        else { return nil }
        let what = rules.isEmpty ? "the policy has no rule" : "no rule restricts what comes in"
        return PolicyRemark(
            .open, "\(what): every TCP connection to this host is admitted",
            cure: unmatched.incoming == .allow
                ? "take default.incoming: allow out, and add an incoming allow rule for each service that is wanted"
                : "add an incoming allow rule for each service that is wanted, and what none of them matches is dropped"
        )
    }

    /// An Allow or Force Allow all of whose packets a Deny takes first.
    private func outranked(_ extent: RuleExtent, _ denials: [RuleExtent]) -> PolicyRemark? {
        let rule = extent.rule
        guard rule.action == .allow || rule.action == .forceAllow,
            let denial = denials.first(where: { $0.rule.outranks(rule) && $0.covers(extent) })
        else { return nil }
        let without = isRestrictive(rule.direction) ? " (what no allow rule matches is dropped without it)" : ""
        // What an Allow matches of that passes without it.
        let isSpared = rule.action == .forceAllow && extent.hasExempt
        let but = isSpared ? " but neighbour discovery, MLD and IGMP, which pass without it" : ""
        return PolicyRemark(
            .outranked, at: rule.position, coversRule: !isSpared,
            "rule \"\(rule.name)\" admits nothing\(but), because the deny rule \"\(denial.rule.name)\" (\(denial.rule.place)) "
                + "outranks it and matches all \(isSpared ? "else that it matches" : "that it could admit")",
            cure: "remove or narrow the deny rule\(without), or make \"\(rule.name)\" a force-allow rule of priority "
                + "\(denial.rule.priority)")
    }

    /// An Allow for datagrams that take a Force Allow.
    private func deadness(_ rule: Rule) -> PolicyRemark? {
        guard rule.action == .allow, rule.direction == .incoming, let protocols = rule.protocols,
            !protocols.isInverted
        else { return nil }
        let isUDP = stateful.udpEnabled && stateful.udpAdmit == .forceAllow
        let isICMP = stateful.icmpEnabled && stateful.icmpAdmit == .forceAllow
        switch protocols.value {
        case .number(IPProtocol.udp) where isUDP: return dead(rule, "nothing", "udp")
        case .tcpAndUDP where isUDP: return dead(rule, "no UDP", "udp")
        case .number(IPProtocol.icmp) where isICMP: return dead(rule, "nothing", "icmp")
        default: return nil
        }
    }

    private func dead(_ rule: Rule, _ what: String, _ setting: String) -> PolicyRemark {
        PolicyRemark(
            .dead, at: rule.position, coversRule: what == "nothing",
            "rule \"\(rule.name)\" admits \(what), because datagrams that answer nothing take a force-allow rule",
            cure: "make it action: force-allow, or set stateful.\(setting).admit: allow")
    }

    /// The host's SSH port, to which no rule lets anybody.
    private func unreachable(
        _ port: UInt16, _ extents: [RuleExtent], _ denials: [RuleExtent], _ lists: ListCovers
    ) -> PolicyRemark? {
        func atPort(_ extent: RuleExtent) -> RuleExtent {
            var narrowed = extent
            narrowed.destinationPorts = Criterion([PortRange(first: port, last: port)])
            return narrowed
        }
        let incoming = extents.filter { $0.rule.direction == .incoming && $0.includes(tcpPort: port) }
        let admitting = incoming.filter { [.allow, .forceAllow, .bypass].contains($0.rule.action) }
        let isAdmitted = admitting.map(atPort).contains { extent in
            !denials.contains { $0.rule.outranks(extent.rule) && $0.covers(extent) }
        }
        var anybody = Rule(
            name: "", action: .allow, priority: 0, direction: .incoming,
            position: SourcePosition(file: "", line: 0, column: 0))
        anybody.protocols = Criterion(.number(IPProtocol.tcp))
        let isDenied = denials.contains { $0.covers(atPort(RuleExtent(anybody, self, lists))) }
        guard !isAdmitted, isRestrictive(.incoming) || isDenied else { return nil }
        return PolicyRemark(
            .unreachable, "an SSH server of this host listens on port \(port), and no rule admits a connection to it",
            cure: "add an allow rule for incoming tcp to port \(port), and see that no deny rule outranks it")
    }
}

extension Rule {
    /// Whether a Deny is asked before an admitting rule (POLICY, rule semantics).
    fileprivate func outranks(_ admitting: Rule) -> Bool {
        if priority != admitting.priority { return priority > admitting.priority }
        return action.rawValue < admitting.action.rawValue
    }

    fileprivate var place: String { "\(position.file):\(position.line)" }
}
