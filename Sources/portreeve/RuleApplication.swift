// SPDX-License-Identifier: GPL-3.0-or-later

import AdministrativeSessions
import AgentControl
import ArgumentParser
import FirewallPolicy
import PacketFilterRules

/// `portreeve iptables --apply`.
struct RuleApplication {
    let command: IPTablesCommand
    /// The command that confirms a trial.
    let confirmation: String

    func run() throws {
        let document = try command.policy.load()
        if !command.force { try requireAgent() }
        // A session to this host does not depend on frames that pass through.
        if document.queue.family == .ip {
            try requireSession(document)
            for remark in document.remarks(sshPorts: SSHServers.here().ports) {
                complain("note: \(remark.line.harmless)")
            }
        }
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
        let target = target(of: document, plan, in: rules)
        try refuseConflicts(rules.inspection(of: document, with: target))
        try apply(document, target, rules, directory)
        if document.queue.family == .ip {
            command.explain(plan)
            report(plan, inspection, target)
        } else {
            report("\(target.title), forward", plan)
        }
        reportWhatFollows()
    }

    /// The rules that a policy asks for, where these are in place.
    func target(of document: PolicyDocument, in rules: NamespaceRules) -> OwnRulesets {
        let best = rules.inspection(of: document).bestIncomingHook
        return target(of: document, command.plan(for: document, best: best), in: rules)
    }

    /// Those for a host that has no fast path: the policy's offload is by connection marks then.
    private func targetWithoutProgram(of document: PolicyDocument, in rules: NamespaceRules) throws -> OwnRulesets {
        let best = rules.inspection(of: document).bestIncomingHook
        let target = target(of: document, command.plan(for: document, best: best, hasProgram: false), in: rules)
        try refuseConflicts(rules.inspection(of: document, with: target))
        return target
    }

    private func target(
        of document: PolicyDocument, _ plan: QueueRulePlan, in rules: NamespaceRules
    ) -> OwnRulesets {
        var plan = plan
        plan.keepUnits(of: rules.own[.ipv4])
        return rules.marked(document.queue.family == .ip ? plan.rulesets : OwnRulesets(bridge: BridgeTable(document)))
    }

    /// With an agent that answers the rules stay only if their packets reach it. Connections older than the rules, this
    /// session among them, are admitted as at the start of the agent.
    private func apply(
        _ document: PolicyDocument, _ target: OwnRulesets, _ rules: NamespaceRules, _ directory: RollBackDirectory
    ) throws {
        let agent = ControlClient(path: command.control.path, timeoutSeconds: 5)
        guard case .coldStarted? = try? agent.request(.coldStart), !command.force else {
            return try change(rules, to: target, document, directory)
        }
        let check = AppliedCheck(
            control: command.control, queues: document.queue.layout, policy: try Policy(document, epoch: 1))
        let judged = try check.packetsJudged()
        try change(rules, to: target, document, directory)
        // No frame of this host's own passes through a bridge.
        guard document.queue.family == .ip else { return }
        do {
            guard try !check.run(since: judged) else {
                return command.outcome.say("checked: the agent judges what the rules give it")
            }
            complain(
                "note: no interface here can carry a packet of a trial; whether the rules feed the agent is not known")
        } catch {
            try RuleChange(target: rules.own).make(from: NamespaceRules.read())
            directory.clear()
            throw fail("\(error)\ntaken back at once: the rules are as they were before")
        }
    }

    /// Whoever applies rules over SSH wants to be there afterwards, and so do others.
    private func requireSession(_ document: PolicyDocument) throws {
        let refusals = SessionGuard(
            present: CallerSession.here.ssh, established: SSHServers.here().sessions
        ).refusals(by: document)
        guard let first = refusals.first else { return }
        guard !command.force, command.confirm == nil else {
            return refusals.forEach { complain("note: \($0.sentence)") }
        }
        throw fail(
            "\(refusals.map(\.sentence).joined(separator: "\n"))\nnothing was changed: \(first.cure); --confirm 60 tries "
                + "the rules for a minute, --force applies them all the same")
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

    private func refuseConflicts(_ inspection: RulesInspection) throws {
        let findings = inspection.findings
        for finding in findings { complain(finding.screenText) }
        guard !command.force, findings.contains(where: { $0.severity == .refusal }) else { return }
        throw fail("nothing was changed; --force applies the rules all the same")
    }

    /// Who takes the rules back waits before they are there.
    private func change(
        _ rules: NamespaceRules, to target: OwnRulesets, _ document: PolicyDocument, _ directory: RollBackDirectory
    ) throws {
        if let seconds = command.confirm {
            let pending = PendingRollBack(after: seconds, to: rules.own, by: .here)
            try directory.set(pending)
            do {
                let by = try RollBackCommand.arm(directory, token: pending.token, seconds: seconds)
                command.outcome.say("armed: \(by) takes the rules back unless they are confirmed")
            } catch {
                directory.clear()
                throw error
            }
        }
        do {
            let programs = FastPathPrograms(path: command.program, flows: command.flows)
            let isWanted = document.engine.fastPath == .on
            let target =
                isWanted
                ? try programs.prepared(for: target)
                : try programs.prepared(for: target) { try targetWithoutProgram(of: document, in: rules) }
            try RuleChange(target: target).make(from: rules)
        } catch {
            directory.clear()
            throw error
        }
    }

    private func report(_ plan: QueueRulePlan, _ inspection: RulesInspection, _ target: OwnRulesets) {
        let hooks = [plan.incoming.rawValue, "output"] + (plan.includesForwarded ? ["forward"] : [])
        report("\(target.title), \(hooks.joined(separator: ", "))", plan)
        if command.hook == .auto, let evidence = inspection.trackingEvidence {
            command.outcome.say("taken at input because connections are tracked here: \(evidence.harmless)")
        }
    }

    private func report(_ what: String, _ plan: QueueRulePlan) {
        command.outcome.say(
            "applied: \(what) to \(QueueRulePlan.text(plan.queues.established)), "
                + (plan.bypasses ? "passing unchecked without an agent" : "dropped without an agent"))
        command.outcome.say(
            "connections that are open now, this session too, go on: the agent admits what its rules would admit")
    }

    private func reportWhatFollows() {
        if let seconds = command.confirm {
            command.outcome.say(
                "the rules are taken back in \(seconds) s: confirm from a new SSH session or at the console with "
                    + "\"\(confirmation)\"")
        }
        let saved = SavedRules(directory: command.saved).rules.unmarked
        if !saved.isEmpty, saved != (try? NamespaceRules.read().own.unmarked) {
            command.outcome.say(
                "the next boot brings the rules of the last --save: \"portreeve iptables --save\" makes these last")
        }
    }
}
