// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
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
        return RulesInspection(rulesets: iptables + others, nftables: nftables, host: host, policy: policy)
    }

    /// What the inspection would find with these in the place of the own rules.
    func inspection(of policy: PolicyDocument, with own: OwnRulesets) -> RulesInspection {
        let iptables = AddressFamily.allCases.compactMap { family in
            current[family]?.replacingOwnRules(with: own[family])
        }
        return RulesInspection(
            rulesets: iptables + others, nftables: nftables.replacingBridgeTable(with: own.bridge), host: host,
            policy: policy)
    }
}

extension RulesInspection.Host {
    /// What /proc says about this network namespace.
    static var here: Self {
        var host = Self()
        host.readQueues = Set(
            lines("/proc/net/netfilter/nfnetlink_queue").compactMap { $0.first.flatMap { UInt16($0) } })
        // Address, interface index, prefix length, scope, flags, name; scope 0x20 is link-local.
        let scopes = lines("/proc/net/if_inet6").filter { $0.count >= 6 && $0[5] != "lo" }.map { $0[3] }
        host.usesIPv6 = !scopes.isEmpty
        host.hasOnlyLinkLocalIPv6 = scopes.allSatisfy { $0 == "20" }
        if number("/proc/sys/net/ipv4/ip_forward") == 1 { host.forwards.insert(.ipv4) }
        if number("/proc/sys/net/ipv6/conf/all/forwarding") == 1 { host.forwards.insert(.ipv6) }
        host.trackedConnections = number("/proc/sys/net/netfilter/nf_conntrack_count") ?? 0
        return host
    }

    /// Whether this kernel has IPv6 at all.
    var knowsIPv6: Bool { readText("/proc/net/if_inet6") != nil }

    private static func lines(_ path: String) -> [[Substring]] {
        (readText(path) ?? "").split(separator: "\n").map { $0.split(separator: " ") }
    }

    private static func number(_ path: String) -> Int? {
        readText(path).flatMap { Int($0.prefix { $0.isNumber }) }
    }
}
