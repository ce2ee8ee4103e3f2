// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ConnectionTracking
package import FirewallPolicy
import PacketWire

/// All lints of a policy, in the order of the files.
package enum PolicyLints {
    /// - Parameters:
    ///   - policy: what to look at.
    ///   - interfaces: the names of this host's interfaces; nil where the policy is for another host.
    ///   - moments: when schedules hold.
    ///   - spared: rules at these places have been spoken of.
    /// - Returns: what is to be said, rules first, in the order of the files.
    package static func all(
        _ policy: Policy, interfaces: [String]?, moments: [PacketUniverse.Moment],
        sparing spared: Set<SourcePosition> = []
    ) -> [PolicyLint] {
        let findings = PolicyCheck(policy, interfaces: interfaces, moments: moments).findings()
        let ofRules = findings.filter { !spared.contains(policy.rules[Int($0.rule)].position) }
            .compactMap { PolicyLint($0, policy) }
        let witnesses = findings.compactMap { finding -> (Rule, Witness)? in
            guard case .effective(let witness) = finding.verdict else { return nil }
            return (policy.rules[Int(finding.rule)], witness)
        }
        return ofRules + lists(policy) + witnesses.compactMap { oneSided($0, $1, policy) }
            + [names(policy)].compactMap { $0 }
    }

    /// Lists that are empty, or that nothing uses.
    private static func lists(_ policy: Policy) -> [PolicyLint] {
        let document = policy.document
        let ends = document.rules.flatMap { [$0.source, $0.destination] }
        func look<Values: Collection>(
            _ lists: [NamedList<Values>], _ used: Set<Int>, _ excluded: Set<Int>
        ) -> [PolicyLint] {
            let written = Set(lists.flatMap { $0.written?.names ?? [] })
            return lists.enumerated().compactMap { index, list in
                guard let name = list.name else { return nil }
                if list.values.isEmpty {
                    let file = list.file.map { " (\($0))" } ?? ""
                    let effect =
                        excluded.contains(index)
                        ? "and what \"not\" is said of is everybody" : "and rules that name it match nothing"
                    return PolicyLint(
                        "empty-list", at: list.position, "the list \"\(name)\" is empty\(file), \(effect)",
                        cure: "fill it, or remove it and the rules that name it")
                }
                guard !used.contains(index), !written.contains(name) else { return nil }
                return PolicyLint(
                    "unused-list", at: list.position, "no rule uses the list \"\(name)\"",
                    cure: "remove it, or name it in a rule")
            }
        }
        func indices(_ field: (EndpointCriteria) -> Criterion<Int>?) -> (all: Set<Int>, inverted: Set<Int>) {
            let criteria = ends.compactMap(field)
            return (Set(criteria.map(\.value)), Set(criteria.filter(\.isInverted).map(\.value)))
        }
        let (addresses, ports, macs) = (indices(\.addresses), indices(\.ports), indices(\.macs))
        return look(document.addressLists, addresses.all, addresses.inverted)
            + look(document.portLists, ports.all, ports.inverted) + look(document.macLists, macs.all, macs.inverted)
    }

    /// A Bypass rule whose packets' answers go to the stateful checks, which know of no connection: shown by one packet.
    private static func oneSided(_ rule: Rule, _ witness: Witness, _ policy: Policy) -> PolicyLint? {
        guard rule.action == .bypass, witness.kind.isTCP, policy.document.stateful.tcpEnabled else { return nil }
        var answer = witness.subject(of: policy)
        answer.direction = answer.direction.opposite
        swap(&answer.source, &answer.destination)
        swap(&answer.sourcePort, &answer.destinationPort)
        swap(&answer.sourceMAC, &answer.destinationMAC)
        if answer.direction == .outgoing { answer.sourceMAC = .none }
        answer.destinationMAC = .none
        answer.flags = answer.flags.contains(.syn) ? .syn | .ack : .ack
        guard policy.classify(answer).outcome != .bypass else { return nil }
        return PolicyLint(
            "one-sided-bypass", at: rule.position,
            "the bypass rule \"\(rule.name)\" has no counterpart: the answer to \(PacketWords(witness).sentence) is "
                + "\(answer.direction.word) and not bypassed, and no connection of it is known",
            cure: "add a bypass rule for the other direction, with source and destination exchanged")
    }

    /// No rule lets this host ask for names, where one is needed.
    private static func names(_ policy: Policy) -> PolicyLint? {
        guard policy.document.engine.dhcpAndDNS == .off, policy.isRestrictive(.outgoing) else { return nil }
        guard let universe = PacketUniverse([policy], .outgoing, moments: []) else { return nil }
        let ranked = RankedRegions(policy, in: universe)
        for kind in [PacketKind.udp4, .udp6, .tcp4, .tcp6] {
            let isLetOut = ranked.entries(of: kind).contains { entry in
                policy.rules[Int(entry.rule)].action != .deny && entry.region[.destinationPort]?.contains(53) ?? true
            }
            if isLetOut { return nil }
        }
        return PolicyLint(
            "no-names", .note, at: nil, "no rule lets DNS queries out, and engine.built-in-rules.dhcp-dns is off",
            cure: "set dhcp-dns: dns-only, or add an outgoing allow rule for udp and tcp to port 53")
    }
}
