// SPDX-License-Identifier: GPL-3.0-or-later

package import AgentControl
package import FirewallPolicy

extension RuleFinding {
    /// Which of the answers there can be; each rule has one.
    package var answer: String {
        switch verdict {
        case .effective: "effective"
        case .covered: "covered"
        case .matchesNothing: "matches-nothing"
        case .admitsNothing: "admits-nothing"
        case .inert: "inert"
        case .disabled: "off"
        case .undecided: "undecided"
        }
    }

    /// A packet about which the rule decides, where it was found to decide at all.
    package var witness: PacketWords? {
        if case .effective(let witness) = verdict { return PacketWords(witness) }
        return nil
    }

    /// The rules that decide instead, and whether they all do the same as this one.
    package func cover(_ policy: Policy) -> (rules: [Rule], agrees: Bool)? {
        guard case .covered(let by, let agrees) = verdict else { return nil }
        return (by.map { policy.rules[Int($0)] }, agrees)
    }

    /// In one line, without the rule's place.
    package func text(_ policy: Policy) -> String {
        switch verdict {
        case .effective(let witness): return "effective: it decides about \(PacketWords(witness).options)"
        case .covered:
            let cover = cover(policy)
            let action = cover?.agrees == true ? "the same action" : "another action"
            return "covered, with \(action), by \(cover?.rules.map(\.place).joined(separator: ", ") ?? "")"
        case .matchesNothing(let why): return "matches nothing: \(why.text)"
        case .admitsNothing: return "admits nothing: what it matches opens no connection, or passes without it"
        case .inert: return "inert: this host has no interface that it names"
        case .disabled: return "off"
        case .undecided:
            return
                "not decided: within the budget neither a packet was found about which the engine lets it decide, nor rules "
                + "that decide instead"
        }
    }

    package func json(_ policy: Policy) -> JSONValue {
        let rule = policy.rules[Int(self.rule)]
        var members: [JSONValue.Member] = [.init("rule", .text(rule.name))]
        if !rule.isBuiltIn {
            members += [
                .init("file", .text(rule.position.file)), .init("line", .count(rule.position.line)),
                .init("column", .count(rule.position.column)),
            ]
        }
        members += [
            .init("built_in", .bool(rule.isBuiltIn)), .init("answer", .text(answer)),
            .init("text", .text(text(policy))),
        ]
        if let witness { members.append(.init("witness", .text(witness.options))) }
        if let cover = cover(policy) {
            members.append(.init("covered_by", .texts(cover.rules.map(\.place))))
            members.append(.init("same_action", .bool(cover.agrees)))
        }
        return .object(members)
    }
}
