// SPDX-License-Identifier: GPL-3.0-or-later

import AdministrativeSessions
import AgentControl
import ArgumentParser
import FastPath
import FirewallPolicy
import KernelRules
import PacketFilterRules

struct IPTablesCommand: DescribedCommand {
    static let configuration = CommandConfiguration(
        commandName: "iptables", abstract: "The iptables rules that give packets to the agent.",
        discussion: discussion(
            """
            With queue.family: bridge it is an nftables table instead (table bridge portreeve).

            The rules stand in chains of their own (PORTREEVE-…) for IPv4 and IPv6; no other rule is touched. They are in the \
            mangle table; where connections are tracked, those for this host's own packets are in the security table, behind \
            address translation and the filters of others; where flows are offloaded, there are some in the filter table too. They \
            hold until --remove or the next boot; --save makes them last.

            A safe first time from afar: portreeve iptables --apply --confirm 60, then, from a new session, portreeve \
            iptables --keep. Without --keep the rules are taken back after 60 seconds, also when the session is dead.
            """))

    static let examples = [
        Example("portreeve iptables --print", "Read what would be put in place."),
        Example("portreeve iptables --apply --confirm 60", "Put it in place for a minute."),
        Example("portreeve iptables --keep", "It stays; from another session."),
        Example("portreeve iptables --save", "It comes back at every boot."),
        Example("portreeve iptables --check", "What is wrong with the rules in place."),
    ]

    enum Action: String, EnumerableFlag {
        case print, apply, keep, save, remove, load, restore, check, units

        static func help(for value: Action) -> ArgumentHelp? {
            switch value {
            case .print: "Print the rules as a shell script, or with --family as input for iptables-restore --noflush."
            case .apply: "Put the rules in place, replacing those of an earlier --apply."
            case .keep: "Confirm an --apply --confirm."
            case .save: "Have the rules in place come back at every boot, by \(SavedRules.unit)."
            case .remove: "Take the rules away, now and at the next boot."
            case .load: "Load the program that the saved rules name (engine.fast-path), as at boot before --restore."
            case .restore: "Put the saved rules in place, as at boot."
            case .units:
                "Make the rules anew by which units are known (sender: { units: … }), after one was started: ExecStartPre=-+ of its unit."
            case .check: "Say what is wrong with the rules in place, whoever made them."
            }
        }
    }

    enum Hook: String, ExpressibleByArgument, CaseIterable {
        case auto, prerouting, input
    }

    @Flag var action: Action

    @OptionGroup var policy: PolicyOptions
    @OptionGroup var control: ControlOptions
    @OptionGroup var outcome: OutcomeOptions

    @Option(help: "Where packets for this host are taken. auto: prerouting, or input where connections are tracked.")
    var hook = Hook.auto

    @Option(help: ArgumentHelp("Take the rules back after so long unless --keep comes.", valueName: "seconds"))
    var confirm: Int64?

    @Flag(
        help:
            "Apply although no agent answers, administrators are shut out, or the rules do not fit others; with --keep, although it is the same session."
    )
    var force = false

    @Option(help: "Print for this family only.")
    var family: Family?

    @Option(
        help: ArgumentHelp("Where a pending --confirm is remembered.", valueName: "directory"), completion: .directory)
    var state = RollBackDirectory.defaultPath

    @Option(help: ArgumentHelp("Where --save keeps the rules.", valueName: "directory"), completion: .directory)
    var saved = SavedRules.defaultPath

    @Option(
        help: ArgumentHelp("The program of engine.fast-path, for the kernel.", valueName: "file"), completion: .file())
    var program = FastPathPrograms.defaultPath

    @Option(help: ArgumentHelp("For tests: how many flows new maps have room for.", visibility: .hidden))
    var flows = FastPathPins.defaultFlows

    enum Family: String, ExpressibleByArgument, CaseIterable {
        case ipv4, ipv6
    }

    func validate() throws {
        if confirm != nil && action != .apply { throw ValidationError("--confirm belongs to --apply") }
        if !(2...65_536 ~= flows) { throw ValidationError("--flows takes 2 to 65536") }
        if let confirm, !(1...86_400 ~= confirm) { throw ValidationError("--confirm takes 1 to 86400 seconds") }
    }

    func run() throws {
        do {
            switch action {
            case .print: try printRules()
            case .apply: try RuleApplication(command: self, confirmation: "portreeve iptables --keep").run()
            case .keep: try keep()
            case .save: try save()
            case .remove: try remove()
            case .load: try loadProgram()
            case .restore: try restore()
            case .check: try check()
            case .units: try renewUnits()
            }
        } catch let exit as ExitCode {
            throw exit
        } catch {
            throw fail("\(error)")
        }
    }

    func plan(
        for document: PolicyDocument, best: QueueRulePlan.IncomingHook, hasProgram: Bool = true
    ) -> QueueRulePlan {
        let asksProgram = hasProgram && document.engine.fastPath != .off
        let incoming: QueueRulePlan.IncomingHook =
            switch hook {
            // Marks need connection tracking, which comes with their rules.
            case .auto: document.directionsOffloadedByMarks(besideProgram: asksProgram).isEmpty ? best : .input
            case .prerouting: .prerouting
            case .input: .input
            }
        var plan = QueueRulePlan(document, incoming: incoming, hasProgram: hasProgram)
        plan.controlGroups = ControlGroups().paths(of: document.units)
        return plan
    }
}

