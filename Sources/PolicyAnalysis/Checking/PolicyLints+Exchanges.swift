// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ConnectionTracking
import FirewallPolicy
import PacketWire

/// What hosts need besides what policies are written for.
extension PolicyLints {
    var exchanges: [PolicyLint] {
        [names, leases].compactMap { $0 } + pathMTU + neighbours
    }

    /// Whether any packet of one of these regions fares as is asked for; true also where that was not found out.
    private func mayBe(_ direction: Direction, _ regions: [Region], _ isSought: (RuleOutcome, Effect) -> Bool) -> Bool {
        guard let ranked = ranked[direction] else { return true }
        return regions.contains { region in
            var search = RegionSearch(ranked, judge)
            return search.packet(in: region, isSought) != nil || search.budget == 0 || search.isUnconfirmed
        }
    }

    private func datagrams(to port: UInt128, _ kinds: [PacketKind]) -> [Region] {
        kinds.filter { ranked.values.first?.universe.kinds.contains($0) ?? true }.map { kind in
            var region = Region(kind)
            region[.destinationPort] = NumberSet(port...port)
            if kind.isTCP { region[.flags] = Purpose.openings }
            return region
        }
    }

    /// No rule lets this host ask for names.
    private var names: PolicyLint? {
        guard policy.document.engine.dhcpAndDNS == .off else { return nil }
        let queries = datagrams(to: 53, [.udp4, .udp6, .tcp4, .tcp6])
        guard !mayBe(.outgoing, queries, { $1 > .refuse }) else { return nil }
        return PolicyLint(
            "no-names", .note, at: nil, "no rule lets DNS queries out, and engine.built-in-rules.dhcp-dns is off",
            cure: "set dhcp-dns: dns-only, or add an outgoing allow rule for udp and tcp to port 53")
    }

    /// No rule lets it have an address assigned.
    private var leases: PolicyLint? {
        guard policy.document.engine.dhcpAndDNS != .client else { return nil }
        let families: [(PacketKind, UInt128, UInt128, String)] = [
            (.udp4, 67, 68, "DHCP"), (.udp6, 547, 546, "DHCPv6"),
        ]
        let missing = families.filter { kind, server, client, _ in
            ranked.values.first?.universe.kinds.contains(kind) ?? false
                && !(mayBe(.outgoing, datagrams(to: server, [kind]), { $1 > .refuse })
                    && mayBe(.incoming, datagrams(to: client, [kind]), { $1 > .refuse }))
        }
        guard !missing.isEmpty else { return nil }
        let names = missing.map(\.3).joined(separator: " and ")
        let setting = policy.document.engine.dhcpAndDNS == .off ? "off" : "dns-only"
        return PolicyLint(
            "no-leases", .note, at: nil,
            "no rule lets \(names) through, and engine.built-in-rules.dhcp-dns is \(setting): a host that has its address from a "
                + "server loses it",
            cure: "set dhcp-dns: client, unless its addresses are fixed")
    }

    /// A Deny that stops the errors by which a sender learns how large its packets may be: known connections stall then.
    private var pathMTU: [PolicyLint] {
        [(PacketKind.icmp4, 3 << 8 | 4, 3 << 8 | 4), (.icmp6, 2 << 8, 2 << 8 | 255)].compactMap {
            (kind: PacketKind, first: UInt128, last: UInt128) -> PolicyLint? in
            var region = Region(kind)
            region[.icmp] = NumberSet(first...last)
            region[.quote] = NumberSet(1...1)
            return denied(region, .incoming).map { rule in
                PolicyLint(
                    "path-mtu", at: rule.position,
                    "the deny rule \"\(rule.name)\" stops \(kind == .icmp4 ? "\"fragmentation needed\"" : "Packet Too Big") of known "
                        + "connections, which stall then where a path takes smaller packets only",
                    cure: "set engine.built-in-rules.path-mtu: true, or narrow the rule")
            }
        }
    }

    /// A Deny that stops what IPv6 finds neighbours and routers by.
    private var neighbours: [PolicyLint] {
        Direction.allCases.compactMap { direction in
            var region = Region(.discovery6)
            region[.icmp] = NumberSet(133 << 8...136 << 8 | 255)
            return denied(region, direction).map { rule in
                PolicyLint(
                    "neighbour-discovery", at: rule.position,
                    "the deny rule \"\(rule.name)\" stops neighbour discovery (\(direction.word)), without which there is no IPv6 on a link",
                    cure: "leave out ICMPv6 types 133 to 136 of what it denies, or set engine.sanity.block-ipv6: true")
            }
        }
    }

    /// The first Deny rule that decides about packets of a region.
    private func denied(_ region: Region, _ direction: Direction) -> Rule? {
        guard let ranked = ranked[direction], ranked.universe.kinds.contains(region.kind) else { return nil }
        var search = RegionSearch(ranked, judge)
        guard let found = search.packet(in: region, { outcome, _ in outcome == .deny }), found.decision.rule >= 0 else {
            return nil
        }
        return rule(found.decision.rule)
    }

    // MARK: - Denies under a built-in rule

    /// Denies that name ports or messages which a built-in rule lets pass before.
    func outrankedByBuiltIn(_ rules: [Int32]) -> [PolicyLint] {
        let builtIn = policy.rules.indices.filter { policy.rules[$0].isBuiltIn }.map { Int32($0) }
        return rules.compactMap { index in
            let rule = rule(index)
            guard rule.action == .deny, rule.names(policy) else { return nil }
            return builtIn.lazy.filter { self.rule($0).direction == rule.direction }
                .compactMap { lint(index, under: $0) }.first
        }
    }

    private func lint(_ denial: Int32, under builtIn: Int32) -> PolicyLint? {
        guard let ranked = ranked[rule(denial).direction] else { return nil }
        for place in places(of: denial) {
            guard let other = ranked.position(of: builtIn, in: place.kind) else { continue }
            let region = place.region.intersection(other.region)
            guard !region.isEmpty, let witness = ranked.universe.judged(region).first?.witness(in: ranked.universe),
                judge.confirms(
                    witness, RuleDecision(outcome: RuleOutcome(self.rule(builtIn).action), rule: builtIn))
            else { continue }
            let (name, passing) = (rule(denial).name, rule(builtIn).name)
            return PolicyLint(
                "under-built-in", at: rule(denial).position,
                "the deny rule \"\(name)\" does not stop \(PacketWords(witness).sentence): \"\(passing)\" lets it pass before",
                cure: "leave that out of the rule, or switch the built-in rule off (engine.built-in-rules)")
        }
        return nil
    }
}

extension Rule {
    /// Whether it is about certain ports or messages, and not just about everything.
    fileprivate func names(_ policy: Policy) -> Bool {
        if let icmp { return !icmp.isInverted }
        guard let ports = destination.ports, !ports.isInverted else { return false }
        return policy.document.portLists[ports.value].values.allSatisfy { $0.first == $0.last }
    }
}
