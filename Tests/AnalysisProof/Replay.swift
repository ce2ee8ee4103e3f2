// SPDX-License-Identifier: GPL-3.0-or-later

package import FirewallPolicy
package import PolicyAnalysis

/// A witness, judged by an engine as the packet that `portreeve explain` would make of its words.
package enum Replay {
    /// What is wrong with a claim; nil: the engine decides as claimed.
    package static func objection(_ witness: Witness, _ policy: Policy, to claim: RuleDecision) -> String? {
        let explanation = PacketScene(PacketWords(witness), now: 0).judge(policy)
        guard let decision = explanation.ruling?.decision else {
            return "\(PacketWords(witness).options): rules are not asked: \(explanation.lines.last?.text ?? "")"
        }
        guard decision.rule == claim.rule, decision.outcome == claim.outcome else {
            return "\(PacketWords(witness).options): \(decision) instead of \(claim)"
        }
        return nil
    }

    /// The same of what becomes of the packet. What rules admit may still open nothing, and no connection of it is known.
    package static func objection(
        _ witness: Witness, _ policy: Policy, to claim: RuleDecision, _ effect: Effect
    )
        -> String?
    {
        if let objection = objection(witness, policy, to: claim) { return objection }
        // What a known connection's errors come to depends on that connection too.
        if witness.isOfKnownExchange { return nil }
        // What tap mode and failure settings let pass is refused all the same.
        let passes = PacketScene(PacketWords(witness), now: 0).judge(policy).refusal == nil
        if effect == .bypass, !passes { return "\(PacketWords(witness).options): bypassed, and refused" }
        if effect < .ration, passes { return "\(PacketWords(witness).options): refused, and passes" }
        if effect == .admit || effect == .ration, !passes, witness.opensSomething {
            return "\(PacketWords(witness).options): admitted, and refused"
        }
        return nil
    }
}
