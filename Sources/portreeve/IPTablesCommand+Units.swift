// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import KernelRules
import PacketFilterRules

extension IPTablesCommand {
    /// A unit that was started again has another control group than the rules in place know. Where none are in place there is nothing
    /// to do, so that a unit may ask for this whenever it starts.
    func renewUnits() throws {
        let directory = RollBackDirectory(path: state)
        let lock = try directory.lock()
        defer { lock.release() }
        let rules = try NamespaceRules.read()
        guard !rules.own.families.values.allSatisfy(\.isEmpty) else { return outcome.say("no rules are in place") }
        let known = KnownPolicy.inForce(policy, control)
        known.complainOfTroubles()
        var plan = plan(for: known.document, best: .input)
        plan.keepUnits(of: rules.own[.ipv4])
        var target = rules.own
        for (family, own) in rules.own.families where !own.isEmpty {
            target.families[family] = own.withUnits(of: plan.rules(for: family))
        }
        try RuleChange(target: rules.marked(target)).make(from: rules)
        let names = plan.unitMarks.map(\.unit).filter { !plan.unitsWithoutGroup.contains($0) }
        outcome.say(
            names.isEmpty ? "no unit of the policy runs" : "known: \(names.map(\.harmless).joined(separator: ", "))")
        explain(plan)
    }
}
