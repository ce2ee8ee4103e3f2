// SPDX-License-Identifier: GPL-3.0-or-later

/// Portreeve's own part of one table: its chains, and the jumps to them from the built-in chains.
package struct OwnTable: Hashable, Sendable {
    /// Empty; it says that the table itself did not exist before and may go with the rules.
    package static let marker = "PORTREEVE-MADE-TABLE"

    package struct Chain: Hashable, Sendable {
        package var name: String
        /// Each without its `-A NAME`.
        package var rules: [String]
    }

    package let name: String
    package var chains: [Chain] = []
    /// Whole `-A` lines, in whatever chain they stand.
    package var jumps: [String] = []

    init(_ name: String) { self.name = name }

    package var isEmpty: Bool { chains.isEmpty && jumps.isEmpty }

    /// Whether the table was made for them.
    package var isMarked: Bool { chains.contains { $0.name == Self.marker } }

    /// It takes packets that this host sends.
    var isOutgoing: Bool { jumps.contains { $0.hasPrefix("-A OUTPUT ") } }

    package mutating func mark() {
        guard !isMarked else { return }
        chains.append(Chain(name: Self.marker, rules: []))
    }

    /// Without what says whether the table was there before, which differs from boot to boot.
    var unmarked: OwnTable {
        var table = self
        table.chains.removeAll { $0.name == Self.marker }
        return table
    }

    /// Those that are in place in a saved rule set.
    init(_ name: String, in ruleset: SavedRuleset) {
        self.init(name)
        guard let table = ruleset[table: name] else { return }
        for chain in table.chains where OwnRules.isOwn(chain.name) {
            let prefix = "-A \(chain.name) "
            chains.append(Chain(name: chain.name, rules: chain.rules.map { String($0.line.dropFirst(prefix.count)) }))
        }
        for chain in table.chains where !OwnRules.isOwn(chain.name) {
            jumps += chain.rules.filter { $0.target.map(OwnRules.isOwn) ?? false }.map(\.line)
        }
    }

    /// As `iptables-save` prints them within their table.
    var lines: [String] {
        chains.map { ":\($0.name) - [0:0]" } + jumps
            + chains.flatMap { chain in chain.rules.map { "-A \(chain.name) \($0)" } }
    }

    /// The part of `iptables-restore`'s input that puts these in the place of `current`.
    func restoreLines(replacing current: OwnTable) -> [String] {
        guard !isEmpty || !current.isEmpty else { return [] }
        var lines = ["*\(name)"]
        let names = chains.map(\.name)
        // A declaration empties a chain that exists.
        lines += names.map { ":\($0) - [0:0]" }
        lines += current.jumps.map { "-D" + $0.dropFirst(2) }
        let leaving = current.chains.map(\.name).filter { !names.contains($0) }
        lines += leaving.map { "-F \($0)" }
        lines += leaving.map { "-X \($0)" }
        for chain in chains { lines += chain.rules.map { "-A \(chain.name) \($0)" } }
        // In mangle they stand last, see `OwnRules`; in filter first, before others accept the packet.
        lines += jumps.map { name == OwnRules.filter ? "-I" + $0.dropFirst(2) : $0 }
        return lines + ["COMMIT"]
    }
}
