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
                for (family, old) in replaced.merging([family: old], uniquingKeysWith: { $1 }) {
                    Self.takeBack(family, to: old)
                }
                throw error
            }
            replaced[family] = old
            for (old, new) in zip(old.tables, new.tables) where old.isMarked && !new.isMarked {
                Self.removeTable(old.name, family)
            }
        }
        return replaced
    }

    /// Of several tables some may be changed and some not.
    private static func takeBack(_ family: AddressFamily, to old: OwnRules) {
        guard let now = (try? NamespaceRules.read())?.current[family].map({ OwnRules(in: $0) }), now != old else {
            return
        }
        try? restore(old.restoreText(replacing: now), family)
        for (now, old) in zip(now.tables, old.tables) where now.isMarked && !old.isMarked {
            removeTable(now.name, family)
        }
    }

    /// `--wait` is for the lock of the kind of iptables that has one.
    private static func restore(_ text: String, _ family: AddressFamily) throws {
        let command = "\(family.command)-restore"
        let result = try Program.run(command, ["--noflush", "--wait", "10"], input: text)
        guard result.status == 0 else { throw Failure(description: "\(command): \(result.complaint)") }
    }

    /// The table came with the rules and goes with them. What cannot be done here leaves an empty table, which does nothing.
    private static func removeTable(_ table: String, _ family: AddressFamily) {
        let name = [family.nftablesName, table]
        guard let listing = try? Program.run("nft", ["list", "table"] + name),
            let removal = NFTablesRuleset.removal(ofEmptyTableIn: listing.output)
        else { return }
        _ = try? Program.run("nft", ["-f", "-"], input: removal)
    }
}
