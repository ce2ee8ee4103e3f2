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

    /// Parts on which the same rules decide, before and after.
    private struct Group {
        let first: PolicyDifference.Part
        var count: Int
    }

    private var groups: [Group] {
        var groups: [Group] = []
        var places: [String: Int] = [:]
        for part in difference.parts {
            let key = "\(part.direction) \(part.old) \(part.new) \(part.oldEffect) \(part.newEffect)"
            if let place = places[key] {
                groups[place].count += 1
            } else {
                places[key] = groups.count
                groups.append(Group(first: part, count: 1))
            }
        }
        return groups
    }

    /// Paths of the settings that differ, with both values.
    var settings: [(path: String, old: String?, new: String?)] {
        let (before, after) = (PolicyFile.values(of: old.document), PolicyFile.values(of: new.document))
        return Set(before.keys).union(after.keys).sorted().filter { before[$0] != after[$0] }
            .map { ($0, before[$0], after[$0]) }
    }

    var lines: [String] {
        var lines: [String] = []
        let groups = groups
        for group in groups.prefix(limit) {
            let part = group.first
            let more = group.count > 1 ? ", and \(group.count - 1) more region\(group.count == 2 ? "" : "s") alike" : ""
            lines.append("\(part.direction.word) \(part.text)\(more)")
            lines.append("  old: \(part.oldEffect.text): \(decision(part.old, old, part.direction))")
            lines.append("  new: \(part.newEffect.text): \(decision(part.new, new, part.direction))")
            lines.append("  such as: portreeve explain \(PacketWords(part.witness).options)")
        }
        if groups.count > limit { lines.append("and \(groups.count - limit) more; --limit shows more") }
        for setting in settings {
            lines.append("setting \(setting.path): \(setting.old ?? "-") -> \(setting.new ?? "-")")
        }
        lines.append("rules: \(difference.verdict.rawValue)" + (settings.isEmpty ? "" : "; settings differ"))
        for part in forbidden?.parts.prefix(limit) ?? [] {
            lines.append("forbidden by \(part.forbidding): \(part.direction.word) \(part.text)")
            lines.append("  admitted by \(decision(part.decision, new, part.direction))")
            lines.append("  such as: portreeve explain \(PacketWords(part.witness).options)")
        }
        return lines
    }

    private func decision(_ decision: RuleDecision, _ policy: Policy, _ direction: Direction) -> String {
        if decision.rule >= 0, policy.rules.indices.contains(Int(decision.rule)) {
            let rule = policy.rules[Int(decision.rule)]
            return "\(rule.action.word) by \(rule.place)"
        }
        return decision.outcome == .implicitDeny ? "no rule admits it" : "no rule decides"
    }

    var json: JSONValue {
        .object([
            .init("verdict", .text(difference.verdict.rawValue)), .init("complete", .bool(!difference.isIncomplete)),
            .init(
                "differences",
                .list(
                    difference.parts.prefix(limit).map { part in
                        [
                            "direction": .text(part.direction.word), "packets": .text(part.text),
                            "old": .text(part.oldEffect.text), "old_by": .text(decision(part.old, old, part.direction)),
                            "new": .text(part.newEffect.text), "new_by": .text(decision(part.new, new, part.direction)),
                            "witness": .text(PacketWords(part.witness).options),
                        ]
                    })),
            .init(
                "settings",
                .list(
                    settings.map { ["path": .text($0.path), "old": .optional($0.old), "new": .optional($0.new)] })),
            .init(
                "forbidden",
                .list(
                    (forbidden?.parts ?? []).prefix(limit).map { part in
                        [
                            "rule": .text(part.forbidding), "direction": .text(part.direction.word),
                            "packets": .text(part.text),
                            "admitted_by": .text(decision(part.decision, new, part.direction)),
                            "witness": .text(PacketWords(part.witness).options),
                        ]
                    })),
        ])
    }
}
