// SPDX-License-Identifier: GPL-3.0-or-later

/// What `nft list ruleset` printed, as far as it concerns queues.
///
/// Tables that iptables made through nftables are listed there too, in a translation; they are left out here because
/// `iptables-save` shows them as they were written.
package struct NFTablesRuleset: Sendable {
    package private(set) var tables: [NFTable] = []

    package init(_ text: String) {
        tables = NFTablesReader.tables(in: text).filter { !$0.isManagedByIPTables && !$0.looksLikeIPTables }
    }

    /// The ruleset as it would be with this table in the place of the own one that it has.
    package func replacingBridgeTable(with table: BridgeTable?) -> NFTablesRuleset {
        var ruleset = self
        ruleset.tables.removeAll { $0.isOwnBridgeTable }
        ruleset.tables += table.map { NFTablesReader.tables(in: $0.text) } ?? []
        return ruleset
    }

    /// The commands for `nft -f` that take away the one table of a listing, if nothing is in it that affects a packet; nil
    /// otherwise. Each chain goes by itself, which the kernel refuses where a rule has come in the meantime.
    package static func removal(ofEmptyTableIn listing: String) -> String? {
        let tables = NFTablesReader.tables(in: listing)
        guard let table = tables.first, tables.count == 1, table.isEmpty else { return nil }
        let chains = table.chains.map { "delete chain \(table.family) \(table.name) \($0.name)\n" }
        return chains.joined() + "delete table \(table.family) \(table.name)\n"
    }
}

package struct NFTable: Sendable {
    /// `ip`, `ip6`, `inet`, `bridge`, `arp` or `netdev`.
    let family: String
    let name: String
    fileprivate(set) var isManagedByIPTables = false
    /// It holds sets, counters or other things that are no chains.
    fileprivate var hasMoreThanChains = false
    fileprivate(set) var chains: [NFChain] = []

    /// Older releases of nft do not say so, but nobody else names base chains as iptables does.
    fileprivate var looksLikeIPTables: Bool {
        let bases = chains.filter { $0.type != nil }
        return ["ip", "ip6"].contains(family) && ["raw", "mangle", "nat", "filter", "security"].contains(name)
            && !bases.isEmpty && bases.allSatisfy { FilterHook(chain: $0.name) != nil }
    }

    /// Base chains that pass everything, and nothing else.
    fileprivate var isEmpty: Bool {
        !hasMoreThanChains && chains.allSatisfy { $0.type != nil && $0.policy == "accept" && $0.rules.isEmpty }
    }

    var isOwnBridgeTable: Bool { family == "bridge" && name == BridgeTable.name }

    var layer: QueueFeed.Layer? {
        switch family {
        case "ip": .ip([.ipv4])
        case "ip6": .ip([.ipv6])
        case "inet": .ip([.ipv4, .ipv6])
        case "bridge": .bridge
        default: nil
        }
    }
}

struct NFChain: Sendable {
    let name: String
    /// Of a base chain: "type filter hook input priority mangle + 5".
    fileprivate(set) var type: String?
    fileprivate(set) var hook: FilterHook?
    fileprivate(set) var policy = "accept"
    fileprivate(set) var priority = 0
    fileprivate(set) var rules: [NFRule] = []
}

/// Goes through the listing line by line; braces nest tables, chains, and what else has them.
private struct NFTablesReader {
    private var tables: [NFTable] = []
    private var depth = 0
    private var isInChain = false
    private var warnsOfIPTables = false
    /// The beginning of a rule that goes on in the next line: an anonymous set may be long.
    private var pending = ""

    static func tables(in text: String) -> [NFTable] {
        var reader = NFTablesReader()
        for line in text.split(whereSeparator: \.isNewline) { reader.read(line) }
        return reader.tables
    }

    private mutating func read(_ line: Substring) {
        let text = line.drop { $0 == " " || $0 == "\t" }
        if text.first == "#" {
            warnsOfIPTables = text.contains("managed by iptables-nft")
            return
        }
        let words = text.split(separator: " ")
        if depth == 0, words.first == "table", words.count >= 4, words.last == "{" { return openTable(words) }
        if depth == 1, words.first == "chain", words.count >= 3, words.last == "{" { return openChain(words[1]) }
        if depth == 2, isInChain, text != "}" { return readRule(text) }
        if depth == 1, text != "}", !tables.isEmpty { tables[tables.count - 1].hasMoreThanChains = true }
        depth = max(0, depth + Self.balance(text))
        if depth < 2 { isInChain = false }
    }

    private mutating func openTable(_ words: [Substring]) {
        depth = 1
        var table = NFTable(family: String(words[1]), name: String(words[2]))
        table.isManagedByIPTables = warnsOfIPTables
        warnsOfIPTables = false
        tables.append(table)
    }

    private mutating func openChain(_ name: Substring) {
        depth = 2
        isInChain = true
        if !tables.isEmpty { tables[tables.count - 1].chains.append(NFChain(name: String(name))) }
    }

    private mutating func readRule(_ text: Substring) {
        pending += (pending.isEmpty ? "" : " ") + text
        guard Self.balance(Substring(pending)) == 0 else { return }
        defer { pending = "" }
        guard let table = tables.indices.last, let chain = tables[table].chains.indices.last else { return }
        let words = NFRule.words(pending)
        if words.first == "type", let hook = words.firstIndex(of: "hook"), hook + 1 < words.count {
            tables[table].chains[chain].type = words.count > 1 ? words[1] : nil
            tables[table].chains[chain].hook = FilterHook(rawValue: words[hook + 1])
            tables[table].chains[chain].priority = Self.priority(words, family: tables[table].family)
            if let policy = words.firstIndex(of: "policy"), policy + 1 < words.count {
                tables[table].chains[chain].policy = words[policy + 1]
            }
        } else {
            tables[table].chains[chain].rules.append(NFRule(line: pending, words: words))
        }
    }

    /// Opening less closing braces outside quotes.
    private static func balance(_ text: Substring) -> Int {
        var isQuoted = false
        var balance = 0
        for character in text {
            if character == "\"" { isQuoted.toggle() }
            if !isQuoted, character == "{" { balance += 1 }
            if !isQuoted, character == "}" { balance -= 1 }
        }
        return balance
    }

    /// "priority -450;", "priority mangle;", "priority raw - 5;".
    private static func priority(_ words: [String], family: String) -> Int {
        guard let start = words.firstIndex(of: "priority") else { return 0 }
        let terms = words[(start + 1)...].prefix { $0 != ";" }
        guard let first = terms.first else { return 0 }
        if let number = Int(first) { return number }
        let base = named(first, isBridge: family == "bridge")
        guard terms.count == 3, let offset = terms.last.flatMap({ Int($0) }) else { return base }
        return terms.contains("-") ? base &- offset : base &+ offset
    }

    private static func named(_ name: String, isBridge: Bool) -> Int {
        switch name {
        case "raw": -300
        case "mangle": -150
        case "dstnat": isBridge ? -300 : -100
        case "filter": isBridge ? -200 : 0
        case "security": 50
        case "srcnat": isBridge ? 300 : 100
        default: 0
        }
    }
}
