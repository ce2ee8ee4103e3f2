// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ArgumentParser

struct ReopenCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reopen", abstract: "Have the agent open its events file again, after a rotation.")

    @OptionGroup var control: ControlOptions

    func run() throws {
        guard case .reopened = try control.ask(.reopen) else { throw control.unexpected() }
    }
}
