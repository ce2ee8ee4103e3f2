// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ConnectionTracking
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
    /// What is to be known of the agent that is asked.
    var agent: [String] = []
    /// What the kernel did to packets of the flow, where it was watched.
    var kernel: [String] = []
    /// What bears on the packet and is not known here.
    var gaps: [String] = []

    var lines: [String] {
        var lines = [packet]
        if let recorded { lines.append("event: \(recorded)") }
        lines += agent
        lines += explanation.lines.map { String(repeating: "  ", count: $0.depth + 1) + $0.text }
        lines += gaps.map { "not known here: \($0)" } + kernel
        guard let change else { return lines + (ChangeSearch.absence(explanation).map { ["", $0] } ?? []) }
        let outcome = explanation.refusal == nil ? "What would stop it" : "What would let it pass"
        lines += [
            "",
            "\(outcome) (\(change.what.joined(separator: "; "))), as a file in policy.d; tried: judged again with it",
            "",
        ]
        return lines + change.file.split(separator: "\n").map { "    \($0)" }
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
        if let place = explanation.settingPlace {
            members += [
                .init("setting_file", .text(place.file)), .init("setting_line", .count(place.line)),
                .init("setting_column", .count(place.column)),
            ]
        }
        if let known = explanation.connection {
            members.append(.init("connection", json(known.stage, known.opening, known.rule)))
        }
        if let recorded { members.append(.init("event", .text(recorded))) }
        if !agent.isEmpty { members.append(.init("agent", .texts(agent))) }
        members.append(.init("steps", .texts(explanation.lines.map(\.text))))
        if !kernel.isEmpty { members.append(.init("kernel", .texts(kernel))) }
        if !gaps.isEmpty { members.append(.init("not_known", .texts(gaps))) }
        let changed: JSONValue = change.map { ["what": .texts($0.what), "file": .text($0.file)] } ?? .null
        members.append(.init("change", changed))
        return .object(members)
    }

    private func json(_ stage: ConnectionStage, _ opening: Direction, _ rule: Int32) -> JSONValue {
        let place: JSONValue = rule >= 0 ? .text(explanation.place(of: rule)) : .null
        return ["state": .text(stage.name), "opening": .text(opening.word), "opening_rule": place]
    }
}
