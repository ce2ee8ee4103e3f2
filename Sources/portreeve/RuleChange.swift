// SPDX-License-Identifier: GPL-3.0-or-later

import PacketFilterRules

/// Puts own rules in place, for all families or for none.
struct RuleChange {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// What is to be in place; a family that is not named keeps what it has.
    var target: [AddressFamily: OwnRules]

    /// - Returns: what was in place before.
    /// - Throws: `Failure` or what reading the rules throws; the rules are as they were then.
    @discardableResult
    func make(from rules: NamespaceRules) throws -> [AddressFamily: OwnRules] {
        var replaced: [AddressFamily: OwnRules] = [:]
        for family in AddressFamily.allCases {
            guard let new = target[family], let ruleset = rules.current[family] else { continue }
            let old = OwnRules(in: ruleset)
            if new.isEmpty && old.isEmpty { continue }
            do {
                try Self.restore(new.restoreText(replacing: old), family)
            } catch {
                for (family, old) in replaced {
                    try? Self.restore(old.restoreText(replacing: target[family] ?? OwnRules()), family)
                }
                throw error
            }
            replaced[family] = old
            if old.ownTable && !new.ownTable { Self.removeTable(family) }
        }
        return replaced
    }

    /// `--wait` is for the lock of the kind of iptables that has one.
    private static func restore(_ text: String, _ family: AddressFamily) throws {
        let command = "\(family.command)-restore"
        let result = try Program.run(command, ["--noflush", "--wait", "10"], input: text)
        guard result.status == 0 else { throw Failure(description: "\(command): \(result.complaint)") }
    }

    /// The table came with the rules and goes with them. What cannot be done here leaves an empty table, which does nothing.
    private static func removeTable(_ family: AddressFamily) {
        let name = [family.nftablesName, OwnRules.table]
        guard let listing = try? Program.run("nft", ["list", "table"] + name),
            let removal = NFTablesRuleset.removal(ofEmptyTableIn: listing.output)
        else { return }
        _ = try? Program.run("nft", ["-f", "-"], input: removal)
    }
}
