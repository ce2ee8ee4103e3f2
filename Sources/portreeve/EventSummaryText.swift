// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import EventReader
import FirewallEngine

/// What `portreeve events --summary` prints: a line for each kind of event.
struct EventSummaryText {
    let groups: EventGroups
    /// At most so many lines; nil for all.
    let limit: Int?

    func lines(width: Int?) -> [String] {
        let all = groups.all
        guard !all.isEmpty else { return ["no event"] }
        var table = TextTable([
            .number("PACKETS"), .text("ACTION"), .text("DIRECTION"), .text("TO"), .number("PEERS"), .text("REASON"),
            .text("RULE"), .text("LAST"),
        ])
        let shown = limit.map { all.prefix($0) } ?? all[...]
        for group in shown { table.add(cells(group)) }
        let rest = all.dropFirst(shown.count).reduce(groups.others) { $0 + $1.packets }
        return table.lines(width: width)
            + (rest > 0 ? ["and \(UInt64(clamping: rest).grouped) packets of other kinds"] : [])
    }

    /// The same, a JSON text for each kind, and one of what is of no kind shown.
    var jsonLines: [String] {
        let all = groups.all
        let shown = limit.map { all.prefix($0) } ?? all[...]
        let rest = all.dropFirst(shown.count).reduce(groups.others) { $0 + $1.packets }
        let lines = shown.map { group -> String in
            let kind = group.kind
            let value: JSONValue = [
                "v": .integer(1), "packets": .count(UInt64(clamping: group.packets)), "action": .text(kind.action),
                "direction": .text(kind.direction), "protocol": .text(kind.protocolName),
                "port_or_type": kind.port.map { .count($0) } ?? .null, "peers": .count(group.peers.count),
                "more_peers": .bool(group.hasManyPeers), "reason": .text(kind.reason.row.slug),
                "rule": .optional(kind.rule), "last": .count(group.last / 1_000_000),
            ]
            return value.printed
        }
        guard rest > 0 else { return lines }
        let others: JSONValue = ["v": .integer(1), "other_packets": .count(UInt64(clamping: rest))]
        return lines + [others.printed]
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
