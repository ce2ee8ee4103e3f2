// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ArgumentParser
import FirewallPolicy
import PacketFilterRules

/// `portreeve iptables --apply`.
struct RuleApplication {
    let command: IPTablesCommand

    func run() throws {
        let document = try command.policy.load()
        if !command.force { try requireAgent() }
        let directory = RollBackDirectory(path: command.state)
        let lock = try directory.lock()
        defer { lock.release() }
        if let pending = directory.pending {
            let left = max(0, pending.deadline - PendingRollBack.now)
            throw fail("an earlier --apply waits \(left) s more for its confirmation: run --keep or --remove first")
        }
        let rules = try NamespaceRules.read()
        let inspection = rules.inspection(of: document)
        let plan = command.plan(for: document, best: inspection.bestIncomingHook)
        let target = target(of: plan, in: rules)
        try refuseConflicts(rules.inspection(of: document, current: Self.predicted(rules, target)))
        try change(rules, to: target, directory)
        command.explain(plan)
        report(plan, inspection, target)
    }

    private func requireAgent() throws {
        do {
            _ = try ControlClient(path: command.control.path, timeoutSeconds: 5).request(.ping)
        } catch {
            throw fail(
                "\(error)\nnothing was changed: without an agent these rules would only drop packets, or let them "
                    + "pass unchecked; --force applies them all the same")
        }
    }

    /// A table that appears with the rules is marked, so that it goes with them.
    private func target(of plan: QueueRulePlan, in rules: NamespaceRules) -> [AddressFamily: OwnRules] {
        var target: [AddressFamily: OwnRules] = [:]
        for (family, ruleset) in rules.current {
            var own = plan.rules(for: family)
            let isNew = rules.usesNFTables && ruleset[table: OwnRules.table] == nil
            if isNew || OwnRules(in: ruleset).ownTable { own.markTable() }
            target[family] = own
        }
        return target
    }

    private static func predicted(_ rules: NamespaceRules, _ target: [AddressFamily: OwnRules]) -> [SavedRuleset] {
        AddressFamily.allCases.compactMap { family in
            rules.current[family].map { $0.replacingOwnRules(with: target[family] ?? OwnRules()) }
        }
    }

    private func refuseConflicts(_ inspection: RulesInspection) throws {
        let findings = inspection.findings
        for finding in findings { complain(finding.screenText) }
        guard !command.force, findings.contains(where: { $0.severity == .refusal }) else { return }
        throw fail("nothing was changed; --force applies the rules all the same")
    }

    /// Who takes the rules back waits before they are there.
    private func change(
        _ rules: NamespaceRules, to target: [AddressFamily: OwnRules], _ directory: RollBackDirectory
    )
        throws
    {
        if let seconds = command.confirm {
            let before = rules.current.mapValues { OwnRules(in: $0) }
            let pending = PendingRollBack(after: seconds, to: before)
            try directory.set(pending)
            do {
                try RollBackCommand.start(directory, token: pending.token)
            } catch {
                directory.clear()
                throw error
            }
        }
        do {
            try RuleChange(target: target).make(from: rules)
        } catch {
            directory.clear()
            throw error
        }
    }

    private func report(_ plan: QueueRulePlan, _ inspection: RulesInspection, _ target: [AddressFamily: OwnRules]) {
        let families = AddressFamily.allCases.filter { target[$0] != nil }.map(\.title).joined(separator: " and ")
        let hooks = [plan.incoming.rawValue, "output"] + (plan.includesForwarded ? ["forward"] : [])
        let queues =
            plan.queues.count == 1
            ? "queue \(plan.queues.lowerBound)" : "queues \(plan.queues.lowerBound)-\(plan.queues.upperBound)"
        print(
            "applied: \(families), \(hooks.joined(separator: ", ")) to \(queues)"
                + (plan.bypasses ? ", passing unchecked without an agent" : ", dropped without an agent"))
        if command.hook == .auto, let evidence = inspection.trackingEvidence {
            print("taken at input because connections are tracked here: \(evidence.harmless)")
        }
        print("connections that are open now, this session too, go on: the agent admits what its rules would admit")
        if let seconds = command.confirm {
            print(
                "the rules are taken back in \(seconds) s: confirm from a new session with \"portreeve iptables --keep\""
            )
        }
    }
}
