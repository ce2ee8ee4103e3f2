// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
package import EventReader
package import FirewallEngine
import PacketWire

/// What the records of a period say together, in memory that does not grow with them.
package struct ActivityTally: Sendable {
    package struct Reason: Sendable {
        package internal(set) var packets: Int64 = 0
        package internal(set) var records: Int64 = 0
        /// Packets in each step of the period.
        package internal(set) var steps: [Int64]
    }

    package struct Source: Sendable {
        package internal(set) var packets: Int64 = 0
        package internal(set) var first = Int64.max
        package internal(set) var last = Int64.min
        /// Packets by reason.
        var reasons: [DropReason: Int64] = [:]
        /// Different destination ports, counted up to `mostPorts`.
        var ports: Set<Int64> = []

        package static let mostPorts = 1_000
        package var portCount: Int { ports.count }
        package var mainReason: DropReason? {
            reasons.max { ($0.value, $1.key.row.number) < ($1.value, $0.key.row.number) }?.key
        }
    }

    package struct Ending: Sendable {
        package internal(set) var connections: Int64 = 0
        package internal(set) var bytesToServer: Int64 = 0
        package internal(set) var bytesToClient: Int64 = 0
    }

    package struct Rule: Sendable {
        package internal(set) var packets: Int64 = 0
        package internal(set) var last = Int64.min
    }

    package let period: ReportPeriod
    package private(set) var records: Int64 = 0
    /// Packets that were dropped.
    package private(set) var dropped: Int64 = 0
    /// Packets that would have been dropped, but for tap mode or a failure setting.
    package private(set) var spared: Int64 = 0
    /// Events that the outputs gave up, as the records say.
    package private(set) var lost: Int64 = 0
    /// Of refused packets.
    package private(set) var reasons: [DropReason: Reason] = [:]
    /// How connections ended, by the record's word; "" where it has none.
    package private(set) var endings: [String: Ending] = [:]
    private var heavySources = HeavyHitters<String, Source>(most: 20_000) { $0.packets }
    private var heavyRules = HeavyHitters<String, Rule>(most: 20_000) { $0.packets }

    package init(_ period: ReportPeriod) { self.period = period }

    package mutating func add(_ event: LoggedEvent) {
        records += 1
        let own = event.json["portreeve"]
        lost.increase(by: max(0, own?["lost"]?.asInteger ?? 0))
        let count = max(0, event.count)
        if event.json["event_type"]?.asText == "flow" {
            addEnding(event, own?["ended"]?.asText ?? "", count)
            return
        }
        switch event.action {
        case "deny", "observed": dropped.increase(by: count)
        case "tap:deny", "fail-open": spared.increase(by: count)
        default: return
        }
        let step = period.index(of: event.first)
        let empty = Reason(steps: [Int64](repeating: 0, count: period.count))
        reasons[event.reason, default: empty].add(count, at: step)
        if let source = event.source {
            heavySources.change(source.address.description(isIPv6: source.isIPv6), from: Source()) {
                $0.add(event, count)
            }
        }
        if let rule = event.rule {
            heavyRules.change(rule, from: Rule()) {
                $0.packets.increase(by: count)
                $0.last = max($0.last, event.last)
            }
        }
    }

    private mutating func addEnding(_ event: LoggedEvent, _ word: String, _ count: Int64) {
        // A forged file has no end of words.
        let key = endings[word] != nil || endings.count < 64 ? word : ""
        endings[key, default: Ending()].add(event, count)
    }

    /// Who had most packets refused, those first.
    package var sources: [(address: String, sum: Source)] { heavySources.ranked.map { ($0.key, $0.sum) } }
    /// Packets of sources that were put together, since there were too many to tell apart.
    package var otherSources: Int64 { heavySources.others }
    /// The rules that refused most, those first.
    package var rules: [(name: String, sum: Rule)] { heavyRules.ranked.map { ($0.key, $0.sum) } }
}

extension ActivityTally.Reason {
    fileprivate mutating func add(_ count: Int64, at step: Int) {
        records += 1
        packets.increase(by: count)
        steps[step].increase(by: count)
    }
}

extension ActivityTally.Source {
    fileprivate mutating func add(_ event: LoggedEvent, _ count: Int64) {
        packets.increase(by: count)
        first = min(first, event.first)
        last = max(last, event.last)
        reasons[event.reason, default: 0].increase(by: count)
        if let port = event.destination?.port, ports.count < Self.mostPorts { ports.insert(port) }
    }
}

extension ActivityTally.Ending {
    fileprivate mutating func add(_ event: LoggedEvent, _ count: Int64) {
        let flow = event.json["flow"]
        func bytes(_ name: String) -> Int64 { max(0, flow?[name]?.asInteger ?? 0) }
        connections.increase(by: count)
        bytesToServer.increase(by: bytes("bytes_toserver"))
        bytesToClient.increase(by: bytes("bytes_toclient"))
    }
}

extension Int64 {
    /// Both are not negative. What is too large stays the largest number: a forged record may say anything.
    fileprivate mutating func increase(by other: Int64) {
        let (sum, isOver) = addingReportingOverflow(other)
        self = isOver ? .max : sum
    }
}
