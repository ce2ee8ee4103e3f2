// SPDX-License-Identifier: GPL-3.0-or-later

/// Portreeve's own part of the mangle table of one family: its chains, and the jumps to them from the built-in chains. All
/// that is added is in chains with names of its own and in those jumps, so that taking it away leaves what was there.
///
/// The jumps stand last in their chains: a packet that comes back from the queue goes on at the next hook and skips what
/// would follow in the same chain.
package struct OwnRules: Hashable, Sendable {
    package static let table = "mangle"
    package static let incomingChain = "PORTREEVE-IN"
    package static let outgoingChain = "PORTREEVE-OUT"
    package static let forwardedChain = "PORTREEVE-FWD"
    /// Empty; it says that the table itself did not exist before and may go with the rules.
    package static let tableMarker = "PORTREEVE-MADE-TABLE"

    package struct Chain: Hashable, Sendable {
        package var name: String
        /// Each without its `-A NAME`.
        package var rules: [String]
    }

    package var chains: [Chain] = []
    /// Whole `-A` lines, in whatever chain they stand.
    package var jumps: [String] = []

    package init() {}

    package var isEmpty: Bool { chains.isEmpty && jumps.isEmpty }

    static func isOwn(_ chain: String) -> Bool { chain.hasPrefix("PORTREEVE-") }
}

extension OwnRules {
    /// Those that are in place in a saved rule set.
    package init(in ruleset: SavedRuleset) {
        guard let table = ruleset[table: Self.table] else { return }
        for chain in table.chains where Self.isOwn(chain.name) {
            let prefix = "-A \(chain.name) "
            chains.append(Chain(name: chain.name, rules: chain.rules.map { String($0.line.dropFirst(prefix.count)) }))
        }
        for chain in table.chains where !Self.isOwn(chain.name) {
            jumps += chain.rules.filter { $0.target.map(Self.isOwn) ?? false }.map(\.line)
        }
    }

    /// Whether they belong to a table that was made for them.
    package var ownTable: Bool { chains.contains { $0.name == Self.tableMarker } }

    /// Without what says whether the table was there before, which differs from boot to boot.
    package var unmarked: OwnRules {
        var own = self
        own.chains.removeAll { $0.name == Self.tableMarker }
        return own
    }

    package mutating func markTable() {
        guard !ownTable else { return }
        chains.append(Chain(name: Self.tableMarker, rules: []))
    }

    /// What `iptables-restore --noflush` reads to put these in the place of `current`, in one step: either all of it
    /// happens or nothing.
    package func restoreText(replacing current: OwnRules) -> String {
        var lines = ["*\(Self.table)"]
        let names = chains.map(\.name)
        // A declaration empties a chain that exists.
        lines += names.map { ":\($0) - [0:0]" }
        lines += current.jumps.map { "-D" + $0.dropFirst(2) }
        let leaving = current.chains.map(\.name).filter { !names.contains($0) }
        lines += leaving.map { "-F \($0)" }
        lines += leaving.map { "-X \($0)" }
        for chain in chains { lines += chain.rules.map { "-A \(chain.name) \($0)" } }
        lines += jumps
        return (lines + ["COMMIT", ""]).joined(separator: "\n")
    }
}

extension SavedRuleset {
    /// The rule set as it would be with these in the place of the own rules that it has.
    package func replacingOwnRules(with own: OwnRules) -> SavedRuleset {
        var lines: [String] = []
        for table in tables {
            let kept = table.chains.filter { table.name != OwnRules.table || !OwnRules.isOwn($0.name) }
            lines.append("*\(table.name)")
            lines += kept.map { ":\($0.name) \($0.policy ?? "-")" }
            let rules = kept.flatMap(\.rules)
            lines += rules.filter { table.name != OwnRules.table || !OwnRules.isOwn($0.target ?? "") }.map(\.line)
            if table.name == OwnRules.table { lines += own.lines }
        }
        if self[table: OwnRules.table] == nil { lines += ["*\(OwnRules.table)"] + own.lines }
        return SavedRuleset(lines.joined(separator: "\n"), command: command, family: family)
    }
}

extension OwnRules {
    /// As `iptables-save` prints them within their table.
    package var lines: [String] {
        chains.map { ":\($0.name) - [0:0]" } + jumps
            + chains.flatMap { chain in chain.rules.map { "-A \(chain.name) \($0)" } }
    }
}
