// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import FastPath
import FirewallPolicy
import PacketFilterRules

/// What rules name has to be there before them.
struct FastPathPrograms {
    static let defaultPath = "/usr/lib/portreeve/fastpath.o"
    /// The agent's, as the package makes it. Where this host has none, root alone may use the maps.
    private static let group = "portreeve"

    /// The object file.
    let path: String
    /// How many flows there is to be room for, where the maps are made anew.
    var flows = FastPathPins.defaultFlows

    static func areNamed(by rules: OwnRulesets) -> Bool {
        AddressFamily.allCases.contains { rules[$0].nameProgramsOfFastPath }
    }

    /// Takes the names away when the rules are gone. Rules of another network namespace that name them go on with the same program.
    static func withdraw() { FastPathPins.withdraw(FastPathMode.directory) }

    /// Loads and pins the programs that these rules name, where that was not done before.
    private func prepare(for rules: OwnRulesets) throws {
        guard Self.areNamed(by: rules) else { return }
        let group = GroupID(named: Self.group)?.rawValue ?? 0
        try FastPathPins.prepare(FastPathMode.directory, program: path, group: group, flows: flows)
    }

    /// The rules, with what they name in place.
    func prepared(for rules: OwnRulesets) throws -> OwnRulesets {
        try prepare(for: rules)
        return rules
    }

    /// The same; where it cannot be done, other rules that name none: a host without a fast path is protected, one without rules is
    /// not.
    func prepared(for rules: OwnRulesets, or others: () throws -> OwnRulesets) throws -> OwnRulesets {
        do {
            return try prepared(for: rules)
        } catch {
            complain("the fast path is left out, all packets come to the queue: \(error)")
            return try others()
        }
    }
}
