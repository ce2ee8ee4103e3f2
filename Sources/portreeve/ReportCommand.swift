// SPDX-License-Identifier: GPL-3.0-or-later

import ActivityReport
import AdministrativeSessions
import AgentControl
import ArgumentParser
import EventReader
import FirewallPolicy
import PolicyAnalysis
import PolicyFile

struct ReportCommand: DescribedCommand {
    static let configuration = CommandConfiguration(
        commandName: "report",
        abstract: "Make a page of what the firewall did: for a browser, with nothing from elsewhere.",
        discussion: discussion(
            """
            Reads the events file that the policy in force names, or FILE, with what rotations have left of it, and asks the running \
            agent for its rules. The page shows drops over time by reason, who sent them, which rules refused and which have never \
            decided anything, how connections ended, and what "portreeve check" says of the policy. It is one file that fetches \
            nothing; Mustache and Chart.js, which draw it, are put into it from Debian's packages libjs-mustache and \
            libjs-chart.js. What cannot be read or asked is said on the page and on standard error, and keeps nothing back.
            """))

    static let examples = [
        Example("portreeve report -o report.html", "The last 24 hours."),
        Example("portreeve report --since 7d -o /root/week.html", "The last week, in steps of some hours."),
        Example("portreeve report --since 24h --json", "The same as one JSON object, for other programs."),
    ]

    static let ends: [ExitStatus] = [
        .done.when("everything was read"),
        .failed.when("the page could not be made, or not everything could be read"),
    ]

    @OptionGroup var policy: PolicyOptions
    @OptionGroup var control: ControlOptions

    @Option(help: "The events file; - is standard input.", completion: .file())
    var file: String?

    @Option(help: "Not before this time: 24h, 7d, 2026-11-21, 2026-11-21T09:15:02Z.")
    var since = "24h"

    @Option(help: "Not after this time; now, unless given.")
    var until: String?

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("Where to write it; - is standard output.", valueName: "page"), completion: .file())
    var output: String?

    @Flag(help: "What the page shows as one JSON object instead; without -o on standard output.")
    var json = false

    func validate() throws {
        if !json, output == nil {
            throw ValidationError(
                "-o FILE says where the page goes (- is standard output); --json prints what it would show")
        }
        _ = try period(now: .now)
    }

    private func period(now: WallTime) throws -> ReportPeriod {
        let start = try EventsCommand.time(since, now)
        let end = try until.map { try EventsCommand.time($0, now) } ?? now.microseconds
        guard start < end else {
            throw ValidationError("the report would end at \(WallTime(microseconds: end).text), before it begins")
        }
        return ReportPeriod(start: start, end: end)
    }

    func run() throws {
        let now = WallTime.now
        let period = try period(now: now)
        let page = json ? nil : try loadedPage()
        let known = KnownPolicy.inForce(policy, control)
        var troubles = known.troubles
        var tally = ActivityTally(period)
        let isRead = read(known, into: &tally, &troubles)
        var report = ActivityReport(host: ReportOptions.host, tally: tally, made: now.microseconds) {
            WallTime(microseconds: $0).text
        }
        report.isRead = isRead
        report.rules = agentRules(&troubles)
        report.findings = findings(known, &troubles)
        report.troubles = troubles.map(\.harmless)
        for trouble in troubles { complain(trouble) }
        try write(page?.text(report.json) ?? report.json.printed + "\n")
        if !troubles.isEmpty { throw ExitStatus.failed.exit }
    }

    private func loadedPage() throws -> ActivityPage {
        do throws(ActivityPage.PageError) { return try ActivityPage() } catch { throw fail("\(error)") }
    }

    private func write(_ text: String) throws {
        guard let output, output != StandardInput.name else { return print(text, terminator: "") }
        if let fault = replaceFile(output, with: text) { throw fail("\(output.harmless): \(fault)") }
    }

    /// Whether there was a file of events.
    private func read(_ known: KnownPolicy, into tally: inout ActivityTally, _ troubles: inout [String]) -> Bool {
        let events = known.document.events
        if file == nil, events.format != .json {
            troubles.append(
                "events file: \(events.path) is written as \(events.format.rawValue) (events.file.format), which its collector "
                    + "reads and this command does not; what happened is not known")
            return false
        }
        var query = EventQuery()
        (query.since, query.until) = (tally.period.start, tally.period.end)
        do {
            let path = try file.map { try StandardInput.path(for: $0) } ?? events.path
            var source = try EventSource(path: path, query: query)
            try source.all { found in for (_, event) in found { tally.add(event) } }
            troubles += EventsCommand.complaints(about: source)
            return true
        } catch {
            troubles.append("events file: \(error); the agent makes it when it starts; --file names another")
            return false
        }
    }

    private func agentRules(_ troubles: inout [String]) -> [ActivityReport.Rule]? {
        do {
            guard let rules = try RulesCommand.rules(of: ControlClient(path: control.path, timeoutSeconds: 30)) else {
                troubles.append("the policy changed again and again while its rules were listed; run this again")
                return nil
            }
            return rules.map {
                ActivityReport.Rule(
                    name: $0.name, place: $0.place, action: $0.action.listWord, isEnabled: $0.isEnabled,
                    packets: $0.packets, bytes: $0.bytes, last: $0.last, since: $0.since)
            }
        } catch {
            troubles.append("rules: \(control.explaining(error))")
            return nil
        }
    }

    private func findings(_ known: KnownPolicy, _ troubles: inout [String]) -> [ActivityReport.Finding] {
        let policy: Policy
        do {
            policy = try Policy(known.document, epoch: 1)
        } catch {
            troubles.append("check: \(error)")
            return []
        }
        let remarks = known.document.remarks(sshPorts: SSHServers.here().ports)
        let check = CheckCommand.exactly(policy)
        let lints = PolicyLints.all(
            check, check.findings(), sparing: Set(remarks.filter(\.coversRule).compactMap(\.position)))
        let name = self.policy.path
        let entries =
            remarks.map { CheckReport.entry($0, name) }
            + (lints + HostLints.all(known.document)).map { CheckReport.entry($0, name) }
        return entries.map {
            ActivityReport.Finding(
                level: $0.level, place: $0.line > 0 ? "\($0.file):\($0.line)" : $0.file, text: "\($0.text): \($0.cure)")
        }
    }
}
