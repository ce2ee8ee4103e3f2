// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import FirewallEngine
import FirewallPolicy
import PolicyAnalysis

/// What `portreeve explain` prints.
struct ExplanationReport {
    let packet: String
    /// What the event says of then, where the packet is an event's.
    let recorded: String?
    let explanation: Explanation
    let change: Change?

    var lines: [String] {
        var lines = [packet]
        if let recorded { lines.append("event: \(recorded)") }
        lines += explanation.lines.map { String(repeating: "  ", count: $0.depth + 1) + $0.text }
        guard let change else { return lines + (absence.map { ["", $0] } ?? []) }
        let outcome = explanation.refusal == nil ? "What would stop it" : "What would let it pass"
        lines += [
            "",
            "\(outcome) (\(change.what.joined(separator: "; "))), as a file in policy.d; tried: judged again with it",
            "",
        ]
        return lines + change.file.split(separator: "\n").map { "    \($0)" }
    }

    private var absence: String? {
        guard let refusal = explanation.refusal else { return nil }
        if refusal.remedy.isEmpty { return "No setting and no rule lets it pass." }
        let causes = refusal.remedy.causes.map { $0.setting ?? $0.row.sentence }
        return
            "What has to be turned for it to pass: \(causes.joined(separator: "; ")). No change of this was found to do, by trying."
    }

    var json: JSONValue {
        let refusal = explanation.refusal
        let rule = (refusal?.rule ?? -1) >= 0 ? refusal?.rule : explanation.ruling?.decision.rule
        var members: [JSONValue.Member] = [
            .init("packet", .text(packet)),
            .init("verdict", .text(explanation.passes.map { $0 ? "pass" : "drop" } ?? "hold")),
            .init("reason", .optional(refusal?.reason.row.slug)),
            .init("id", refusal.map { .count($0.reason.row.number) } ?? .null),
            .init("cause", .optional(refusal?.cause.row.slug)), .init("setting", .optional(refusal?.cause.setting)),
        ]
        if let rule, rule >= 0, explanation.policy.rules.indices.contains(Int(rule)) {
            let rule = explanation.policy.rules[Int(rule)]
            members += [
                .init("rule", .text(rule.name)), .init("rule_file", .text(rule.position.file)),
                .init("rule_line", .count(rule.position.line)), .init("rule_column", .count(rule.position.column)),
            ]
        }
        if let recorded { members.append(.init("event", .text(recorded))) }
        members.append(.init("steps", .texts(explanation.lines.map(\.text))))
        let changed: JSONValue = change.map { ["what": .texts($0.what), "file": .text($0.file)] } ?? .null
        members.append(.init("change", changed))
        return .object(members)
    }
}
