// SPDX-License-Identifier: GPL-3.0-or-later

import ArgumentParser
import PacketFilterRules
import PolicyFile

/// What `ufw enable` is there: the rules in place, tried first, then kept and saved.
struct EnableCommand: DescribedCommand {
    static let configuration = CommandConfiguration(
        commandName: "enable", abstract: "Protect this host, now and after each boot.",
        discussion: discussion(
            """
            Puts the iptables rules in place that give packets to the agent, for a minute. The same command from a new SSH \
            session, or at the console, shows that somebody can still get in: then they stay, and come back at every boot. \
            Otherwise they are taken back, also when the session is dead. `portreeve iptables` has each of these steps.

            After a change of the policy that needs other rules it begins again.
            """))

    static let examples = [
        Example("portreeve enable", "Try; and, from another session within the minute, keep."),
        Example("portreeve enable --now", "Without a trial, in a script or at the console."),
    ]

    static let ends: [ExitStatus] = [.done.when("the rules are in place, for the trial or for good"), .failed]

    @OptionGroup var policy: PolicyOptions
    @OptionGroup var control: ControlOptions
    @OptionGroup var outcome: OutcomeOptions

    @Option(help: ArgumentHelp("How long the trial lasts.", valueName: "seconds"))
    var confirm: Int64 = 60

    @Flag(help: "Without a trial. Refused where it would shut out an administrator who is connected over SSH.")
    var now = false

    @Option(help: ArgumentHelp("Where a trial is remembered.", valueName: "directory"), completion: .directory)
    var state = RollBackDirectory.defaultPath

    @Option(
        help: ArgumentHelp("Where the rules are kept for the next boot.", valueName: "directory"),
        completion: .directory)
    var saved = SavedRules.defaultPath

    func validate() throws { _ = try step("--apply") }

    func run() throws {
        do {
            if RollBackDirectory(path: state).pending != nil { return try keep() }
            if try !isInPlace() {
                try RuleApplication(command: step("--apply"), confirmation: "portreeve enable").run()
                guard now else { return }
            }
            try step("--save").save()
        } catch let exit as ExitCode {
            throw exit
        } catch {
            throw fail("\(error)")
        }
    }

    private func keep() throws {
        let command = try step("--keep")
        try command.keep(by: "portreeve enable")
        try command.save()
    }

    /// The rules that the policy asks for are there, and confirmed.
    private func isInPlace() throws -> Bool {
        let rules = try NamespaceRules.read()
        guard !rules.own.isEmpty, let document = PolicyFile.read(policy.path).document else { return false }
        return try RuleApplication(command: step("--apply"), confirmation: "").target(of: document, in: rules).unmarked
            == rules.own.unmarked
    }

    private func step(_ action: String) throws -> IPTablesCommand {
        let trial = action == "--apply" && !now ? ["--confirm", "\(confirm)"] : []
        return try IPTablesCommand.parse(
            [action, "--policy", policy.path, "--control", control.path, "--state", state, "--saved", saved] + trial
                + (outcome.json ? ["--json"] : []))
    }
}

struct DisableCommand: DescribedCommand {
    static let configuration = CommandConfiguration(
        commandName: "disable", abstract: "Protect this host no longer, now and after the next boot.",
        discussion: discussion(
            """
            Takes the agent's iptables rules away, in place and saved, as `portreeve iptables --remove` does. Packets then \
            pass without the agent, which goes on waiting; other rules stay as they are.
            """))

    static let examples = [Example("portreeve disable", "All packets pass, as far as Portreeve is concerned.")]

    @OptionGroup var policy: PolicyOptions
    @OptionGroup var control: ControlOptions
    @OptionGroup var outcome: OutcomeOptions

    @Option(help: ArgumentHelp("Where a trial is remembered.", valueName: "directory"), completion: .directory)
    var state = RollBackDirectory.defaultPath

    @Option(
        help: ArgumentHelp("Where the rules are kept for the next boot.", valueName: "directory"),
        completion: .directory)
    var saved = SavedRules.defaultPath

    func run() throws {
        try IPTablesCommand.parse(
            ["--remove", "--policy", policy.path, "--control", control.path, "--state", state, "--saved", saved]
                + (outcome.json ? ["--json"] : [])
        ).run()
    }
}
