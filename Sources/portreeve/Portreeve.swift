// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ArgumentParser

/// The administrator's tool. One file per subcommand; what talks to the agent does it over the control socket, and what
/// needs no agent works without one.
@main
struct Portreeve: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "portreeve",
        abstract: "Check, watch and connect the Portreeve firewall.",
        discussion: "Exit status: 0 done, 1 refused or failed, 2 no agent is running (status), 64 wrong usage.",
        version: Release.version,
        subcommands: [
            CheckCommand.self, SchemaCommand.self, StatusCommand.self, ConnectionsCommand.self, EventsCommand.self,
            ReloadCommand.self, ReopenCommand.self, ReasonsCommand.self, IPTablesCommand.self, ReplayCommand.self,
            ScanCommand.self, ReflectCommand.self, RollBackCommand.self,
        ])

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
