// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ConnectionTracking
import FirewallPolicy
import PolicyAnalysis
import PolicyFile

/// What `portreeve diff` prints.
struct DifferenceReport {
    let old: Policy
    let new: Policy
    let difference: PolicyDifference
    let forbidden: ForbiddenAccess?
    let limit: Int
    var traffic: TrafficDifference?

    var settings: [(path: String, old: String?, new: String?)] { difference.settings }

    /// The command that says of a packet what the new policy does with it.
    private var explain: String {
        let file = new.document.files.first ?? ""
        return "portreeve explain --policy \(firstByte(of: file) == nil ? "FILE" : file.quotedForShell)"
    }

    var lines: [String] {
        var lines: [String] = []
        let groups = difference.groups
        for group in groups.prefix(limit) {
            let part = group.first
            let more = group.count > 1 ? ", and \(group.count - 1) more region\(group.count == 2 ? "" : "s") alike" : ""
            lines.append("\(part.direction.word) \(part.text)\(more)")
            lines.append("  old: \(part.oldEffect.text): \(part.old.deciding(in: old))")
            lines.append("  new: \(part.newEffect.text): \(part.new.deciding(in: new))")
            lines.append("  such as: \(explain) \(PacketWords(part.witness).options)")
        }
        if groups.count > limit { lines.append("and \(groups.count - limit) more; --limit shows more") }
        for setting in settings {
            lines.append("setting \(setting.path): \(setting.old ?? "-") -> \(setting.new ?? "-")")
        }
        for reply in difference.replies {
            lines.append("reply of rule \"\(reply.rule)\": \(reply.old.word) -> \(reply.new.word)")
        }
        for rate in difference.rates {
            lines.append("rate of rule \"\(rate.rule)\": \(rate.old.text) -> \(rate.new.text)")
        }
        lines.append("rules: \(difference.conclusion)" + (settings.isEmpty ? "" : "; settings differ"))
        for part in forbidden?.parts.prefix(limit) ?? [] {
            lines.append("forbidden by \(part.forbidding): \(part.direction.word) \(part.text)")
            lines.append("  admitted by \(part.decision.deciding(in: new))")
            lines.append("  such as: \(explain) \(PacketWords(part.witness).options)")
        }
        if forbidden?.isIncomplete == true { lines.append("forbidden: not decided within the budget") }
        return lines + (traffic?.lines(limit: limit) ?? [])
    }

    var json: JSONValue {
        let traffic = traffic.map { [JSONValue.Member("traffic", $0.json(limit: limit))] } ?? []
        return .object(
            [
                .init("verdict", .text(difference.conclusion)),
                .init("complete", .bool(!difference.isUndecided && forbidden?.isIncomplete != true)),
                .init(
                    "differences",
                    .list(
                        difference.parts.prefix(limit).map { part in
                            [
                                "direction": .text(part.direction.word), "packets": .text(part.text),
                                "old": .text(part.oldEffect.text), "old_by": .text(part.old.deciding(in: old)),
                                "new": .text(part.newEffect.text), "new_by": .text(part.new.deciding(in: new)),
                                "witness": .text(PacketWords(part.witness).options),
                            ]
                        })),
                .init(
                    "settings",
                    .list(
                        settings.map { ["path": .text($0.path), "old": .optional($0.old), "new": .optional($0.new)] })),
                .init(
                    "replies",
                    .list(
                        difference.replies.map {
                            ["rule": .text($0.rule), "old": .text($0.old.word), "new": .text($0.new.word)]
                        })),
                .init(
                    "rates",
                    .list(
                        difference.rates.map {
                            ["rule": .text($0.rule), "old": .text($0.old.text), "new": .text($0.new.text)]
                        })),
                .init(
                    "forbidden",
                    .list(
                        (forbidden?.parts ?? []).prefix(limit).map { part in
                            [
                                "rule": .text(part.forbidding), "direction": .text(part.direction.word),
                                "packets": .text(part.text),
                                "admitted_by": .text(part.decision.deciding(in: new)),
                                "witness": .text(PacketWords(part.witness).options),
                            ]
                        })),
            ] + traffic)
    }
}
