// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ConnectionTracking
package import FirewallPolicy
import PacketWire

/// All lints of a policy, in the order of the files.
package struct PolicyLints {
    let policy: Policy
    let ranked: [Direction: RankedRegions]
    let judge: WitnessJudge

    /// - Parameters:
    ///   - check: the policy and its rules.
    ///   - findings: of that check.
    ///   - spared: rules at these places have been spoken of.
    /// - Returns: what is to be said, rules first, in the order of the files.
    package static func all(
        _ check: PolicyCheck, _ findings: [RuleFinding], sparing spared: Set<SourcePosition> = []
    ) -> [PolicyLint] {
        let policy = check.policy
        let ofRules = findings.filter { !spared.contains(policy.rules[Int($0.rule)].position) }
            .compactMap { PolicyLint($0, policy) }
        let witnesses = findings.compactMap { finding -> (rule: Int32, witness: Witness)? in
            guard case .effective(let witness) = finding.verdict else { return nil }
            return (finding.rule, witness)
        }
        let effective = witnesses.map(\.rule).filter { !policy.rules[Int($0)].isBuiltIn }
        let lints = PolicyLints(policy: policy, ranked: check.ranked, judge: check.judge)
        return ofRules + lints.lists + witnesses.compactMap { lints.oneSided($0.rule, $0.witness) }
            + lints.entriesWithoutEffect(effective) + lints.outrankedByBuiltIn(effective) + lints.mergeable(effective)
            + lints.exchanges
    }

    func rule(_ index: Int32) -> Rule { policy.rules[Int(index)] }

    /// What a rule matches of each kind of packets, and where it stands among the rules of that kind.
    func places(of index: Int32) -> [RankedRegions.Place] {
        guard let ranked = ranked[rule(index).direction] else { return [] }
        return ranked.universe.kinds.compactMap { ranked.position(of: index, in: $0) }
    }

    /// A Bypass rule whose packets' answers go to the stateful checks, which know of no connection: shown by one packet.
    private func oneSided(_ index: Int32, _ witness: Witness) -> PolicyLint? {
        let rule = rule(index)
        guard rule.action == .bypass, witness.kind.isTCP, policy.document.stateful.tcpEnabled else { return nil }
        var answer = witness.subject(of: policy)
        answer.direction = answer.direction.opposite
        swap(&answer.source, &answer.destination)
        swap(&answer.sourcePort, &answer.destinationPort)
        swap(&answer.sourceMAC, &answer.destinationMAC)
        if answer.direction == .outgoing { answer.sourceMAC = .none }
        answer.destinationMAC = .none
        answer.flags = answer.flags.contains(.syn) ? .syn | .ack : .ack
        guard policy.classify(answer).outcome != .bypass else { return nil }
        return PolicyLint(
            "one-sided-bypass", at: rule.position,
            "the bypass rule \"\(rule.name)\" has no counterpart: the answer to \(PacketWords(witness).sentence) is "
                + "\(answer.direction.word) and not bypassed, and no connection of it is known",
            cure: "add a bypass rule for the other direction, with source and destination exchanged")
    }
}
