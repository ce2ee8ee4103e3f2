// SPDX-License-Identifier: GPL-3.0-or-later

import ArgumentParser
import FirewallPolicy
import Glibc
import PolicyFile

struct EventsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "events", abstract: "Show the firewall events.",
        discussion: """
            Reads the events file that the policy names, or FILE. Criteria of one kind are alternatives, those of \
            different kinds must all hold. Times are 2026-11-21, "2026-11-21 09:15", 2026-11-21T09:15:02Z, or a length \
            of time ago: 90s, 15m, 2h, 1d.
            """)

    @OptionGroup var policy: PolicyOptions

    @Option(help: "The events file.")
    var file: String?

    @Flag(name: .shortAndLong, help: "Go on with what is written from now on, also after a rotation.")
    var follow = false

    @Option(name: [.customShort("n"), .long], help: "Only the last so many. With --follow 10 unless given.")
    var last: Int?

    @Option(help: "A reason's name or number.")
    var reason: [String] = []

    @Option(help: "An address or prefix; source or destination.")
    var address: [String] = []

    @Option(help: "A rule's name.")
    var rule: [String] = []

    @Option(help: "deny, log-only, notice, observed, tap:deny or fail-open.")
    var action: [String] = []

    @Option(help: "Not before this time.")
    var since: String?

    @Option(help: "Not after this time.")
    var until: String?

    @Flag(help: "Print the JSON lines as they stand in the file.")
    var json = false

    func run() throws {
        let filter = try filter()
        let path = try file ?? policy.load().events.path
        var reader: EventFileReader
        do {
            reader = try EventFileReader(path: path)
        } catch {
            throw fail("\(error)")
        }
        var listing = EventListing(filter: filter, asJSON: json)
        listing.printEnd(of: &reader, last: last ?? (follow ? 10 : nil))
        while follow {
            flush()
            usleep(200_000)
            reader.lookForRotation()
            listing.printRest(of: &reader)
        }
        if listing.unreadable > 0 {
            throw fail("\(listing.unreadable) lines of \(path.harmless) are no events: is it a file of JSON lines?")
        }
    }

    func validate() throws {
        _ = try filter()
        if let last, last < 0 { throw ValidationError("--last must not be negative") }
    }

    private func filter() throws -> EventFilter {
        do {
            return try EventFilter(
                reasons: reason, addresses: address, rules: rule, actions: action, since: since, until: until,
                now: .now)
        } catch {
            throw ValidationError(error.message)
        }
    }
}
