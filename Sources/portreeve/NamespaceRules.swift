// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import Glibc
import KernelRules
import PacketFilterRules

/// The packet filter rules of this network namespace, and what else decides about them, as they are now.
struct NamespaceRules {
    /// The rule set that `iptables` and `ip6tables` change.
    private(set) var current: [AddressFamily: SavedRuleset] = [:]
    /// Rule sets of the other kind of iptables, which hold beside those.
    private(set) var others: [SavedRuleset] = []
    private(set) var nftables = NFTablesRuleset("")
    private var bridge: BridgeTable?
    private(set) var host = RulesInspection.Host()
    /// `iptables` works through nftables, where tables are made and deleted like rules.
    private(set) var usesNFTables = false

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// - Throws: `Failure` or `Program.Failure`.
    static func read() throws -> NamespaceRules {
        var rules = NamespaceRules()
        rules.host = .here
        rules.usesNFTables = try Program.run("iptables-save", ["--version"]).output.contains("nf_tables")
        for family in AddressFamily.allCases where family == .ipv4 || rules.host.knowsIPv6 {
            rules.current[family] = try saved("\(family.command)-save", family)
            let other = "\(family.command)-\(rules.usesNFTables ? "legacy" : "nft")-save"
            // Where the other kind is not installed it has no rules.
            if let ruleset = try? saved(other, family), !ruleset.tables.isEmpty { rules.others.append(ruleset) }
        }
        if let listing = try? Program.run("nft", ["list", "ruleset"]), listing.status == 0 {
            rules.nftables = NFTablesRuleset(listing.output)
            rules.bridge = BridgeTable(in: listing.output)
        }
        return rules
    }

    private static func saved(_ command: String, _ family: AddressFamily) throws -> SavedRuleset {
        let result = try Program.run(command)
        guard result.status == 0 else {
            throw Failure(description: "\(command): \(result.complaint); run this as root")
        }
        return SavedRuleset(result.output, command: String(command.dropLast("-save".count)), family: family)
    }

    /// What of it is Portreeve's.
    var own: OwnRulesets { OwnRulesets(families: current.mapValues { OwnRules(in: $0) }, bridge: bridge) }

    func inspection(of policy: PolicyDocument) -> RulesInspection {
        let iptables = AddressFamily.allCases.compactMap { current[$0] }
        return RulesInspection(
            rulesets: iptables + others, nftables: nftables, host: host(for: policy), policy: policy)
    }

    private func host(for policy: PolicyDocument) -> RulesInspection.Host {
        var host = host
        host.controlGroups = ControlGroups().paths(of: policy.units)
        if !policy.units.isEmpty { host.staleGroups = ControlGroupNumbers.changed }
        return host
    }

    /// What the inspection would find with these in the place of the own rules.
    func inspection(of policy: PolicyDocument, with own: OwnRulesets) -> RulesInspection {
        let iptables = AddressFamily.allCases.compactMap { family in
            current[family]?.replacingOwnRules(with: own[family])
        }
        return RulesInspection(
            rulesets: iptables + others, nftables: nftables.replacingBridgeTable(with: own.bridge),
            host: host(for: policy),
            policy: policy)
    }
}

extension RulesInspection.Host {
    /// Whether this kernel has IPv6 at all.
    fileprivate var knowsIPv6: Bool { unsafe access("/proc/net/if_inet6", R_OK) == 0 }
}
