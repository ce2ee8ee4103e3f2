// SPDX-License-Identifier: GPL-3.0-or-later

import AdministrativeSessions
import AgentControl
import ArgumentParser

struct ReloadCommand: DescribedCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload", abstract: "Have the agent read its policy again.",
        discussion: discussion(
            """
            On any error the old policy stays in force and the errors are printed. A policy that would shut out the SSH \
            session that you are in, or one of another administrator, is refused.

            A safe try from afar: portreeve reload --confirm 60, then, from a new SSH session or at the console, portreeve \
            reload --keep. Without --keep the old policy is back in force after 60 seconds; a restart in between does not \
            bring the new one in.
            """))

    static let examples = [
        Example("portreeve reload", "The policy on the disk comes into force."),
        Example("portreeve reload --confirm 60", "For a minute only, unless it is kept."),
        Example("portreeve reload --keep", "It stays; from another session."),
    ]

    static let ends: [ExitStatus] = [
        .done.when("the policy is in force, or kept"), .failed.when("it is not"), .shutsOut,
    ]

    @OptionGroup var control: ControlOptions
    @OptionGroup var outcome: OutcomeOptions

    @Option(help: ArgumentHelp("Take the policy back after so long unless --keep comes.", valueName: "seconds"))
    var confirm: Int64?

    @Flag(help: "Confirm a reload --confirm: from another session, or at the console.")
    var keep = false

    @Flag(help: "Although administrators are shut out; with --keep, although it is the same session.")
    var force = false

    func validate() throws {
        if keep && confirm != nil { throw ValidationError("--keep confirms what --confirm tries: give one of them") }
        if let confirm, !ReloadRequest.confirmRange.contains(confirm) {
            throw ValidationError("--confirm takes 1 to 86400 seconds")
        }
    }

    func run() throws {
        guard case .reloaded(let report) = try control.ask(request, timeoutSeconds: 120) else {
            throw control.unexpected()
        }
        // Each is located and harmless already, and may have several lines.
        for diagnostic in report.diagnostics { complain(diagnostic) }
        guard report.accepted else { throw refusal(report) }
        let files = report.files.map(\.harmless).joined(separator: ", ")
        let epoch = JSONValue.Member("epoch", .count(report.epoch))
        guard let seconds = report.takenBackIn, let earlier = report.earlierEpoch else {
            return outcome.say(
                keep ? "kept: epoch \(report.epoch) stays in force" : "epoch \(report.epoch) is in force: \(files)",
                epoch)
        }
        outcome.say(
            "epoch \(report.epoch) is in force for \(seconds) s: \(files)", epoch,
            .init("taken_back_in", .count(seconds)))
        outcome.say(
            "after that epoch \(earlier) is back in force: confirm with \"portreeve reload --keep\" from a new SSH session "
                + "or at the console", .init("earlier_epoch", .count(earlier)))
    }

    private var request: ControlRequest {
        let caller = CallerSession.here.text
        if keep {
            var request = KeepRequest()
            request.caller = caller
            request.isForced = force
            return .keep(request)
        }
        var request = ReloadRequest()
        request.caller = caller
        request.isForced = force
        request.confirmSeconds = confirm
        request.sessions = SSHServers.here().sessions.prefix(ReloadRequest.sessionLimit).map(\.text)
        return .reload(request)
    }

    private func refusal(_ report: ReloadReport) -> ExitCode {
        if keep { return ExitStatus.failed.exit }
        return fail(
            "the policy was not changed: epoch \(report.epoch) stays in force",
            status: report.shutsOut ? .shutsOut : .failed)
    }
}
