// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire
import TestSupport
import Testing

@Suite("The compiled policy agrees with the rules read one after the other")
struct OracleTests {
    @Test("on random policies and random packets", arguments: [3, 10, 40, 120], [1, 2, 3, 4, 5, 6] as [UInt64])
    func agreement(rules: Int, seed: UInt64) throws {
        var random = RandomPolicies(seed: seed &* 1_000_003 &+ UInt64(rules))
        for _ in 0..<(300 / rules) {
            let policy = try Policy(random.document(rules: rules, variety: 4 + rules / 4), epoch: 1)
            var oracle = RuleOracle(policy: policy)
            for _ in 0..<100 {
                var subject = random.subject(for: policy)
                oracle.sender = subject.direction == .outgoing ? random.sender(for: policy) : nil
                subject.senders = oracle.sender.map { policy.senders($0) } ?? 0
                let decision = policy.classify(subject)
                let truth = oracle.decide(subject)
                try #require(decision == truth, "seed \(seed), \(rules) rules: \(subject)")
            }
        }
    }

    @Test(
        "what is decided for a later fragment holds for every whole packet", arguments: [3, 10, 40],
        [1, 2, 3] as [UInt64])
    func fragments(rules: Int, seed: UInt64) throws {
        var random = RandomPolicies(seed: seed &* 7_919 &+ UInt64(rules))
        var decided = 0
        var undetermined = 0
        for _ in 0..<(120 / rules) {
            let policy = try Policy(random.document(rules: rules, variety: 6), epoch: 1)
            for _ in 0..<40 {
                let fragment = random.subject(for: policy).laterFragment
                guard fragment.network == .ipv4 || fragment.network == .ipv6 else { continue }
                let decision = policy.classify(fragment)
                undetermined += decision.outcome == .undetermined ? 1 : 0
                guard decision.outcome != .undetermined else { continue }
                decided += 1
                for _ in 0..<40 {
                    let whole = random.completion(of: fragment, policy.document)
                    let outcome = policy.classify(whole).outcome
                    try #require(outcome == decision.outcome, "seed \(seed), \(rules) rules: \(fragment) of \(whole)")
                }
            }
        }
        #expect(decided > 0 && undetermined > 0)
    }

    @Test(
        "on large sets of the shape of access lists, firewalls and chains", arguments: RuleSetShape.allCases,
        [NetworkProtocol.ipv4, .ipv6])
    func largeSets(shape: RuleSetShape, network: NetworkProtocol) throws {
        var generator = RuleSetGenerator(shape, of: network, seed: 2_005)
        let policy = try Policy(generator.document(rules: 500), epoch: 1)
        let oracle = RuleOracle(policy: policy)
        for subject in generator.subjects(60).flatMap({ [$0, $0.laterFragment] }) {
            let decision = policy.classify(subject)
            let truth = oracle.decide(subject)
            try #require(decision == truth, "\(subject)")
        }
    }
}
