// SPDX-License-Identifier: GPL-3.0-or-later

import AdministrativeSessions
import AgentControl
import ArgumentParser
import FirewallPolicy
import PolicyAnalysis
import PolicyFile

struct CheckCommand: DescribedCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Read a policy and say what is wrong with it.",
        discussion: discussion(
            """
            Reads FILE and the drop-in files beside it (policy.d/*.yaml) as the agent would, without an agent. Everything \
            that is wrong is said at once, each with file, line and column; and what its author hardly means, such as a rule that \
            decides nothing because others are asked before it, or no way in for SSH, as a warning with its cure. A rule is said to \
            decide nothing only where that is so of every packet, at any time of the year to come. Notes depend on this host, and are no \
            warnings. With --rules each rule has a line of its own, which names a packet that it decides about, in the words that \
            "portreeve explain" takes, or says why there is none.
            """))

    static let examples = [
        Example("portreeve check", "The policy of this host."),
        Example(
            "portreeve check --strict --quiet policy.yaml",
            "In a pipeline: nothing is said, and 0 returned, only where nothing is wrong."),
        Example(
            "portreeve check --rules policy.yaml",
            "For each rule a packet about which it decides, or the rules that decide instead."),
        Example(
            "portreeve check --print --complete",
            "The policy as it is understood, with every setting that has its default."),
        Example(
            "portreeve check --profile cc --strict policy.yaml",
            "Whether it also meets what a document demands of packet filters, as far as a policy can."),
        Example(
            "portreeve check --sarif policy.yaml > policy.sarif",
            "The same for a tool that reviews changes of a repository."),
    ]

    private static let profiles = PolicyProfile.allCases.map(\.rawValue).joined(separator: ", ")

    static let ends: [ExitStatus] = [.done.when("clean"), .failed.when("errors"), .onlyWarnings]

    @Argument(
        help: "The policy file, instead of that of --policy; - is standard input.", completion: Completions.policy)
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

    @Flag(help: "Say of each rule what was found out: a packet about which it decides, or why there is none.")
    var rules = false

    @Flag(help: "Print what is found as one JSON object.")
    var json = false

    @Flag(help: "Print what is found in the Static Analysis Results Interchange Format (SARIF 2.1.0).")
    var sarif = false

    @Option(
        help: ArgumentHelp(
            "Also say which clauses of a document the policy does not meet, as recalled: \(profiles).",
            valueName: "name"))
    var profile: String?

    func validate() throws {
        if let profile, PolicyProfile(rawValue: profile) == nil {
            throw ValidationError("--profile is one of \(Self.profiles), not \(profile.harmless)")
        }
        if [json, sarif, prints].filter({ $0 }).count > 1 {
            throw ValidationError("--print, --json and --sarif each say what is printed")
        }
        if rules && (sarif || prints) { throw ValidationError("--rules goes with plain text and with --json") }
        if complete && !prints { throw ValidationError("--complete says how much --print prints") }
    }

    func run() throws {
        let path = file ?? policy.path
        let outcome = PolicyFile.reading(path)
        let file = StandardInput.title(of: path)
        guard let document = outcome.document else {
            if json || sarif {
                show(CheckReport(entries: outcome.diagnostics.map(CheckReport.entry)))
            } else {
                for diagnostic in outcome.diagnostics { complain(diagnostic.rendered()) }
            }
            throw ExitStatus.failed.exit
        }
        let remarks = document.remarks(sshPorts: SSHServers.here().ports)
        let policy = try compiled(document)
        let check = Self.exactly(policy)
        let findings = check.findings()
        let lints =
            PolicyLints.all(check, findings, sparing: Set(remarks.filter(\.coversRule).compactMap(\.position)))
            + (profile.flatMap(PolicyProfile.init)?.lints(policy) ?? []) + HostLints.all(document)
        let warnings = outcome.diagnostics.count + remarks.count + lints.count { $0.level == .warning }
        if json || sarif {
            let said = outcome.diagnostics.map(CheckReport.entry) + remarks.map { CheckReport.entry($0, file) }
            let ofRules = rules ? findings.map { $0.json(policy) } : nil
            show(CheckReport(entries: said + lints.map { CheckReport.entry($0, file) }, rules: ofRules))
        } else {
            for diagnostic in outcome.diagnostics { complain(diagnostic.rendered()) }
            for remark in remarks { complain(Self.line(remark, file)) }
            if let profile = profile.flatMap(PolicyProfile.init) { complain(profile.preface) }
            for lint in lints { complain(Self.line(CheckReport.entry(lint, file))) }
            for finding in findings where rules {
                print("\(policy.rules[Int(finding.rule)].place): \(finding.text(policy))".harmless)
            }
            summarise(document, file, warnings)
        }
        if strict && warnings > 0 { throw ExitStatus.onlyWarnings.exit }
    }

    private func show(_ report: CheckReport) { print((json ? report.json : report.sarif).printed) }

    private func summarise(_ document: PolicyDocument, _ file: String, _ warnings: Int) {
        if prints {
            print(PolicyFile.canonical(document, complete: complete), terminator: "")
        } else if !quiet {
            let files = document.files.count
            print(
                "\(file.harmless): \(document.rules.count) rule\(document.rules.count == 1 ? "" : "s") in \(files) "
                    + "file\(files == 1 ? "" : "s"), \(warnings == 0 ? "no" : "\(warnings)") "
                    + "warning\(warnings == 1 ? "" : "s")")
        }
    }

    private func compiled(_ document: PolicyDocument) throws -> Policy {
        do {
            return try Policy(document, epoch: 1)
        } catch {
            throw fail("\(error)")
        }
    }

    static func exactly(_ policy: Policy) -> PolicyCheck {
        let moments = PacketUniverse.moments(
            [(policy, SystemTimeZones.zones(of: policy.document))], from: WallTime.now.microseconds / 1_000_000)
        return PolicyCheck(
            policy, interfaces: Set(LocalAddress.all().map(\.interface)).sorted(), moments: moments)
    }

    /// As a diagnostic of the file is printed.
    private static func line(_ remark: PolicyRemark, _ file: String) -> String {
        line(CheckReport.entry(remark, file))
    }

    private static func line(_ entry: CheckReport.Entry) -> String {
        let place = entry.line > 0 ? "\(entry.file):\(entry.line):\(entry.column)" : entry.file
        return "\(place): \(entry.level): \(entry.text): \(entry.cure)".harmless
    }
}