extension IPTablesCommand {
    private func printRules() throws {
        let document = try policy.load()
        guard document.queue.family == .ip else {
            return show(BridgeTable(document).script, "bridge", "nft -f -")
        }
        let plan = plan(for: document, best: hook == .auto ? bestHook(document) : .input)
        explain(plan)
        if let family = family.flatMap({ AddressFamily(rawValue: $0.rawValue) }) {
            let text = plan.rules(for: family).restoreText(replacing: OwnRules())
            return outcome.json
                ? show(text, family.rawValue, "\(family.command)-restore --noflush") : print(text, terminator: "")
        }
        for family in AddressFamily.allCases {
            let text = plan.rules(for: family).restoreText(replacing: OwnRules())
            show(text, family.rawValue, "\(family.command)-restore --noflush")
        }
        for line in plan.synProxyOffer { outcome.say(line) }
    }

    /// Rules as part of a shell script, or beside the program that takes them.
    private func show(_ rules: String, _ family: String, _ program: String) {
        guard outcome.json else { return print("\(program) <<'END'\n\(rules)END") }
        let value: JSONValue = [
            "v": .integer(1), "family": .text(family), "program": .text(program), "rules": .text(rules),
        ]
        print(value.printed)
    }

    /// Printing needs no right to read the rules in place.
    private func bestHook(_ document: PolicyDocument) -> QueueRulePlan.IncomingHook {
        do {
            return try NamespaceRules.read().inspection(of: document).bestIncomingHook
        } catch {
            complain(
                "the rules in place cannot be read (\(error)): taken as if nothing tracked connections here; "
                    + "--hook says otherwise")
            return .prerouting
        }
    }

    func explain(_ plan: QueueRulePlan) {
        if action == .print, let directory = plan.fastPathDirectory {
            complain("note: the rules name the program of the fast path, which --apply pins in \(directory) before")
        }
        let asleep = plan.unitsWithoutGroup
        if !asleep.isEmpty {
            complain(
                "note: not running now, so that nothing is known as theirs: \(asleep.map(\.harmless).joined(separator: ", ")); "
                    + "\"ExecStartPre=-+portreeve iptables --units\" in such a unit makes its rule when it starts")
        }
        guard !plan.leftToAgent.isEmpty else { return }
        let names = plan.leftToAgent.map(\.harmless).joined(separator: ", ")
        complain("iptables cannot express these of interfaces.ignore, the agent passes their packets: \(names)")
    }

    /// `words`: the command that confirms.
    func keep(by words: String = "portreeve iptables --keep") throws {
        let directory = RollBackDirectory(path: state)
        let lock = try directory.lock()
        defer { lock.release() }
        if let pending = directory.pending {
            guard force || pending.author?.mayBeConfirmed(by: .here) ?? true else {
                let left = max(0, pending.deadline - PendingRollBack.now)
                throw fail(
                    "this is the session that applied the rules: that it goes on does not show that anybody can still get "
                        + "in; run \"\(words)\" from a new SSH session or at the console within \(left) s"
                )
            }
            directory.clear()
            return outcome.say("kept: the rules stay")
        }
        guard let outcome = directory.outcome else { throw fail("nothing to keep: no --apply --confirm is pending") }
        throw fail("too late: the rules were taken back at \(outcome)")
    }

    private func remove() throws {
        let directory = RollBackDirectory(path: state)
        let lock = try directory.lock()
        defer { lock.release() }
        let rules = try NamespaceRules.read()
        let replaced = try RuleChange(target: OwnRulesets()).make(from: rules)
        FastPathPrograms.withdraw()
        directory.clear()
        let wasSaved = try SavedRules(directory: saved).remove()
        KnownPolicy.inForce(policy, control).complainOfTroubles()
        switch (replaced.isEmpty, wasSaved) {
        case (true, false): outcome.say("there were no rules to remove")
        case (true, true): outcome.say("removed: the saved rules; none were in place")
        case (false, false): outcome.say("removed: packets pass without the agent")
        case (false, true): outcome.say("removed: packets pass without the agent, also after the next boot")
        }
    }

    private func check() throws {
        let known = KnownPolicy.inForce(policy, control)
        known.complainOfTroubles()
        let inspection = try NamespaceRules.read().inspection(of: known.document)
        let findings = inspection.findings
        for finding in findings { outcome.json ? print(finding.json.printed) : complain(finding.screenText) }
        if let pending = RollBackDirectory(path: state).pending {
            let left = pending.deadline - PendingRollBack.now
            complain(
                left > 0
                    ? "note: the rules are taken back in \(left) s unless \"portreeve iptables --keep\" comes"
                    : "note: an --apply --confirm was not confirmed and not taken back; run --keep or --remove")
        }
        guard findings.allSatisfy({ $0.severity == .advice }) else { throw ExitStatus.failed.exit }
        for feed in inspection.feeds { outcome.say("fine: \(feed.line.harmless)") }
    }
}

extension Finding {
    private var title: String {
        switch severity {
        case .refusal, .misfit: "error"
        case .gap: "warning"
        case .advice: "note"
        }
    }

    var json: JSONValue {
        [
            "v": .integer(1), "level": .text(title), "said": .text(text), "rules": .texts(lines), "cure": .text(cure),
        ]
    }

    /// As the terminal shows it.
    var screenText: String {
        let rules = lines.map { "\n  \($0.harmless)" }.joined()
        return "\(title): \(text.harmless)\(rules)\n  cure: \(cure)"
    }
}
