// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
package import FirewallPolicy
import PacketWire
import PolicyFile

/// Has an engine judge the packets that prove something, before they are printed: the regions of `PacketUniverse` say which packets get
/// as far as the rules, and what they leave out is noticed here.
///
/// Most packets are judged one after another by one engine. Only where that does not say what is claimed, or knows a connection of an
/// earlier one, another engine judges the packet alone, as `portreeve explain` does.
package final class WitnessJudge {
    private let policy: Policy
    private lazy var alone = OnePacketPolicy(policy)
    private let engine: JudgingEngine
    private var count = 0

    /// After so many packets an engine is replaced: its tables are full of their connections.
    private static let mostJudged = 10_000

    package init(_ policy: Policy) {
        self.policy = policy
        engine = JudgingEngine(policy)
    }

    /// Whether the rules are asked about the packet, and decide so; with an effect, also whether that is what becomes of it, as far as
    /// that depends on nothing but the packet.
    package func confirms(_ witness: Witness, _ claim: RuleDecision, _ effect: Effect? = nil) -> Bool {
        if !witness.isOfKnownExchange, witness.otherInterface == nil,
            Self.agrees(judge(PacketWords(witness)), claim, effect, witness)
        {
            return true
        }
        let steps = PacketScene(PacketWords(witness), now: 0).judge(by: alone).steps
        return Self.agrees(steps, claim, effect, witness)
    }

    private static func agrees(_ steps: [Step], _ claim: RuleDecision, _ effect: Effect?, _ witness: Witness) -> Bool {
        var decision: RuleDecision?
        var isRefused = false
        for step in steps {
            switch step {
            case .ruled(_, let said, _): decision = said
            case .refused: isRefused = true
            case .lookedUp(_?, _, _) where !witness.isOfKnownExchange: return false
            default: break
            }
        }
        guard let decision, decision.rule == claim.rule, decision.outcome == claim.outcome else { return false }
        // What a known connection's errors come to depends on that connection too.
        guard let effect, !witness.isOfKnownExchange else { return true }
        switch effect {
        case .drop, .refuse: return isRefused
        case .admit, .ration: return !isRefused || !witness.opensSomething
        case .bypass: return !isRefused
        }
    }

    private func judge(_ words: PacketWords) -> [Step] {
        if count % Self.mostJudged == 0 { engine.begin() }
        count += 1
        return engine.judge(words, at: words.unixTime ?? 0)
    }
}
