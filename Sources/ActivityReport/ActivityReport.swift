// SPDX-License-Identifier: GPL-3.0-or-later

package import AgentControl
import FirewallEngine

/// Everything that a report shows, as one JSON object: what `--json` prints, and what the page's template is filled with.
package struct ActivityReport: Sendable {
    /// A rule of the running agent.
    package struct Rule: Sendable {
        package var name: String
        /// "policy.yaml:12"; nil for a built-in rule.
        package var place: String?
        package var action: String
        package var isEnabled: Bool
        package var packets: UInt64
        package var bytes: UInt64
        /// Microseconds since 1970; nil while it has decided nothing.
        package var last: Int64?
        package var since: Int64
        /// It stands in no file, and nobody can take it out for want of use.
        fileprivate var isBuiltIn: Bool { place == nil }

        package init(
            name: String, place: String?, action: String, isEnabled: Bool, packets: UInt64, bytes: UInt64, last: Int64?,
            since: Int64
        ) {
            self.name = name
            self.place = place
            self.action = action
            self.isEnabled = isEnabled
            self.packets = packets
            self.bytes = bytes
            self.last = last
            self.since = since
        }
    }

    /// What `check` has to say of the policy.
    package struct Finding: Sendable {
        package var level: String
        package var place: String
        package var text: String

        package init(level: String, place: String, text: String) {
            self.level = level
            self.place = place
            self.text = text
        }
    }

    package var host: String
    package var tally: ActivityTally
    /// When it was made; microseconds since 1970.
    package var made: Int64
    /// Nil where no agent runs.
    package var rules: [Rule]?
    package var findings: [Finding] = []
    /// Whether there were records to read; without them nothing is known of what was dropped.
    package var isRead = true
    /// What could not be read or asked.
    package var troubles: [String] = []
    /// A time for a person, with its offset from UTC.
    package var clock: @Sendable (Int64) -> String

    package init(host: String, tally: ActivityTally, made: Int64, clock: @escaping @Sendable (Int64) -> String) {
        self.host = host
        self.tally = tally
        self.made = made
        self.clock = clock
    }

    /// Rows of a table at most; how many more there are is said.
    private static let mostRows = 50
    /// Reasons with a colour of their own; the others are shown as one.
    private static let mostSeries = 8

    package var json: JSONValue {
        let period = tally.period
        return [
            "host": .text(host), "made": .text(clock(made)), "start": .text(clock(period.start)),
            "end": .text(clock(period.end)), "is_read": .bool(isRead),
            "records": .count(tally.records), "dropped": .count(tally.dropped),
            "spared": .count(tally.spared), "lost": .count(tally.lost), "troubles": .texts(troubles),
            "steps": .list((0..<period.count).map { .text(clock(period.beginning(of: $0))) }),
            "step_seconds": .count(period.step / 1_000_000), "series": .list(series), "reasons": .list(reasons),
            "sources": .list(sources), "more_sources": .count(max(0, tally.sources.count - Self.mostRows)),
            "other_sources": .count(tally.otherSources), "refusing_rules": .list(refusing), "rules": .list(ruleRows),
            "agent_runs": .bool(rules != nil), "endings": .list(endings),
            "findings": .list(
                findings.map { ["level": .text($0.level), "place": .text($0.place), "text": .text($0.text)] }),
        ]
    }

    private var rankedReasons: [(reason: DropReason, sum: ActivityTally.Reason)] {
        tally.reasons.map { (reason: $0.key, sum: $0.value) }.sorted {
            ($1.sum.packets, $0.reason.row.number) < ($0.sum.packets, $1.reason.row.number)
        }
    }

    /// Packets of each step, by reason.
    private var series: [JSONValue] {
        let ranked = rankedReasons
        var series = ranked.prefix(Self.mostSeries).map { entry -> JSONValue in
            ["name": .text(entry.reason.row.name), "packets": .list(entry.sum.steps.map { .count($0) })]
        }
        let others = ranked.dropFirst(Self.mostSeries)
        if !others.isEmpty {
            let sums = (0..<tally.period.count).map { step in
                others.reduce(Int64(0)) { sum, other in
                    let (more, isOver) = sum.addingReportingOverflow(other.sum.steps[step])
                    return isOver ? .max : more
                }
            }
            series.append(["name": .text("other reasons"), "packets": .list(sums.map { .count($0) })])
        }
        return series
    }

    private var reasons: [JSONValue] {
        let all = max(1, Double(tally.dropped) + Double(tally.spared))
        return rankedReasons.map { entry in
            [
                "slug": .text(entry.reason.row.slug), "number": .count(entry.reason.row.number),
                "name": .text(entry.reason.row.name), "packets": .count(entry.sum.packets),
                "records": .count(entry.sum.records),
                "percent": .text(Self.percent(entry.sum.packets, of: all)),
            ]
        }
    }

    /// With one decimal.
    private static func percent(_ part: Int64, of all: Double) -> String {
        let tenths = Int(Double(part) / all * 1_000)
        return "\(tenths / 10).\(tenths % 10)"
    }

    private var sources: [JSONValue] {
        tally.sources.prefix(Self.mostRows).map { address, source in
            [
                "address": .text(address), "packets": .count(source.packets),
                "reason": .text(source.mainReason?.row.name ?? ""), "ports": .count(source.portCount),
                "many_ports": .bool(source.portCount >= ActivityTally.Source.mostPorts),
                "first": .text(clock(source.first)), "last": .text(clock(source.last)),
            ]
        }
    }

    private var refusing: [JSONValue] {
        tally.rules.prefix(Self.mostRows).map { name, sum in
            ["name": .text(name), "packets": .count(sum.packets), "last": .text(clock(sum.last))]
        }
    }

    /// Those that have decided most first; those that have decided nothing are told by `unused`.
    private var ruleRows: [JSONValue] {
        (rules ?? []).enumerated().sorted { ($1.element.packets, $0.offset) < ($0.element.packets, $1.offset) }.map {
            let rule = $0.element
            return [
                "name": .text(rule.name), "place": .text(rule.place ?? "built-in"), "action": .text(rule.action),
                "off": .bool(!rule.isEnabled), "unused": .bool(rule.isEnabled && rule.last == nil && !rule.isBuiltIn),
                "packets": .count(rule.packets), "bytes": .count(rule.bytes),
                "last": .text(rule.last.map(clock) ?? "never"), "since": .text(clock(rule.since)),
            ]
        }
    }

    private var endings: [JSONValue] {
        tally.endings.sorted { ($1.value.connections, $0.key) < ($0.value.connections, $1.key) }.map { word, sum in
            [
                "how": .text(word.isEmpty ? "in several ways" : word), "connections": .count(sum.connections),
                "to_server": .count(sum.bytesToServer), "to_client": .count(sum.bytesToClient),
            ]
        }
    }
}
