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
        try requireSession(document)
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
        let target = rules.marked(
            Dictionary(uniqueKeysWithValues: AddressFamily.allCases.map { ($0, plan.rules(for: $0)) }))
        try refuseConflicts(rules.inspection(of: document, current: Self.predicted(rules, target)))
        try apply(plan, document, target, rules, directory)
        command.explain(plan)
        report(plan, inspection, target)
    }

    /// With an agent that answers the rules stay only if their packets reach it. Connections older than the rules, this
    /// session among them, are admitted as at the start of the agent.
    private func apply(
        _ plan: QueueRulePlan, _ document: PolicyDocument, _ target: [AddressFamily: OwnRules], _ rules: NamespaceRules,
        _ directory: RollBackDirectory
    ) throws {
        let agent = ControlClient(path: command.control.path, timeoutSeconds: 5)
        guard case .coldStarted? = try? agent.request(.coldStart), !command.force else {
            return try change(rules, to: target, directory)
        }
        let check = AppliedCheck(
            control: command.control, plan: plan, policy: try Policy(document, epoch: 1))
        let judged = try check.packetsJudged()
        try change(rules, to: target, directory)
        do {
            guard try !check.run(since: judged) else {
                return print("checked: the agent judges what the rules give it")
            }
            complain(
                "note: no interface here can carry a packet of a trial; whether the rules feed the agent is not known")
        } catch {
            try RuleChange(target: rules.current.mapValues { OwnRules(in: $0) }).make(from: NamespaceRules.read())
            directory.clear()
            throw fail("\(error)\ntaken back at once: the rules are as they were before")
        }
    }

    /// Whoever applies rules over SSH wants to be there afterwards.
    private func requireSession(_ document: PolicyDocument) throws {
        guard let session = PresentSession.here, let refusal = session.refusal(by: document) else { return }
        let what = "this policy would shut out the SSH session that you are in (\(session.text)): \(refusal)"
        guard !command.force else { return complain("note: \(what)") }
        throw fail(
            "\(what)\nnothing was changed: add a rule that lets it pass, such as an allow or force-allow rule for "
                + "incoming tcp to port \(session.serverPort); --force applies the rules all the same")
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
                let by = try RollBackCommand.arm(directory, token: pending.token, seconds: seconds)
                print("armed: \(by) takes the rules back unless they are confirmed")
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
        print(
            "applied: \(families), \(hooks.joined(separator: ", ")) to \(plan.queueText)"
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
        let saved = SavedRules(directory: command.saved).rules
        let inPlace = (try? NamespaceRules.read().current.mapValues { OwnRules(in: $0).unmarked }) ?? [:]
        if !saved.isEmpty, saved != inPlace.filter({ !$0.value.isEmpty }) {
            print("the next boot brings the rules of the last --save: \"portreeve iptables --save\" makes these last")
        }
    }
}
