// SPDX-License-Identifier: GPL-3.0-or-later

/// What `iptables-save` or `ip6tables-save` printed.
package struct SavedRuleset: Sendable {
    /// Which program printed it; `iptables-legacy-save` and `iptables-save` may show two rule sets that both hold.
    package let command: String
    package let family: AddressFamily
    package private(set) var tables: [SavedTable] = []

    /// Reads the text; lines that mean nothing here are skipped, whatever they are.
    package init(_ text: String, command: String, family: AddressFamily) {
        self.command = command
        self.family = family
        for line in text.split(whereSeparator: \.isNewline) { read(line) }
    }

    package subscript(table name: String) -> SavedTable? { tables.first { $0.name == name } }

    private mutating func read(_ line: Substring) {
        if line.first == "*" { return tables.append(SavedTable(name: String(line.dropFirst()))) }
        guard let table = tables.indices.last else { return }
        if line.first == ":" { return tables[table].declare(line.dropFirst()) }
        // With counters a rule begins with "[packets:bytes]".
        if let rule = SavedRule(line.drop { $0 != "-" }) { tables[table].add(rule) }
    }
}

/// One table of a saved rule set, chains in the order of their declaration.
package struct SavedTable: Sendable {
    package let name: String
    package private(set) var chains: [SavedChain] = []
    private var indices: [String: Int] = [:]

    fileprivate init(name: String) { self.name = name }

    package subscript(chain name: String) -> SavedChain? { indices[name].map { chains[$0] } }

    /// ":INPUT ACCEPT [0:0]", without its colon.
    fileprivate mutating func declare(_ line: Substring) {
        let words = line.split(separator: " ")
        guard let name = words.first else { return }
        _ = index(of: String(name), policy: words.count > 1 && words[1] != "-" ? String(words[1]) : nil)
    }

    fileprivate mutating func add(_ rule: SavedRule) {
        let index = index(of: rule.chain, policy: nil)
        chains[index].rules.append(rule)
    }

    private mutating func index(of name: String, policy: String?) -> Int {
        if let index = indices[name] { return index }
        indices[name] = chains.count
        chains.append(SavedChain(name: name, policy: policy))
        return chains.count - 1
    }
}

package struct SavedChain: Sendable {
    package let name: String
    /// Of a built-in chain; nil for a user's.
    package let policy: String?
    package fileprivate(set) var rules: [SavedRule] = []
}
