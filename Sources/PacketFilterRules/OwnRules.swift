// SPDX-License-Identifier: GPL-3.0-or-later

/// Portreeve's own rules of one family. All that is added is in chains with names of its own and in the jumps to them, so
/// that taking it away leaves what was there.
///
/// Packets are given to the queue in the mangle table, those of this host's own in the security table where addresses are
/// translated, and the jumps stand last in their chains: a packet that comes back from the queue goes on at the next hook and
/// skips what would follow in the same chain. The filter table comes in only where marks of offloaded flows are saved after
/// mangle INPUT, and the raw table where units are to be known.
package struct OwnRules: Hashable, Sendable {
    static let mangle = "mangle"
    static let filter = "filter"
    static let security = "security"
    package static let incomingChain = "PORTREEVE-IN"
    package static let outgoingChain = "PORTREEVE-OUT"
    package static let forwardedChain = "PORTREEVE-FWD"
    /// Which queue a packet goes to, where there are several kinds.
    static let queueChain = "PORTREEVE-QUEUE"
    /// The kernel's list of computers to which this host has sent datagrams.
    static let acquaintances = "portreeve"
    /// Where marks of packets become marks of their connections, at the hook after the queue's.
    package static let incomingMarksChain = "PORTREEVE-MARK-IN"
    package static let outgoingMarksChain = "PORTREEVE-MARK-OUT"

    /// `mangle` first: without it there is nothing to save.
    package var tables = [OwnTable(mangle), OwnTable(filter), OwnTable(security), OwnTable(raw)]

    package init() {}

    package var isEmpty: Bool { tables.allSatisfy(\.isEmpty) }

    /// They take incoming packets at PREROUTING.
    var isEarly: Bool { tables.contains { $0.jumps.contains { $0.hasPrefix("-A PREROUTING ") } } }

    static func isOwn(_ chain: String) -> Bool { chain.hasPrefix("PORTREEVE-") }

    /// Without what says which tables were there before, which differs from boot to boot.
    package var unmarked: OwnRules {
        var own = self
        own.tables = tables.map(\.unmarked)
        return own
    }

    /// Whether what can be sent in floods has queues of its own.
    var separatesFloods: Bool { tables.contains { $0.chains.contains { $0.name == Self.queueChain } } }

    /// Adds a chain that others of the table jump to.
    mutating func add(_ chain: OwnTable.Chain, in name: String) {
        for index in tables.indices where tables[index].name == name { tables[index].chains.append(chain) }
    }

    /// Adds to one of the tables.
    mutating func add(_ chain: OwnTable.Chain, from hook: FilterHook, in name: String) {
        for index in tables.indices where tables[index].name == name {
            tables[index].chains.append(chain)
            tables[index].jumps.append("-A \(hook.chain) -j \(chain.name)")
        }
    }
}

extension OwnRules {
    /// Those that are in place in a saved rule set.
    package init(in ruleset: SavedRuleset) {
        tables = tables.map { OwnTable($0.name, in: ruleset) }
    }

    /// What `iptables-restore --noflush` reads to put these in the place of `current`: of each table in one step, either
    /// all of it or nothing.
    package func restoreText(replacing current: OwnRules) -> String {
        let lines = zip(tables, current.tables).flatMap { $0.restoreLines(replacing: $1) }
        return lines.map { $0 + "\n" }.joined()
    }

    /// As `iptables-save` prints them.
    package var lines: [String] { tables.flatMap { $0.isEmpty ? [] : ["*\($0.name)"] + $0.lines } }
}

extension SavedRuleset {
    /// The rule set as it would be with these in the place of the own rules that it has.
    package func replacingOwnRules(with own: OwnRules) -> SavedRuleset {
        var lines: [String] = []
        for table in tables {
            let new = own.tables.first { $0.name == table.name }
            let kept = table.chains.filter { new == nil || !OwnRules.isOwn($0.name) }
            lines.append("*\(table.name)")
            lines += kept.map { ":\($0.name) \($0.policy ?? "-")" }
            lines += kept.flatMap(\.rules).filter { new == nil || !OwnRules.isOwn($0.target ?? "") }.map(\.line)
            lines += new?.lines ?? []
        }
        for table in own.tables where !table.isEmpty && self[table: table.name] == nil {
            lines += ["*\(table.name)"] + table.lines
        }
        return SavedRuleset(lines.joined(separator: "\n"), command: command, family: family)
    }
}
