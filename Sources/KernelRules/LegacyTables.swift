// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc
import PacketFilterRules

/// The tables of iptables' old kind, which are no part of nf_tables: each is one blob (linux/netfilter_ipv4/ip_tables.h and
/// its twin for IPv6), which a socket option of any Internet socket gives to who has CAP_NET_ADMIN.
enum LegacyTables {
    /// Those that may give packets to a queue. A table comes into being when it is asked for, and `nat` with connection
    /// tracking: it is never asked for, and the others where they are.
    static let names = ["raw", "mangle", "filter", "security"]

    /// IPT_SO_GET_INFO and IPT_SO_GET_ENTRIES; the same numbers for IPv6.
    private static let information: Int32 = 64
    private static let entries: Int32 = 65
    private static let informationBytes = 84
    private static let nameBytes = 32
    /// Name and size, and what aligns the entries.
    private static let entriesHeaderBytes = 40
    private static let mostBytes = 64 << 20

    /// The tables that there are in this network namespace; nil where only root may know.
    static func present(_ family: AddressFamily) -> [String]? {
        let path = family == .ipv4 ? "/proc/net/ip_tables_names" : "/proc/net/ip6_tables_names"
        guard unsafe access(path, F_OK) == 0 else { return [] }
        guard unsafe access(path, R_OK) == 0 else { return nil }
        let present = ProcFile.text(path).split(separator: "\n").map(String.init)
        return names.filter(present.contains)
    }

    /// These tables as `iptables-legacy-save` has them; empty where none can be had.
    static func saved(_ family: AddressFamily, _ names: [String]) -> String {
        guard !names.isEmpty else { return "" }
        let descriptor = socket(
            family == .ipv4 ? AF_INET : AF_INET6, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        let layout: LegacyLayout = family == .ipv4 ? .ipv4 : .ipv6
        return names.compactMap { name in
            guard let (hooks, blob) = table(name, of: descriptor, layout.level) else { return nil }
            return "*\(name)\n" + LegacyTable(blob, hooks: hooks, layout: layout).lines.joined(separator: "\n")
        }.joined(separator: "\n")
    }

    /// Where the chain of each hook begins, nil for none; and the entries.
    private static func table(_ name: String, of descriptor: Int32, _ level: Int32) -> ([Int?], ArraySlice<UInt8>)? {
        var asked = [UInt8](name.utf8) + [UInt8](repeating: 0, count: informationBytes)
        asked.removeLast(asked.count - informationBytes)
        var length = socklen_t(informationBytes)
        guard unsafe getsockopt(descriptor, level, information, &asked, &length) == 0 else { return nil }
        let info = asked[...]
        let valid = info.native32(at: nameBytes)
        let hooks = (0..<5).map { valid >> $0 & 1 == 1 ? Int(info.native32(at: nameBytes + 4 + 4 * $0)) : nil }
        let size = Int(info.native32(at: informationBytes - 4))
        guard size <= mostBytes else { return nil }
        var got = Array(info.prefix(nameBytes)) + [UInt8](repeating: 0, count: entriesHeaderBytes - nameBytes + size)
        for place in 0..<4 { got[nameBytes + place] = info[informationBytes - 4 + place] }
        length = socklen_t(got.count)
        guard unsafe getsockopt(descriptor, level, entries, &got, &length) == 0 else { return nil }
        return (hooks, got[entriesHeaderBytes...])
    }
}

/// Where things are in an entry, which differs by the size of an address.
struct LegacyLayout {
    let level: Int32
    let targetOffset: Int
    var nextOffset: Int { targetOffset + 2 }
    let headerBytes: Int

    static let ipv4 = LegacyLayout(level: Int32(IPPROTO_IP), targetOffset: 88, headerBytes: 112)
    static let ipv6 = LegacyLayout(level: Int32(IPPROTO_IPV6), targetOffset: 140, headerBytes: 168)
}

/// The entries of one table: rule after rule. A user's chain begins behind an entry with the target ERROR, which has the
/// chain's name; a jump is the place of the rule that it leads to.
struct LegacyTable {
    private struct Entry {
        var offset: Int
        var target: String
        /// What it asks of a packet.
        var matches: ArraySlice<UInt8>
        var data: ArraySlice<UInt8>
        var next: Int
    }

    private static let targetHeaderBytes = 32
    private var entries: [Entry] = []
    private var heads: [Int: String] = [:]

    init(_ blob: ArraySlice<UInt8>, hooks: [Int?], layout: LegacyLayout) {
        let names = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"]
        for (hook, name) in zip(hooks, names) { if let hook { heads[hook] = name } }
        var offset = 0
        while offset + layout.headerBytes <= blob.count {
            let entry = blob.dropFirst(offset)
            let (target, size) = (
                Int(entry.native16(at: layout.targetOffset)), Int(entry.native16(at: layout.nextOffset))
            )
            guard target >= layout.headerBytes, size >= target + Self.targetHeaderBytes, size <= entry.count else {
                break
            }
            let bytes = entry.prefix(size).dropFirst(target)
            add(
                Entry(
                    offset: offset, target: bytes.dropFirst(2).prefix(29).text,
                    matches: entry.prefix(target).dropFirst(layout.headerBytes),
                    data: bytes.dropFirst(Self.targetHeaderBytes),
                    next: offset + size))
            offset += size
        }
    }

    private mutating func add(_ entry: Entry) {
        if entry.target == "ERROR" { heads[entry.next] = RuleListing.word(entry.data.prefix(30).text) }
        entries.append(entry)
    }

    /// Jumps and queue rules, as `iptables-save` has them.
    var lines: [String] {
        var lines = heads.values.sorted().map { ":\($0) -" }
        var chain: String?
        for entry in entries {
            chain = heads[entry.offset] ?? chain
            guard let chain, let effect = effect(of: entry) else { continue }
            lines.append("-A \(chain) \(effect.saved)")
        }
        return lines
    }

    /// Of a match among several: `struct xt_entry_match`, size and name before what is its own.
    private static func information(_ name: String, _ matches: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        var rest = matches
        while rest.count > targetHeaderBytes {
            let size = Int(rest.native16(at: 0))
            guard size >= targetHeaderBytes, size <= rest.count else { return nil }
            if rest.dropFirst(2).prefix(29).text == name { return rest.prefix(size).dropFirst(targetHeaderBytes) }
            rest = rest.dropFirst(size)
        }
        return nil
    }

    private func effect(of entry: Entry) -> RuleEffect? {
        if entry.target == "NFQUEUE" { return RuleEffect.target(entry.data) }
        if entry.target == "MARK", let group = Self.information("cgroup", entry.matches) {
            return RuleEffect.unit(group: group, mark: entry.data)
        }
        guard entry.target.isEmpty else { return nil }
        // The standard target: a verdict below zero, or the place of a chain.
        let verdict = Int32(bitPattern: entry.data.native32(at: 0))
        return verdict < 0 ? nil : heads[Int(verdict)].map { .jump($0) }
    }
}
