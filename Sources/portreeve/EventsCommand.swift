// SPDX-License-Identifier: GPL-3.0-or-later

import ArgumentParser
import EventReader
import FirewallEngine
import FirewallPolicy
import Glibc
import PolicyFile

struct EventsCommand: DescribedCommand {
    static let configuration = CommandConfiguration(
        commandName: "events", abstract: "Show the firewall events.",
        discussion: discussion(
            """
            Reads the events file that the policy in force names, or FILE, and before it what rotations have left of it beside \
            it (FILE.1, FILE-20261121, FILE.2.gz), oldest first. What is wrong with the policy on disk, or with the agent, is \
            said on standard error and keeps nothing back. All criteria given must hold. Times are 2026-11-21, \
            "2026-11-21 09:15", 2026-11-21T09:15:02Z, or a length of time ago: 90s, 15m, 2h, 1d.
            """))

    static let examples = [
        Example("portreeve events --last 20", "What was dropped last."),
        Example("portreeve events --follow", "The same as it happens."),
        Example(
            "portreeve events --since 2h --reason out-of-allowed-policy --address 198.51.100.0/24",
            "What no rule admitted from a network in the last two hours."),
        Example(#"portreeve events --rule "No telnet" --json"#, "The records of one rule, whole."),
    ]

    static let ends: [ExitStatus] = [
        .done.when("everything was read"),
        .failed.when("not everything could be read, or no rule of the name given is known"),
    ]

    @OptionGroup var policy: PolicyOptions
    @OptionGroup var control: ControlOptions

    @Option(help: "The events file; - is standard input.", completion: .file())
    var file: String?

    @Flag(name: .shortAndLong, help: "Go on with what is written from now on, also after a rotation.")
    var follow = false

    @Option(name: [.customShort("n"), .long], help: "Only the last so many; with --follow 10 unless given.")
    var last: Int?

    @Option(
        help: "A reason's name or number; may be given several times, any of them then.",
        completion: Completions.reasons)
    var reason: [String] = []

    @Option(help: "An address or prefix; source or destination.")
    var address: String?

    @Option(help: "A rule's name.", completion: Completions.rules)
    var rule: String?

    @Option(help: "deny, log-only, notice, observed, tap:deny or fail-open.", completion: Completions.actions)
    var action: String?

    @Option(help: "Not before this time.")
    var since: String?

    @Option(help: "Not after this time.")
    var until: String?

    @Flag(help: "Print the JSON lines as they stand in the file; with --summary a JSON object for each kind.")
    var json = false

    @Flag(
        help:
            "Print a line for each kind of event and how many packets there were: under tap, what the policy would have cut off. With --last so many lines."
    )
    var summary = false

    func run() throws {
        let query = try query(now: .now)
        let known = file == nil || rule != nil ? KnownPolicy.inForce(policy, control) : nil
        if file == nil { known?.complainOfTroubles() }
        let path = try file.map { try StandardInput.path(for: $0) } ?? known?.document.events.path ?? ""
        if file == nil, let format = known?.document.events.format, format != .json {
            throw fail(
                "events file: \(path) is written as \(format.rawValue) (events.file.format), which its collector reads and this "
                    + "command does not; \"events: { file: { format: json } }\" is what it reads")
        }
        let complaints: [String]
        do throws(ReadError) {
            var source = try EventSource(path: path, query: query)
            var listing = EventListing(asJSON: json)
            if summary {
                try printSummary(&source)
            } else if let last = last ?? (follow ? 10 : nil) {
                listing.show(try source.last(last))
            } else {
                try source.all { listing.show($0) }
            }
            let strange = listing.isEmpty ? strangeRule(known) : nil
            if follow, let strange { complain("note: \(strange)") }
            while follow {
                usleep(200_000)
                try source.more { listing.show($0) }
            }
            complaints = EventsCommand.complaints(about: source) + [strange].compactMap { $0 }
        } catch {
            throw fail("events file: \(error); the agent makes it when it starts; --file names another")
        }
        for complaint in complaints { complain(complaint) }
        if !complaints.isEmpty { throw ExitStatus.failed.exit }
    }

    /// That nothing was found because no rule has the name. An event may be of a rule that is gone; where one was found there is,
    /// or was, such a rule.
    private func strangeRule(_ known: KnownPolicy?) -> String? {
        guard let rule, let names = known?.document.ruleNames, !names.contains(rule) else { return nil }
        let shown = names.prefix(EventsCommand.rulesListed).map(\.harmless)
        let more = names.count - shown.count
        let there =
            names.isEmpty
            ? "it has none" : "it has \(shown.joined(separator: ", "))\(more > 0 ? " and \(more) more" : "")"
        let hint = meant(rule, among: names.prefix(1_000)).map { "; \($0)" } ?? ""
        return
            "there is no event of a rule '\(rule.harmless)', and the policy in force has no such rule: \(there)\(hint)"
    }

    private static let rulesListed = 20

    /// What was not shown because it could not be read.
    static func complaints(about source: borrowing EventSource) -> [String] {
        source.errors.map { "\($0)".harmless }
            + source.foreign.sorted { $0.key < $1.key }.map {
                "\($0.value) lines of \($0.key.harmless) are no events of this format"
            }
    }

    private func printSummary(_ source: inout EventSource) throws(ReadError) {
        var groups = EventGroups()
        try source.all { events in for (_, event) in events { groups.add(event) } }
        let summary = EventSummaryText(groups: groups, limit: last)
        for line in json ? summary.jsonLines : summary.lines(width: terminalWidth) { print(line) }
    }

    func validate() throws {
        _ = try query(now: .now)
        if summary, follow { throw ValidationError("--summary does not go with --follow") }
        if file == StandardInput.name, follow {
            throw ValidationError("--follow needs a file that grows, not standard input")
        }
        if let last, last < 0 { throw ValidationError("--last must not be negative") }
    }

    static let actions = ["deny", "log-only", "notice", "observed", "tap:deny", "fail-open"]

    func query(now: WallTime) throws -> EventQuery {
        var query = EventQuery()
        for text in reason {
            guard let reason = DropReason(slugOrNumber: text) else {
                throw ValidationError(DropReason.unknown(text))
            }
            query.reasons.insert(reason)
        }
        query.addresses = try address.map { text in
            guard let range = AddressRange(prefix: text) else {
                throw ValidationError("'\(text)' is no address and no prefix such as 198.51.100.0/24")
            }
            return range
        }
        if let action, !EventsCommand.actions.contains(action) {
            throw ValidationError("there is no action '\(action)': \(alternatives(EventsCommand.actions))")
        }
        query.action = action
        query.rule = rule
        query.since = try since.map { try Self.time($0, now) }
        query.until = try until.map { try Self.time($0, now) }
        return query
    }

    static func time(_ text: String, _ now: WallTime) throws -> Int64 {
        guard let time = WallTime(parsing: text) ?? now.before(text) else {
            throw ValidationError(
                "'\(text)' is no time: 2026-11-21, \"2026-11-21 09:15\", 2026-11-21T09:15:02Z, 90s, 15m, 2h, 1d")
        }
        return time.microseconds
    }
}

extension WallTime {
    /// "15m": the moment so long before this one.
    fileprivate func before(_ text: String) -> WallTime? {
        LengthOfTime.seconds(text).map { WallTime(microseconds: microseconds &- $0 * 1_000_000) }
    }
}

extension DropReason {
    /// What to say of a name that no reason has.
    static func unknown(_ name: String) -> String {
        let hint = meant(name, among: ReasonRow.all.map(\.slug)).map { "; \($0)" } ?? ""
        return "there is no reason '\(name.harmless)'\(hint); \"portreeve reasons\" lists them"
    }
}
