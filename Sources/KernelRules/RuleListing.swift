// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc
import PacketFilterRules

/// What nf_tables holds, on its way into the words of `iptables-save` and `nft list ruleset`: so what is made of those
/// programs' output is made of this too. Of rules only jumps and queues are written.
struct RuleListing {
    private struct Place: Hashable {
        var family: UInt8
        var name: String
    }

    private struct Table {
        var chains: [Chain] = []
        var indices: [String: Int] = [:]
    }

    private struct Chain {
        var name: String
        var type: String?
        var hook: String?
        var priority: Int32 = 0
        var rules: [RuleEffect] = []
    }

    private var places: [Place] = []
    private var tables: [Place: Table] = [:]

    /// A kernel without nf_tables has no tables of it.
    static func meansNoTables(_ error: Int32) -> Bool { [EOPNOTSUPP, EPROTONOSUPPORT, EINVAL].contains(error) }

    /// NFTA_CHAIN_TABLE, _NAME, _HOOK and _TYPE; of a hook NFTA_HOOK_HOOKNUM and _PRIORITY.
    mutating func add(chain message: NetfilterSocket.Message) {
        guard let table = message.attributes[type: 1]?.text, let name = message.attributes[type: 3]?.text else {
            return
        }
        var chain = Chain(name: Self.word(name))
        if let hook = message.attributes[type: 4]?.attributes, let type = message.attributes[type: 7]?.text {
            chain.type = type
            chain.hook = Self.hook(hook[type: 1]?.value.big32(at: 0))
            chain.priority = Int32(bitPattern: hook[type: 2]?.value.big32(at: 0) ?? 0)
        }
        let place = Place(family: message.family, name: Self.word(table))
        if tables[place] == nil { places.append(place) }
        tables[place, default: Table()].indices[chain.name] = tables[place]?.chains.count ?? 0
        tables[place]?.chains.append(chain)
    }

    /// NFTA_RULE_TABLE, _CHAIN and _EXPRESSIONS. No table for translation feeds a queue, and clusters fill it with thousands.
    mutating func add(rule message: NetfilterSocket.Message) {
        guard let table = message.attributes[type: 1]?.text, let chain = message.attributes[type: 2]?.text,
            let expressions = message.attributes[type: 4], table != "nat"
        else { return }
        let effects = RuleEffect.all(of: expressions)
        guard !effects.isEmpty else { return }
        let place = Place(family: message.family, name: Self.word(table))
        guard let index = tables[place]?.indices[Self.word(chain)] else { return }
        tables[place]?.chains[index].rules += effects
    }

    /// NF_INET_PRE_ROUTING and those that follow.
    private static func hook(_ number: UInt32?) -> String? {
        let names = ["prerouting", "input", "forward", "output", "postrouting"]
        return number.flatMap { Int($0) < names.count ? names[Int($0)] : nil }
    }

    /// One word for the readers of the listings, whatever is in a name.
    static func word(_ name: String) -> String {
        String(name.map { $0.isASCII && $0 > " " && !"{}\"\\;#,".contains($0) ? $0 : "?" })
    }

    /// NFPROTO_IPV4 and NFPROTO_IPV6.
    private static func number(_ family: AddressFamily) -> UInt8 { family == .ipv4 ? 2 : 10 }

    private func isOfIPTables(_ place: Place) -> Bool {
        guard [2, 10].contains(place.family), LegacyTables.names.contains(place.name) || place.name == "nat" else {
            return false
        }
        let bases = (tables[place]?.chains ?? []).filter { $0.type != nil }
        return !bases.isEmpty && bases.allSatisfy { $0.name == $0.hook?.uppercased() }
    }

    /// As `iptables-save` has it.
    func saved(_ family: AddressFamily) -> String {
        var lines: [String] = []
        for place in places where place.family == Self.number(family) && isOfIPTables(place) {
            let chains = tables[place]?.chains ?? []
            lines.append("*\(place.name)")
            lines += chains.map { ":\($0.name) \($0.type == nil ? "-" : "ACCEPT")" }
            lines += chains.flatMap { chain in chain.rules.map { "-A \(chain.name) \($0.saved)" } }
        }
        return lines.joined(separator: "\n")
    }

    /// As `nft list ruleset` has it.
    var listed: String {
        // NFPROTO_INET and NFPROTO_BRIDGE.
        let families: [UInt8: String] = [1: "inet", 2: "ip", 7: "bridge", 10: "ip6"]
        var lines: [String] = []
        for place in places where !isOfIPTables(place) {
            guard let family = families[place.family] else { continue }
            let chains = tables[place]?.chains ?? []
            lines.append("table \(family) \(place.name) {")
            for chain in chains {
                lines.append("chain \(chain.name) {")
                if let type = chain.type, let hook = chain.hook {
                    lines.append("type \(Self.word(type)) hook \(hook) priority \(chain.priority); policy accept;")
                }
                lines += chain.rules.flatMap { $0.listed(chains: chains.filter { $0.type == nil }.map(\.name)) }
                lines.append("}")
            }
            lines.append("}")
        }
        return lines.joined(separator: "\n")
    }
}
