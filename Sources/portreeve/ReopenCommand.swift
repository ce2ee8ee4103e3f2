// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ArgumentParser

struct ReopenCommand: DescribedCommand {
    static let configuration = CommandConfiguration(
        commandName: "reopen", abstract: "Have the agent open its events file again, after a rotation.",
        discussion: discussion(""))

    static let examples = [
        Example("portreeve reopen", "After the events file was renamed.")
    ]

    @OptionGroup var control: ControlOptions

    func run() throws {
        guard case .reopened = try control.ask(.reopen) else { throw control.unexpected() }
    }
}
