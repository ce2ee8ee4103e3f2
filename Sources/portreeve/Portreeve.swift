// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ArgumentParser
import FirewallEngine

/// The administrator's tool. One file per subcommand; what talks to the agent does it over the control socket, and what
/// needs no agent works without one.
@main
struct Portreeve: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "portreeve",
        abstract: "Check, watch and connect the Portreeve firewall.",
        discussion: "Exit status:\n\(ExitStatus.table(of: commands))",
        version: Release.version,
        subcommands: commands + [RollBackCommand.self])

    /// Those that are meant for people.
    static let commands: [any ParsableCommand.Type] = [
        EnableCommand.self, DisableCommand.self, StatusCommand.self, EventsCommand.self, ConnectionsCommand.self,
        RulesCommand.self, TopCommand.self, ReportCommand.self,
        SuggestCommand.self,
        CheckCommand.self, ExplainCommand.self, DiffCommand.self, ReloadCommand.self, ReasonsCommand.self,
        ReplayCommand.self, BlockCommand.self, UnblockCommand.self, BlocksCommand.self, IPTablesCommand.self,
        SchemaCommand.self, ReopenCommand.self, ScanCommand.self, ReflectCommand.self,
    ]

    /// What was printed must have arrived: redirected to a full disk, the command has failed.
    static func main() {
        do {
            var command = try parseAsRoot()
            try command.run()
            if let error = outputError { throw fail("standard output: \(error)") }
        } catch {
            exit(withError: error)
        }
    }
}
