// SPDX-License-Identifier: GPL-3.0-or-later

import FastPath
import FirewallPolicy
import PacketFilterRules

/// What rules name has to be there before them.
struct FastPathPrograms {
    static let defaultPath = "/usr/lib/portreeve/fastpath.o"

    /// The object file.
    let path: String

    /// Loads and pins the programs that these rules name, where that was not done before.
    func prepare(for rules: OwnRulesets) throws {
        guard AddressFamily.allCases.contains(where: { rules[$0].nameProgramsOfFastPath }) else { return }
        try FastPathPins.prepare(FastPathMode.directory, program: path)
    }

    /// The same; where it cannot be done, without the rules that name them: a host without a fast path is protected, one
    /// without rules is not.
    func prepareOrLeaveOut(for rules: OwnRulesets) -> OwnRulesets {
        do {
            try prepare(for: rules)
            return rules
        } catch {
            complain("the fast path is left out, all packets come to the queue: \(error)")
            var without = rules
            for (family, own) in rules.families { without.families[family] = own.withoutPrograms }
            return without
        }
    }
}
