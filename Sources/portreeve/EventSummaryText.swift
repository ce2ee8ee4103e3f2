// SPDX-License-Identifier: GPL-3.0-or-later

import EventReader
import FirewallEngine

/// What `portreeve events --summary` prints: a line for each kind of event.
struct EventSummaryText {
    let groups: EventGroups
    /// At most so many lines; nil for all.
    let limit: Int?

    var lines: [String] {
        let all = groups.all
        guard !all.isEmpty else { return ["no event"] }
        var table = TextTable([
            .number("PACKETS"), .text("ACTION"), .text("DIRECTION"), .text("TO"), .number("PEERS"), .text("REASON"),
            .text("RULE"), .text("LAST"),
        ])
        let shown = limit.map { all.prefix($0) } ?? all[...]
        for group in shown { table.add(cells(group)) }
        let rest = all.dropFirst(shown.count).reduce(groups.others) { $0 + $1.packets }
        return table.lines() + (rest > 0 ? ["and \(UInt64(clamping: rest).grouped) packets of other kinds"] : [])
    }

    private func cells(_ group: EventGroups.Group) -> [String] {
        let kind = group.kind
        let port = kind.port.map { " \($0)" } ?? ""
        let peers = UInt64(group.peers.count).grouped + (group.hasManyPeers ? "+" : "")
        return [
            UInt64(clamping: group.packets).grouped, kind.action, kind.direction,
            kind.protocolName.isEmpty ? "-" : kind.protocolName + port, peers, kind.reason.row.slug, kind.rule ?? "-",
            WallTime(seconds: group.last / 1_000_000).text,
        ]
    }
}
