// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
package import FirewallPolicy

// Everything that the policy is about comes to a queue, at a hook where it can be judged.

extension RulesInspection {
    var missingFamilies: [Finding] {
        families.filter { family in !feeds.contains { $0.carries(family) } }.map { family in
            let isLocal = family == .ipv6 && host.hasOnlyLinkLocalIPv6
            return Finding(
                isLocal ? .advice : .refusal,
                "no rule gives \(family.title) packets to a queue: \(family.title) is not protected"
                    + (isLocal ? " (only link-local addresses are in use)" : ""),
                cure: "run \"portreeve iptables --apply\", or add the same rules with \(family.command)")
        }
    }

    /// A bridge's frames pass its forward hook, whatever they carry.
    var unfedBridge: [Finding] {
        guard !feeds.contains(where: { $0.layer == .bridge && $0.place.hook == .forward }) else { return [] }
        return [
            Finding(
                .refusal, "queue.family is bridge, but no rule at a bridge's forward hook gives frames to a queue",
                cure: "run \"portreeve iptables --apply\"")
        ]
    }

    /// State needs both directions.
    var missingDirections: [Finding] {
        let stateful = policy.stateful
        guard stateful.tcpEnabled || stateful.udpEnabled || stateful.icmpEnabled else { return [] }
        return families.flatMap { family -> [Finding] in
            let fed = feeds.filter { $0.carries(family) && $0.layer != .bridge }
            let incoming = fed.filter(\.isIncoming)
            let outgoing = fed.filter(\.isOutgoing)
            if !incoming.isEmpty && outgoing.isEmpty {
                return [oneDirection("incoming", "outgoing", incoming, family, "OUTPUT")]
            }
            if incoming.isEmpty && !outgoing.isEmpty {
                return [oneDirection("outgoing", "incoming", outgoing, family, "INPUT")]
            }
            return []
        }
    }

    private func oneDirection(
        _ present: String, _ absent: String, _ feeds: [QueueFeed], _ family: AddressFamily, _ chain: String
    ) -> Finding {
        Finding(
            .refusal,
            "\(family.title): \(present) packets come to a queue and \(absent) ones do not: the state of a connection "
                + "cannot be followed, and answers are dropped as unsolicited", feeds.map(\.line),
            cure: "add -A \(chain) with the same NFQUEUE target")
    }

    var forwarding: [Finding] {
        let forwarded = feeds.filter { $0.place.hook == .forward }
        if policy.interfaces.inside.isEmpty, forwarded.isEmpty { return host.forwardingGap(policy).map { [$0] } ?? [] }
        if policy.interfaces.inside.isEmpty {
            return forwarded.map {
                Finding(
                    .refusal,
                    "forwarded packets come to a queue, but interfaces.inside is empty: both directions would count as "
                        + "incoming", [$0.line], cure: "name the inside interfaces in the policy, or remove the rule")
            }.merged
        }
        guard forwarded.isEmpty, !host.forwards.isEmpty else { return [] }
        return [
            Finding(
                .refusal,
                "interfaces.inside is set, but no rule at FORWARD gives packets to a queue: forwarded traffic is not "
                    + "judged", cure: "run \"portreeve iptables --apply\"")
        ]
    }

    var wrongHooks: [Finding] {
        let late = feeds.filter { $0.place.hook == .postrouting }.map {
            Finding(
                .refusal,
                "packets are taken at POSTROUTING: forwarded ones are among them and would count as sent by this host",
                [$0.line], cure: "take them at OUTPUT")
        }
        let unlimited = feeds.filter { feed in
            feed.place.hook == .prerouting && !feed.isLimitedToThisHost && host.forwards.contains { feed.carries($0) }
        }.map {
            Finding(
                .refusal,
                "this host forwards, and packets are taken at PREROUTING whatever their destination: both directions "
                    + "of forwarded traffic would count as incoming", [$0.line],
                cure: "add -m addrtype --dst-type LOCAL,BROADCAST,ANYCAST,MULTICAST (IPv6: one rule with LOCAL,ANYCAST "
                    + "and one with MULTICAST)")
        }
        return (late + unlimited + neverMatching).merged
    }

