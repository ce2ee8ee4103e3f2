// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import PacketFilterRules

/// Rules that outlive a boot.
extension IPTablesCommand {
    func save() throws {
        let directory = RollBackDirectory(path: state)
        let lock = try directory.lock()
        defer { lock.release() }
        guard directory.pending == nil else {
            throw fail("the rules in place are not confirmed yet: run \"portreeve iptables --keep\" first")
        }
        let own = try NamespaceRules.read().own.unmarked
        guard !own.isEmpty else {
            throw fail("there are no rules to save: run \"portreeve iptables --apply\" first")
        }
        try SavedRules(directory: saved).write(own)
        outcome.say("saved: these rules come back at every boot; \"portreeve iptables --remove\" ends that")
        switch Systemd.enablement(of: SavedRules.unit) {
        case nil:
            complain(
                "note: systemd does not run here; have \"portreeve iptables --restore\" run at boot, before the network "
                    + "is up")
        case "enabled"?: break
        case let word?:
            complain("note: \(SavedRules.unit) is \(word): run \"systemctl enable \(SavedRules.unit)\"")
        }
    }

    /// Asks for rights of which `restore` has no need: the package's unit gives them to this step alone.
    func loadProgram() throws {
        let saved = SavedRules(directory: saved).rules
        guard FastPathPrograms.areNamed(by: saved) else { return outcome.say("the saved rules name no program") }
        _ = try FastPathPrograms(path: program).prepared(for: saved)
        outcome.say("loaded: \(FastPathMode.directory)")
    }

    /// Neither agent nor policy is needed: at boot they may come later, or not.
    func restore() throws {
        let directory = RollBackDirectory(path: state)
        let lock = try directory.lock()
        defer { lock.release() }
        let saved = SavedRules(directory: saved).rules
        guard !saved.isEmpty else { return outcome.say("no rules are saved") }
        let rules = try NamespaceRules.read()
        let marked = rules.marked(saved)
        let target = try FastPathPrograms(path: program).prepared(for: marked) { marked.withoutPrograms }
        try RuleChange(target: target).make(from: rules)
        directory.clear()
        outcome.say("restored: \(target.title)")
    }
}

extension NamespaceRules {
    /// A table that appears with rules is marked, so that it goes with them. Families that this kernel does not have drop out.
    func marked(_ target: OwnRulesets) -> OwnRulesets {
        var marked = OwnRulesets(bridge: target.bridge)
        for (family, ruleset) in current {
            var own = target[family]
            let inPlace = OwnRules(in: ruleset).tables
            for index in own.tables.indices where !own.tables[index].isEmpty {
                let isNew = usesNFTables && ruleset[table: own.tables[index].name] == nil
                if isNew || inPlace[index].isMarked { own.tables[index].mark() }
            }
            marked.families[family] = own
        }
        return marked
    }
}
