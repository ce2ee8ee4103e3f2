// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PolicyAnalysis

/// What `check` says of rules, against all packets of a tiny universe.
package enum CheckProof {
    /// Every packet is asked; every witness is judged by an engine.
    package static func exhaustive(seed: UInt64, _ counts: inout ProofCounts) throws {
        var tiny = TinyPolicies(seed: seed)
        let document = tiny.document(rules: 2 + Int(seed % 11))
        let policy = try Policy(document, epoch: 1)
        var deciding: Set<Int32> = []
        var useful: Set<Int32> = []
        for packet in Direction.allCases.flatMap({ TinyPolicies.packets(document, $0) }) {
            counts.packets += 1
            let subject = packet.subject(of: policy)
            let rule = policy.classify(subject).rule
            deciding.insert(rule)
            if rule >= 0, Truth.isServed(policy, by: rule, subject) { useful.insert(rule) }
        }
        for finding in TinyPolicies.check(policy, seed).findings() {
            if let objection = objection(to: finding, deciding, useful, policy, &counts) {
                throw Disproof("\(finding): \(objection)", seed: seed)
            }
        }
        counts.policies += 1
    }

    private static func objection(
        to finding: RuleFinding, _ deciding: Set<Int32>, _ useful: Set<Int32>, _ policy: Policy,
        _ counts: inout ProofCounts
    ) -> String? {
        let index = finding.rule
        switch finding.verdict {
        case .effective(let witness):
            // The few packets have not all that built-in rules are for.
            if !policy.rules[Int(index)].isBuiltIn, !useful.contains(index) { return "no packet is decided by it" }
            counts.witnesses += 1
            return Replay.objection(
                witness, policy, to: RuleDecision(outcome: RuleOutcome(policy.rules[Int(index)].action), rule: index))
        case .covered, .admitsNothing: return useful.contains(index) ? "it decides" : nil
        case .matchesNothing, .disabled: return deciding.contains(index) ? "it decides" : nil
        case .undecided, .inert: return "that is no answer here"
        }
    }

    /// Without a rule that is called covered every packet is decided as with it.
    package static func removal(seed: UInt64, _ counts: inout ProofCounts) throws {
        var tiny = TinyPolicies(seed: seed)
        let document = tiny.document(rules: 3 + Int(seed % 6))
        let policy = try Policy(document, epoch: 1)
        for finding in TinyPolicies.check(policy, seed).findings() {
            let index = Int(finding.rule)
            guard case .covered(let by, let agrees) = finding.verdict, document.rules.indices.contains(index) else {
                continue
            }
            let (action, rate) = (document.rules[index].action, document.rules[index].rate)
            guard
                agrees
                    == by.allSatisfy({ policy.rules[Int($0)].action == action && policy.rules[Int($0)].rate == rate })
            else {
                throw Disproof("\(finding): the actions", seed: seed)
            }
            // By being there an Allow has everything else refused.
            guard document.rules[index].action != .allow || document.hasAllow(beside: index) else { continue }
            let other = try Policy(document.without(index), epoch: 1)
            for packet in TinyPolicies.packets(document, document.rules[index].direction) {
                counts.packets += 1
                let (before, after) = (packet.subject(of: policy), packet.subject(of: other))
                guard Truth.effect(policy, before) == Truth.effect(other, after) else {
                    throw Disproof("\(finding): it is missed", seed: seed)
                }
            }
        }
    }

    /// Of a cover none can be left out: without it, and without all that did not take part, the rule decides about something.
    package static func leastCover(seed: UInt64) throws {
        var tiny = TinyPolicies(seed: seed)
        let document = tiny.document(rules: 4 + Int(seed % 6))
        let policy = try Policy(document, epoch: 1)
        for finding in TinyPolicies.check(policy, seed).findings() {
            guard case .covered(let by, _) = finding.verdict, by.count > 1 else { continue }
            for left in by where document.rules.indices.contains(Int(left)) {
                let few = document.only(Int(finding.rule), by, without: left, policy)
                let verdict = try TinyPolicies.check(Policy(few, epoch: 1), seed).findings()
                    .first { $0.rule == finding.rule }?.verdict
                guard case .effective? = verdict else {
                    throw Disproof("\(finding) without \(left): \(String(describing: verdict))", seed: seed)
                }
            }
        }
    }
}

extension PolicyDocument {
    func without(_ index: Int) -> PolicyDocument {
        var document = self
        document.rules[index].isEnabled = false
        return document
    }

    func hasAllow(beside index: Int) -> Bool {
        rules.indices.contains { other in
            other != index && rules[other].isEnabled && rules[other].action == .allow
                && rules[other].direction == rules[index].direction
        }
    }

    /// With one rule, and those of its cover but one.
    fileprivate func only(_ rule: Int, _ cover: [Int32], without left: Int32, _ policy: Policy) -> PolicyDocument {
        var few = self
        for index in few.rules.indices
        where index != rule && (!cover.contains(Int32(index)) || Int32(index) == left) {
            few.rules[index].isEnabled = false
        }
        if !cover.contains(where: { policy.rules[Int($0)].isBuiltIn }) {
            few.engine.dhcpAndDNS = .off
            few.engine.pathMTU = false
        }
        return few
    }
}
