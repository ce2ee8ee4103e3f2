// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy

// Both hooks of a pair see the same addresses: they stand on the same side of every translation, and the choice between
// PREROUTING and INPUT fits what is translated now, not when it was made.

extension RulesInspection {
    /// Rules that do not fit the translations, or the tracking, of this namespace.
    var wrongSides: [Finding] { earlyRules + earlyByHand + differentSides }

    /// Packets are taken at PREROUTING although NAT or conntrack has come since.
    private var earlyRules: [Finding] {
        rulesets.compactMap { ruleset in
            guard OwnRules(in: ruleset).isEarly, let evidence = foreignTracking else { return nil }
            let early = feeds.filter { $0.place.hook == .prerouting && $0.carries(ruleset.family) }
            return Finding(
                .refusal,
                "connections are tracked here since the rules were made, and they take packets at PREROUTING: what comes in by a "
                    + "translated address dies, refusals of this host are lost, and fragment checks see nothing",
                early.map(\.line) + ["connection tracking is switched on by \(evidence)"],
                cure: "run \"portreeve iptables --apply\" again: it takes them at INPUT")
        }.merged
    }

    /// Rules of somebody's own: an answer leaves by OUTPUT with the address that the packet was translated to at PREROUTING.
    private var earlyByHand: [Finding] {
        AddressFamily.allCases.flatMap { family -> [Finding] in
            let early = feeds.filter {
                $0.place.hook == .prerouting && $0.place.priority < Self.destinationPriority && $0.carries(family)
                    && $0.layer != .bridge && !$0.line.contains(OwnRules.incomingChain)
            }
            guard !early.isEmpty, feeds.contains(where: { $0.place.hook == .output && $0.carries(family) }),
                let translation = destinationTranslation(family)
            else { return [] }
            return [
                Finding(
                    .refusal,
                    "packets are taken at PREROUTING before destinations are translated there, and their answers at OUTPUT from "
                        + "the translated ones: such connections die", early.map(\.line) + [translation],
                    cure: "take incoming packets at INPUT, and outgoing ones in the security table")
            ]
        }.merged
    }

    private func destinationTranslation(_ family: AddressFamily) -> String? {
        rulesets.lazy.filter { $0.family == family }.compactMap(\.destinationTranslation).first
            ?? nftables.destinationTranslation
    }

    /// What switches connection tracking on, other than our rules for offload: those are put at PREROUTING by who knows
    /// that nothing is translated.
    private var foreignTracking: String? {
        if let rule = rulesets.lazy.compactMap(\.foreignTracking).first ?? nftables.trackingEvidence { return rule }
        guard host.trackedConnections > 0,
            policy.directionsOffloadedByMarks(besideProgram: policy.engine.fastPath != .off).isEmpty,
            !rulesets.contains(where: \.hasOwnTracking)
        else { return nil }
        return "nf_conntrack_count is \(host.trackedConnections)"
    }

    /// One hook before a translation, the other behind it.
    private var differentSides: [Finding] {
        AddressFamily.allCases.flatMap { family -> [Finding] in
            let fed = feeds.filter { $0.carries(family) && $0.layer != .bridge }
            let incoming = fed.filter { isBeforeReversal($0) }
            let outgoing = fed.filter { $0.place.hook == .output && $0.place.priority < Self.destinationPriority }
            guard let translation = translationOfOwn(family), !incoming.isEmpty, !outgoing.isEmpty else { return [] }
            return [
                Finding(
                    .refusal,
                    "destinations of this host's own packets are translated in nat OUTPUT: \(outgoing[0].place.table) OUTPUT sees "
                        + "them before that, and \(incoming[0].place.table) \(incoming[0].place.hook.chain) their answers from the "
                        + "translated ones: such connections die",
                    (outgoing + incoming).map(\.line) + [translation],
                    cure:
                        "run \"portreeve iptables --apply\", or take this host's own packets after nat OUTPUT, in the security "
                        + "table")
            ]
        }.merged
    }

    /// NF_IP_PRI_NAT_DST and NF_IP_PRI_NAT_SRC.
    private static let destinationPriority = -100
    private static let sourcePriority = 100

    /// Whether answers come here from where the translated packets went to: nat INPUT writes their source back.
    private func isBeforeReversal(_ feed: QueueFeed) -> Bool {
        feed.place.hook == .input && feed.place.priority < Self.sourcePriority
            || feed.place.hook == .prerouting && feed.place.priority >= Self.destinationPriority
    }

    /// A rule by which packets of this host's own go elsewhere than they were sent to.
    private func translationOfOwn(_ family: AddressFamily) -> String? {
        rulesets.lazy.filter { $0.family == family }.compactMap(\.translationOfOwn).first
            ?? nftables.translationOfOwn(family)
    }
}

extension SavedRuleset {
    /// The first rule in reach of nat OUTPUT that rewrites destinations.
    fileprivate var translationOfOwn: String? {
        guard let nat = self[table: "nat"], let output = nat[chain: FilterHook.output.chain] else { return nil }
        var seen: Set<String> = [output.name]
        var pending = [output]
        while let chain = pending.popLast() {
            for rule in chain.rules {
                if rule.translatesDestination { return "\(command) nat: \(rule.line)" }
                if let next = rule.target.flatMap({ nat[chain: $0] }), seen.insert(next.name).inserted {
                    pending.append(next)
                }
            }
        }
        return nil
    }
}

extension NFTablesRuleset {
    /// Verdict maps lead where no rule says so: a table with a nat chain at OUTPUT may use all its rules there.
    fileprivate func translationOfOwn(_ family: AddressFamily) -> String? {
        for table in tables where table.layer.map({ $0.carries(family) }) ?? false {
            guard table.chains.contains(where: { $0.type == "nat" && $0.hook == .output && !$0.rules.isEmpty }) else {
                continue
            }
            for chain in table.chains {
                guard let rule = chain.rules.first(where: \.translatesDestination) else { continue }
                return "nft \(table.family) \(table.name) \(chain.name): \(rule.line)"
            }
        }
        return nil
    }
}