    /// For IPv6 a list of types that includes MULTICAST is true only for an address of all these types: for none.
    private var neverMatching: [Finding] {
        feeds.filter { feed in
            feed.layer == .ip([.ipv6]) && feed.place.program != "nft"
                && feed.conditions.contains { conditions in
                    guard let types = conditions.destinationTypes, !types.isInverted else { return false }
                    return types.value.contains("MULTICAST") && types.value.count > 1
                }
        }.map {
            Finding(
                .refusal,
                "this rule never matches: for IPv6 --dst-type with MULTICAST and other types asks for an address that "
                    + "is all of them", [$0.line],
                cure: "make two rules of it, one with --dst-type LOCAL,ANYCAST and one with --dst-type MULTICAST")
        }
    }

    /// Stage F needs packets that nobody has reassembled.
    package var fragmentChecks: [Finding] {
        let blind = feeds.filter { $0.isIncoming && isReassembled($0) }
        guard let first = blind.first else { return [] }
        let isDenied = policy.refusesFragments
        let evidence = trackingEvidence.map { ["connection tracking is switched on by \($0)"] } ?? []
        return [
            Finding(
                isDenied ? .refusal : .advice,
                (isDenied ? "\"fragments: deny\" cannot work: " : "")
                    + "incoming packets arrive reassembled at \(first.place.hook.chain), so fragment checks (108-112, "
                    + "136, 148) see nothing",
                blind.map(\.line) + evidence,
                cure: trackingEvidence == nil
                    ? "take incoming packets at mangle PREROUTING: portreeve iptables --apply --hook prerouting"
                    : "do without connection tracking and NAT here, or feed the queues from nftables at priority -450")
        ]
    }

    /// INPUT comes after reassembly always, the rest where connection tracking is on and does it first.
    private func isReassembled(_ feed: QueueFeed) -> Bool {
        if feed.place.hook == .input { return feed.layer != .bridge }
        return trackingEvidence != nil && feed.place.priority >= -400
    }

    /// Rules of the same chain that decide before a packet can meet the queue rule.
    var shadowedRules: [Finding] {
        rulesets.flatMap { ruleset in
            ruleset.tables.flatMap { table in
                table.chains.flatMap { chain in Self.shadows(in: chain, of: table, ruleset.command) }
            }
        }.uniqued
    }

    private static func shadows(in chain: SavedChain, of table: SavedTable, _ command: String) -> [Finding] {
        guard let last = chain.rules.lastIndex(where: { $0.isQueueRule || leadsToQueue($0, table) }) else { return [] }
        return chain.rules[..<last].compactMap { rule in
            let lines = [rule, chain.rules[last]].map { "\(command) \(table.name): \($0.line)" }
            let ends = ["ACCEPT", "DROP", "REJECT", "RETURN"].contains(rule.target) || rule.isQueueRule
            if rule.conditions.isEmpty, ends {
                return Finding(
                    .refusal, "the queue rule is never reached: the rule before it decides on every packet", lines,
                    cure: "put the queue rule first")
            }
            if rule.target == "ACCEPT", rule.conditions.trackingStates?.value.contains("ESTABLISHED") ?? false {
                return Finding(
                    .advice,
                    "packets of established connections are accepted before the queue rule: only the first packets of "
                        + "a connection are judged", lines, cure: "put the queue rule first, or leave it so knowingly")
            }
            return nil
        }
    }

    private static func leadsToQueue(_ rule: SavedRule, _ table: SavedTable, depth: Int = 4) -> Bool {
        guard depth > 0, let chain = rule.target.flatMap({ table[chain: $0] }) else { return false }
        return chain.rules.contains { $0.isQueueRule || leadsToQueue($0, table, depth: depth - 1) }
    }
}

extension RulesInspection.Host {
    /// That this host forwards, and the policy has nothing forwarded judged. Nobody asked for it; but what is published to
    /// containers, or routed, is open then.
    package func forwardingGap(_ policy: PolicyDocument) -> Finding? {
        guard policy.interfaces.inside.isEmpty, policy.queue.family == .ip, !forwards.isEmpty else { return nil }
        let families = AddressFamily.allCases.filter(forwards.contains).map(\.title)
        return Finding(
            .gap,
            "this host forwards \(families.joined(separator: " and ")), and interfaces.inside is empty: what it forwards, such as "
                + "to ports that containers publish, is not judged",
            cure:
                "name the inside interfaces in the policy, such as interfaces: { inside: [\"docker*\", \"br-*\"] }, with rules "
                + "for the inner addresses and ports, and run \"portreeve iptables --apply\"; or switch forwarding off (sysctl "
                + "net.ipv4.ip_forward=0)")
    }
}
