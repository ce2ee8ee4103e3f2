// SPDX-License-Identifier: GPL-3.0-or-later

import KernelRules
import PacketFilterRules

/// Puts own rules in place, for all families or for none.
struct RuleChange {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// What is to be in place of Portreeve's; everything else of its goes.
    var target: OwnRulesets

    /// - Returns: what was in place before.
    /// - Throws: `Failure` or what reading the rules throws; the rules are as they were then.
    @discardableResult
    func make(from rules: NamespaceRules) throws -> OwnRulesets {
        let before = rules.own
        do {
            for family in AddressFamily.allCases where before.families[family] != nil {
                try change(family, from: before[family])
            }
            try Self.replaceTable(before.bridge, with: target.bridge)
            ControlGroupNumbers.keep(Set(AddressFamily.allCases.flatMap { target[$0].controlGroups }))
        } catch {
            Self.takeBack(to: before)
            throw error
        }
        return before
    }

    private func change(_ family: AddressFamily, from old: OwnRules) throws {
        // Of a unit that has ended since the rules were kept.
        let groups = ControlGroups()
        let new = target[family].withoutControlGroups(but: Set(target[family].controlGroups.filter(groups.exists)))
        if new.isEmpty && old.isEmpty { return }
        try Self.restore(new.restoreText(replacing: old), family)
        for (old, new) in zip(old.tables, new.tables) where old.isMarked && !new.isMarked {
            Self.removeTable(old.name, family)
        }
    }

    /// Of several families and tables some may be changed and some not. Each goes back as far as it can.
    private static func takeBack(to before: OwnRulesets) {
        guard let now = try? NamespaceRules.read().own else { return }
        let change = RuleChange(target: before)
        for family in AddressFamily.allCases where now[family] != before[family] {
            try? change.change(family, from: now[family])
        }
        try? replaceTable(now.bridge, with: before.bridge)
    }

    /// In one step, either all of it or nothing.
    private static func replaceTable(_ old: BridgeTable?, with new: BridgeTable?) throws {
        guard old != new else { return }
        let result = try Program.run("nft", ["-f", "-"], input: new?.script ?? BridgeTable.removal)
        guard result.status == 0 else { throw Failure(description: "nft: \(result.complaint)") }
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
