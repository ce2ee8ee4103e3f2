// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ArgumentParser
import CaptureReplay
import FirewallPolicy
import PolicyAnalysis
import PolicyFile

struct DiffCommand: DescribedCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff", abstract: "Say for which packets two policies decide differently.",
        discussion: discussion(
            """
            OLD and NEW are policy files, each read with the drop-in files beside it, folders with a policy.yaml, or REVISION:FILE of a \
            git repository. With --running the agent's policy in force is the old one. Rules are compared by what they do, not by their text: \
            what is printed are the packets that fare otherwise, which rule decides before and after, and one packet of each kind, in the words \
            that "portreeve explain" takes. Settings that differ are listed after them, uninterpreted.

            With --over, traffic that there was is judged by either policy: captures packet by packet, so that settings count too, and \
            event records. Each connection is told once that would have fared otherwise.
            """))

    static let examples = [
        Example("portreeve diff --running /etc/portreeve/policy.yaml", "What a reload would change."),
        Example(
            "portreeve diff main:policy.yaml policy.yaml --no-new-access",
            "In a pipeline: 2 is returned where anything would be let in or out that the main branch's policy refuses."),
        Example(
            "portreeve diff old.yaml new.yaml --forbid never.yaml",
            "Whether anything is admitted that rules of a third policy match."),
        Example(
            "portreeve diff --running new.yaml --over monday.pcap /var/log/portreeve/events.jsonl",
            "Which connections of a capture, and of what was dropped lately, would have fared otherwise."),
    ]

    static let ends: [ExitStatus] = [
        .done.when("they decide alike, or all that is demanded holds"),
        .failed.when("a policy could not be read, or compared to the end"), .differs,
    ]

    @Argument(
        help: "The old policy and the new one; with --running only the new one. One of them may be -: standard input.",
        completion: Completions.policy)
    var policies: [String]

    @Flag(help: "The old policy is the one that the agent has in force.")
    var running = false

    @Flag(
        help: ArgumentHelp(
            "Demand that nothing is admitted that the old policy refuses.",
            discussion:
                "Settings that decide about packets beside the rules are not compared: where they differ the answer is status 1."
        ))
    var noNewAccess = false

    @Option(
        help: ArgumentHelp(
            "Demand that the new policy admits nothing that a rule of this policy file matches.", valueName: "file"),
        completion: Completions.policy)
    var forbid: String?

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp(
            "Say what would have changed for the traffic of captures, of folders with captures, and of events files; - is standard input.",
            valueName: "file"),
        completion: Completions.captures)
    var over: [String] = []

    @Option(
        help: ArgumentHelp(
            "With --over: an address or network that is this host; found out from the capture unless it is said.",
            valueName: "address[/length]"))
    var local: [AddressRangeArgument] = []

    @Option(name: .shortAndLong, help: "Print at most so many differences.")
    var limit = 50

    @Flag(help: "Print one JSON object.")
    var json = false

    @OptionGroup var control: ControlOptions

    func validate() throws {
        guard policies.count == (running ? 1 : 2) else {
            throw ValidationError(
                running ? "with --running name the new policy alone" : "name the old policy and the new one")
        }
        let names = policies + over + (forbid.map { [$0] } ?? [])
        guard names.count(where: { $0 == StandardInput.name }) < 2 else {
            throw ValidationError("standard input is one file, and is read once")
        }
        if !local.isEmpty && over.isEmpty { throw ValidationError("--local is for --over") }
        guard limit > 0 else { throw ValidationError("--limit must be at least 1") }
    }

    func run() throws {
        let old = try running ? inForce() : PolicySource(policies[0]).policy()
        let new = try PolicySource(policies[running ? 0 : 1]).policy()
        let moments = PacketUniverse.moments(
            [(old, SystemTimeZones.zones(of: old.document)), (new, SystemTimeZones.zones(of: new.document))],
            from: WallTime.now.microseconds / 1_000_000)
        let difference = PolicyDifference(from: old, to: new, moments: moments)
        let forbidden = try forbid.map { try forbiddenAccess(new, PolicySource($0).policy()) }
        var report = DifferenceReport(old: old, new: new, difference: difference, forbidden: forbidden, limit: limit)
        if !over.isEmpty {
            let traffic = TrafficDifference(from: old, to: new)
            let list = CaptureList(over)
            if let problem = list.problems.first { throw fail(problem.harmless) }
            for path in list.paths { try traffic.add(path, local: local.map(\.range)) }
            report.traffic = traffic
        }
        if json { print(report.json.printed) } else { printLines(report.lines) }
        if difference.unconfirmed > 0, !difference.isIncomplete {
            let regions = "\(difference.unconfirmed) region\(difference.unconfirmed == 1 ? "" : "s")"
            throw fail(
                "the rules differ in \(regions) of packets of which none was found that both policies let come to their rules: "
                    + "settings decide before")
        }
        if difference.isIncomplete || forbidden?.isIncomplete == true {
            throw fail("the comparison was given up: it takes too much work, and there may be more differences")
        }
        if isRefused(difference, forbidden, report) { throw ExitStatus.differs.exit }
        let undecided = noNewAccess ? report.settings.map(\.path).filter(Self.mayAdmit) : []
        if !undecided.isEmpty {
            throw fail(
                "whether more is admitted is not decided: settings beside the rules differ: \(undecided.joined(separator: ", "))"
            )
        }
    }

    /// Whether a setting decides about packets in a way that the comparison of rules does not see. What it sees are the defaults; events,
    /// metrics and queues decide nothing.
    private static func mayAdmit(_ path: String) -> Bool {
        !["events.", "metrics.", "queue.", "default."].contains { path.hasPrefix($0) }
    }

    private func forbiddenAccess(_ policy: Policy, _ forbidding: Policy) -> ForbiddenAccess {
        let moments = PacketUniverse.moments(
            [policy, forbidding].map { ($0, SystemTimeZones.zones(of: $0.document)) },
            from: WallTime.now.microseconds / 1_000_000)
        return ForbiddenAccess(policy, forbidding: forbidding, moments: moments)
    }

    private func isRefused(
        _ difference: PolicyDifference, _ forbidden: ForbiddenAccess?, _ report: DifferenceReport
    ) -> Bool {
        if let forbidden, !forbidden.parts.isEmpty { return true }
        if noNewAccess {
            return difference.parts.contains { $0.newEffect > $0.oldEffect }
                || difference.rates.contains { $0.admitsMore }
        }
        return forbid == nil
            && !(difference.parts.isEmpty && report.settings.isEmpty && difference.replies.isEmpty
                && difference.rates.isEmpty)
    }

    private func inForce() throws -> Policy {
        guard case .status(let status) = try control.ask(.status) else { throw control.unexpected() }
        guard let path = status.policy.files.first else {
            throw fail("the agent does not say which policy it has in force")
        }
        let copy = control.copyInForce(of: path, epoch: status.policy.epoch)
        guard let document = copy?.read().document, let policy = try? Policy(document, epoch: status.policy.epoch)
        else {
            throw fail(
                "the agent's copy of its policy in force (epoch \(status.policy.epoch)) cannot be read: run this as root"
            )
        }
        return policy
    }
}
