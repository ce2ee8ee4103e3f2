// SPDX-License-Identifier: GPL-3.0-or-later

import ArgumentParser
import EventReader
import FirewallEngine
import FirewallPolicy
import Glibc

struct EventsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "events", abstract: "Show the firewall events.",
        discussion: """
            Reads the events file that the policy in force names, or FILE, and before it what rotations have left of it beside \
            it (FILE.1, FILE-20261121, FILE.2.gz), oldest first. What is wrong with the policy on disk, or with the agent, is \
            said on standard error and keeps nothing back. All criteria given must hold. Times are 2026-11-21, \
            "2026-11-21 09:15", 2026-11-21T09:15:02Z, or a length of time ago: 90s, 15m, 2h, 1d. Exit status: 0 when \
            everything was read, otherwise 1.
            """)

    @OptionGroup var policy: PolicyOptions
    @OptionGroup var control: ControlOptions

    @Option(help: "The events file.")
    var file: String?

    @Flag(name: .shortAndLong, help: "Go on with what is written from now on, also after a rotation.")
    var follow = false

    @Option(name: [.customShort("n"), .long], help: "Only the last so many; with --follow 10 unless given.")
    var last: Int?

    @Option(help: "A reason's name or number; may be given several times, any of them then.")
    var reason: [String] = []

    @Option(help: "An address or prefix; source or destination.")
    var address: String?

    @Option(help: "A rule's name.")
    var rule: String?

    @Option(help: "deny, log-only, notice, observed, tap:deny or fail-open.")
    var action: String?

    @Option(help: "Not before this time.")
    var since: String?

    @Option(help: "Not after this time.")
    var until: String?

    @Flag(help: "Print the JSON lines as they stand in the file.")
    var json = false

    @Flag(
        help:
            "Print a line for each kind of event and how many packets there were: under tap, what the policy would have cut off. With --last so many lines."
    )
    var summary = false

    func run() throws {
        let query = try query(now: .now)
        let path = file ?? pathOfPolicy()
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
            while follow {
                usleep(200_000)
                try source.more { listing.show($0) }
            }
            complaints = EventsCommand.complaints(about: source)
        } catch {
            throw fail("events file: \(error); the agent makes it when it starts; --file names another")
        }
        for complaint in complaints { complain(complaint) }
        if !complaints.isEmpty { throw ExitCode(1) }
    }

    /// What was not shown because it could not be read.
    private static func complaints(about source: borrowing EventSource) -> [String] {
        source.errors.map { "\($0)".harmless }
            + source.foreign.sorted { $0.key < $1.key }.map {
                "\($0.value) lines of \($0.key.harmless) are no events of this format"
            }
    }

    private func pathOfPolicy() -> String {
        let known = KnownPolicy.inForce(policy, control)
        known.complainOfTroubles()
        return known.document.events.path
    }

    private func printSummary(_ source: inout EventSource) throws(ReadError) {
        var groups = EventGroups()
        try source.all { events in for (_, event) in events { groups.add(event) } }
        for line in EventSummaryText(groups: groups, limit: last).lines { print(line) }
    }

    func validate() throws {
        _ = try query(now: .now)
        if summary, follow || json { throw ValidationError("--summary goes with neither --follow nor --json") }
        if let last, last < 0 { throw ValidationError("--last must not be negative") }
    }

    func query(now: WallTime) throws -> EventQuery {
        var query = EventQuery()
        for text in reason {
            guard let reason = DropReason(slugOrNumber: text) else {
                throw ValidationError("there is no reason '\(text)'; \"portreeve reasons\" lists them")
            }
            query.reasons.insert(reason)
        }
        query.addresses = try address.map { text in
            guard let range = AddressRange(prefix: text) else {
                throw ValidationError("'\(text)' is no address and no prefix such as 198.51.100.0/24")
            }
            return range
        }
        let actions = ["deny", "log-only", "notice", "observed", "tap:deny", "fail-open"]
        if let action, !actions.contains(action) {
            throw ValidationError("there is no action '\(action)': \(actions.joined(separator: ", "))")
        }
        query.action = action
        query.rule = rule
        query.since = try since.map { try time($0, now) }
        query.until = try until.map { try time($0, now) }
        return query
    }

    private func time(_ text: String, _ now: WallTime) throws -> Int64 {
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
        let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
        guard let unit = text.last.flatMap({ units[$0] }), let count = Int64(text.dropLast()), count >= 0 else {
            return nil
        }
        let (length, overflow) = count.multipliedReportingOverflow(by: unit * 1_000_000)
        return overflow ? nil : WallTime(microseconds: microseconds &- length)
    }
}
