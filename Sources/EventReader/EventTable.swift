// SPDX-License-Identifier: GPL-3.0-or-later

import EventLog
import FirewallEngine
import Glibc

/// Events as lines of a table, for people.
///
/// Columns are as wide as the widest cell seen so far, and never narrower again, so that a table that grows stays aligned.
/// Where the line would be longer than the terminal, note, rule and reason are cut, in this order and with an ellipsis; where
/// that is not enough a row takes several lines. Time, addresses and count are never cut.
package struct EventTable: Sendable {
    /// The zone of the time column.
    package enum Zone: Sendable { case local, utc }

    /// Columns of the terminal; `nil`: as wide as need be.
    private let width: Int?
    private let zone: Zone
    private var needed = EventTable.titles.map(\.count)

    private static let titles = [
        "TIME", "ACTION", "REASON", "RULE", "DIRECTION", "PROTO", "SOURCE", "DESTINATION", "COUNT", "NOTE",
    ]
    private static let countColumn = 8
    private static let cuts = [
        ColumnLayout.Cut(9, toNoLessThan: 8), ColumnLayout.Cut(3, toNoLessThan: 8),
        ColumnLayout.Cut(2, toNoLessThan: 12),
    ]

    package init(width: Int?, zone: Zone = .local) {
        self.width = width
        self.zone = zone
    }

    /// The titles, in the widths known now.
    package var header: [String] { lines(of: EventTable.titles) }

    /// How a row stands now; another after events that need more room.
    package var layout: ColumnLayout { ColumnLayout(needed: needed, cuts: EventTable.cuts, terminal: width) }

    /// The lines of these events; afterwards the columns are as wide as they need.
    package mutating func lines(_ events: [LoggedEvent]) -> [String] {
        let rows = events.map(cells)
        for row in rows { for column in row.indices { needed[column] = max(needed[column], row[column].displayWidth) } }
        return rows.flatMap { lines(of: $0) }
    }

    private func lines(of cells: [String]) -> [String] { layout.lines(of: cells, numbers: [EventTable.countColumn]) }

    private func cells(_ event: LoggedEvent) -> [String] {
        var kind = event.protocolName
        if let type = event.icmpType, let code = event.icmpCode { kind += " \(type)/\(code)" }
        return [
            timeText(event.time), event.action, event.reason.row.slug, event.rule ?? "", event.direction, kind,
            event.source?.text ?? "", event.destination?.text ?? "", String(event.count), event.note ?? "",
        ].map(\.withoutControls)
    }

    /// "2026-11-21 09:15:02.123 +0100".
    private func timeText(_ microseconds: Int64) -> String {
        let ahead = zone == .utc ? 0 : localOffset(microseconds)
        var text: [UInt8] = []
        CalendarTime(unixMicroseconds: microseconds &+ ahead).appendText(to: &text)
        let date = String(decoding: text[..<10], as: UTF8.self)
        let minutes = abs(ahead / 60_000_000)
        func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let offset = "\(ahead < 0 ? "-" : "+")\(two(minutes / 60))\(two(minutes % 60))"
        return "\(date) \(String(decoding: text[11..<23], as: UTF8.self)) \(offset)"
    }

    /// How far the local zone is ahead of UTC at that moment, in microseconds.
    private func localOffset(_ microseconds: Int64) -> Int64 {
        var seconds = time_t(microseconds / 1_000_000)
        var fields = unsafe tm()
        guard unsafe localtime_r(&seconds, &fields) != nil else { return 0 }
        return unsafe Int64(fields.tm_gmtoff) * 1_000_000
    }
}
