// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PolicyAnalysis
import PolicyFile

/// What `portreeve explain` prints.
struct ExplanationReport {
    let packet: String
    /// What the event says of then, where the packet is an event's.
    let recorded: String?
    let explanation: Explanation
    let change: Change?
    /// The smaller change, where a rule's criterion is one.
    var criterion: CriterionChange?
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
        if let criterion { lines += [""] + Self.lines(of: criterion, isAlone: change == nil) }
        guard let change else {
            return lines + (criterion == nil ? ChangeSearch.absence(explanation).map { ["", $0] } ?? [] : [])
        }
        let outcome =
            explanation.refusal == nil
            ? "What would stop it" : criterion == nil ? "What would let it pass" : "Or, what would let it pass"
        lines += [
            "",
            "\(outcome) (\(change.what.joined(separator: "; "))), as a file in policy.d; tried: judged again with it",
            "",
        ]
        return lines + change.file.split(separator: "\n").map { "    \($0)" }
    }

    private static func lines(of criterion: CriterionChange, isAlone: Bool) -> [String] {
        let (edit, place) = (criterion.edit, criterion.edit.position)
        let less = isAlone ? "" : ", and no other packet that the rule below would not let pass too"
        let margined = { (text: String) in
            text.split(separator: "\n", omittingEmptySubsequences: false).map { "    \($0)" }
        }
        return [
            "What would let it pass (\(criterion.criterion) of \(criterion.rule))\(less): at "
                + "\(place.file):\(place.line):\(place.column) "
                + (edit.new.isEmpty ? "leave this out" : "in the place of")
        ] + margined(edit.old) + (edit.new.isEmpty ? [] : ["write"] + margined(edit.new))
            + ["tried: judged again with it"]
    }

    private static func json(_ criterion: CriterionChange) -> JSONValue {
        let edit = criterion.edit
        return [
            "rule": .text(criterion.rule), "criterion": .text(criterion.criterion), "file": .text(edit.position.file),
            "line": .count(edit.position.line), "column": .count(edit.position.column), "old": .text(edit.old),
            "new": .text(edit.new),
        ]
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
        members.append(.init("criterion", criterion.map(Self.json) ?? .null))
        return .object(members)
    }

    private func json(_ stage: ConnectionStage, _ opening: Direction, _ rule: Int32) -> JSONValue {
        let place: JSONValue = rule >= 0 ? .text(explanation.place(of: rule)) : .null
        return ["state": .text(stage.name), "opening": .text(opening.word), "opening_rule": place]
    }
}
