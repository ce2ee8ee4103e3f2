// SPDX-License-Identifier: GPL-3.0-or-later

// Connection tracking reassembles fragments before any table but a very early one of nftables sees them
// (NF_IP_PRI_CONNTRACK_DEFRAG is -400), and it is on in a network namespace as soon as one rule there needs it.

extension SavedRuleset {
    /// The first rule that switches connection tracking or reassembly on; nil where none does.
    package var trackingEvidence: String? { trackingEvidence { _ in true } }

    /// As `trackingEvidence`, of rules that are not Portreeve's.
    var foreignTracking: String? { trackingEvidence { !OwnRules.isOwn($0.name) } }

    /// Whether Portreeve's own rules switch it on.
    var hasOwnTracking: Bool { trackingEvidence { OwnRules.isOwn($0.name) } != nil }

    private func trackingEvidence(_ isMeant: (SavedChain) -> Bool) -> String? {
        for table in tables {
            for chain in table.chains where isMeant(chain) {
                guard let rule = chain.rules.first(where: { table.name == "nat" || $0.needsTracking }) else { continue }
                return "\(command) \(table.name): \(rule.line)"
            }
        }
        return nil
    }

    /// The first rule that may change where a packet goes.
    var destinationTranslation: String? {
        for table in tables {
            for rule in table.chains.lazy.flatMap(\.rules) where rule.translatesDestination {
                return "\(command) \(table.name): \(rule.line)"
            }
        }
        return nil
    }

    var hasTranslation: Bool { self[table: "nat"]?.chains.contains { !$0.rules.isEmpty } ?? false }
}

extension SavedRule {
    fileprivate var needsTracking: Bool {
        // Ours ask what others have had tracked; those for offload need it themselves.
        if chain == OwnRules.outgoingChain, !modules.contains("connmark") { return false }
        let matches: Set = [
            "cluster", "connbytes", "connlabel", "connlimit", "connmark", "conntrack", "helper", "socket", "state",
        ]
        let targets: Set = [
            "CLUSTERIP", "CONNMARK", "CONNSECMARK", "DNAT", "MASQUERADE", "NETMAP", "REDIRECT", "SNAT", "SYNPROXY",
            "TPROXY",
        ]
        if modules.contains(where: matches.contains) { return true }
        guard let target else { return false }
        return targets.contains(target) || target == "CT" && !targetOptions.contains("--notrack")
    }

    var translatesDestination: Bool { ["DNAT", "REDIRECT", "NETMAP"].contains(target) }
}

extension NFTablesRuleset {
    /// As `SavedRuleset.trackingEvidence`.
    package var trackingEvidence: String? {
        for table in tables {
            for chain in table.chains {
                if chain.type == "nat" { return "nft \(table.family) \(table.name): chain \(chain.name) of type nat" }
                if let rule = chain.rules.first(where: \.needsTracking) {
                    return "nft \(table.family) \(table.name) \(chain.name): \(rule.line)"
                }
            }
        }
        return nil
    }

    var destinationTranslation: String? {
        for table in tables {
            for chain in table.chains {
                guard let rule = chain.rules.first(where: \.translatesDestination) else { continue }
                return "nft \(table.family) \(table.name) \(chain.name): \(rule.line)"
            }
        }
        return nil
    }

    var hasTranslation: Bool { tables.contains { $0.chains.contains { $0.type == "nat" && !$0.rules.isEmpty } } }
}

extension NFRule {
    fileprivate var needsTracking: Bool {
        words.contains {
            ["ct", "masquerade", "snat", "dnat", "redirect", "tproxy", "socket", "synproxy"].contains($0)
        }
    }

    var translatesDestination: Bool { words.contains("dnat") || words.contains("redirect") }
}
