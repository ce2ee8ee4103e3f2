// SPDX-License-Identifier: GPL-3.0-or-later

import AdministrativeSessions
import ArgumentParser
import FirewallPolicy
import PolicyFile

struct CheckCommand: DescribedCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Read a policy and say what is wrong with it.",
        discussion: discussion(
            """
            Reads FILE and the drop-in files beside it (policy.d/*.yaml) as the agent would, without an agent. Everything \
            that is wrong is said at once, each with file, line and column; and what its author hardly means, such as a deny \
            rule that outranks an allow rule, or no way in for SSH, as a warning with its cure.
            """))

    static let examples = [
        Example("portreeve check", "The policy of this host."),
        Example(
            "portreeve check --strict --quiet policy.yaml",
            "In a pipeline: nothing is said, and 0 returned, only where nothing is wrong."),
        Example(
            "portreeve check --print --complete",
            "The policy as it is understood, with every setting that has its default."),
    ]

    static let ends: [ExitStatus] = [.done.when("clean"), .failed.when("errors"), .onlyWarnings]

    @Argument(help: "The policy file, instead of that of --policy.", completion: Completions.policy)
    var file: String?

    @OptionGroup var policy: PolicyOptions

    @Flag(help: "Exit with status 2 when there are warnings.")
    var strict = false

    @Flag(name: .shortAndLong, help: "Say nothing when the policy is clean.")
    var quiet = false

    @Flag(
        name: .customLong("print"),
        help: "Print the whole policy, drop-in files included, as one text in canonical form.")
    var prints = false

    @Flag(help: "With --print: settings that have their default too.")
    var complete = false

    func validate() throws {
        if complete && !prints { throw ValidationError("--complete says how much --print prints") }
    }

    func run() throws {
        let file = file ?? policy.path
        let outcome = PolicyFile.read(file)
        for diagnostic in outcome.diagnostics { complain(diagnostic.rendered()) }
        guard let document = outcome.document else { throw ExitStatus.failed.exit }
        let remarks = document.remarks(sshPorts: SSHServers.here().ports)
        for remark in remarks { complain(Self.line(remark, file)) }
        let warnings = outcome.diagnostics.count + remarks.count
        if prints {
            print(PolicyFile.canonical(document, complete: complete), terminator: "")
        } else if !quiet {
            let files = document.files.count
            print(
                "\(file.harmless): \(document.rules.count) rule\(document.rules.count == 1 ? "" : "s") in \(files) "
                    + "file\(files == 1 ? "" : "s"), \(warnings == 0 ? "no" : "\(warnings)") "
                    + "warning\(warnings == 1 ? "" : "s")")
        }
        if strict && warnings > 0 { throw ExitStatus.onlyWarnings.exit }
    }

    /// As a diagnostic of the file is printed.
    private static func line(_ remark: PolicyRemark, _ file: String) -> String {
        let place = remark.position.map { "\($0.file):\($0.line):\($0.column)" } ?? file
        return "\(place): warning: \(remark.text): \(remark.cure)".harmless
    }
}
