// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import EventReader
import FirewallEngine
import Glibc
import PacketWire

/// What the events have told so far, kept for the live view: kinds of drops, and who caused them.
struct TopActivity {
    private struct Total {
        var packets: Int64 = 0
        var last = Int64.min
        var line: [UInt8] = []
    }

    /// An event that still counts for a rate.
    private struct Recent {
        let time: Int64
        let kind: EventGroups.Kind
        let source: String?
        let count: Int64
    }

    private var kinds: [EventGroups.Kind: Total] = [:]
    private var sources: [String: Total] = [:]
    private var reasons: [String: DropReason] = [:]
    private var recent: [Recent] = []
    /// Packets of kinds and sources beyond those that are kept.
    private(set) var others: Int64 = 0

    private static let most = 20_000
    /// Of rates, in microseconds.
    private static let span: Int64 = 10_000_000

    mutating func add(_ line: [UInt8], _ event: LoggedEvent) {
        guard ["deny", "observed", "tap:deny", "fail-open"].contains(event.action) else { return }
        let kind = EventGroups.Kind(event)
        let source = event.source.map { $0.address.description(isIPv6: $0.isIPv6) }
        let count = max(0, event.count)
        if !Self.count(count, event, line, under: kind, in: &kinds) { others = others &+ count }
        if let source {
            if !Self.count(count, event, line, under: source, in: &sources) { others = others &+ count }
            if sources[source] != nil { reasons[source] = event.reason }
        }
        recent.append(Recent(time: event.last, kind: kind, source: source, count: count))
        if recent.count > Self.most { recent.removeFirst(Self.most / 2) }
    }

    private static func count<Key: Hashable>(
        _ count: Int64, _ event: LoggedEvent, _ line: [UInt8], under key: Key, in totals: inout [Key: Total]
    ) -> Bool {
        guard totals[key] != nil || totals.count < most else { return false }
        var total = totals.removeValue(forKey: key) ?? Total()
        total.packets = total.packets.addingReportingOverflow(count).overflow ? .max : total.packets + count
        if event.last >= total.last { (total.last, total.line) = (event.last, line) }
        totals[key] = total
        return true
    }

    /// Packets a second in the last ten.
    private func rates<Key: Hashable>(at now: Int64, _ key: (Recent) -> Key?) -> [Key: Double] {
        var sums: [Key: Int64] = [:]
        for event in recent where event.time > now - Self.span {
            if let key = key(event) { sums[key, default: 0] &+= event.count }
        }
        return sums.mapValues { Double($0) * 1_000_000 / Double(Self.span) }
    }

    func drops(at now: Int64) -> TopTable {
        let rates = rates(at: now) { $0.kind }
        return TopTable(
            columns: [
                .number("PACKETS"), .number("/S"), .text("REASON", cutTo: 12), .text("RULE", cutTo: 8), .text("DIR"),
                .text("TO"), .text("ACTION", cutTo: 6), .number("AGO"),
            ],
            rows: kinds.map { kind, total in
                let rate = rates[kind] ?? 0
                let port = kind.port.map { " \($0)" } ?? ""
                return TopTable.Row(
                    key: "\(kind)",
                    cells: [
                        UInt64(clamping: total.packets).grouped, Self.text(rate), kind.reason.row.slug,
                        kind.rule ?? "-",
                        kind.direction == "incoming" ? "in" : kind.direction == "outgoing" ? "out" : "-",
                        kind.protocolName.isEmpty ? "-" : kind.protocolName + port, kind.action,
                        Self.ago(total.last, now),
                    ],
                    numbers: [Double(total.packets), rate, 0, 0, 0, 0, 0, Double(now - total.last)],
                    event: String(decoding: total.line, as: UTF8.self))
            })
    }

    func talkers(at now: Int64) -> TopTable {
        let rates = rates(at: now) { $0.source }
        return TopTable(
            columns: [
                .number("PACKETS"), .number("/S"), .text("SOURCE"), .text("LAST REASON", cutTo: 12),
                .number("AGO"),
            ],
            rows: sources.map { source, total in
                let rate = rates[source] ?? 0
                return TopTable.Row(
                    key: source,
                    cells: [
                        UInt64(clamping: total.packets).grouped, Self.text(rate), source,
                        reasons[source]?.row.slug ?? "", Self.ago(total.last, now),
                    ],
                    numbers: [Double(total.packets), rate, 0, 0, Double(now - total.last)],
                    event: String(decoding: total.line, as: UTF8.self))
            })
    }

    private static func text(_ rate: Double) -> String {
        rate >= 10 ? UInt64(rate).grouped : "\(Int(rate * 10) / 10).\(Int(rate * 10) % 10)"
    }

    /// How long ago.
    private static func ago(_ time: Int64, _ now: Int64) -> String { (max(0, now - time) / 1_000_000).lengthText }
}
