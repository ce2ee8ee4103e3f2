// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ArgumentParser

struct ReloadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload", abstract: "Have the agent read its policy again.",
        discussion: "On any error the old policy stays in force, the errors are printed and the exit status is 1.")

    @OptionGroup var control: ControlOptions

    func run() throws {
        guard case .reloaded(let report) = try control.ask(.reload, timeoutSeconds: 120) else {
            throw control.unexpected()
        }
        // Each is located and harmless already, and may have several lines.
        for diagnostic in report.diagnostics { complain(diagnostic) }
        guard report.accepted else {
            throw fail("the policy was not changed: epoch \(report.epoch) stays in force")
        }
        print("epoch \(report.epoch) is in force: \(report.files.map(\.harmless).joined(separator: ", "))")
    }
}
