// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire
import PolicyAnalysis
import TestSupport
import Testing

@Suite("What is said of a rule is what all packets say")
struct CheckTests {
    static let moments = [
        PacketUniverse.Moment(unixTime: 0, activity: [0]), PacketUniverse.Moment(unixTime: 1, activity: [1]),
    ]

    /// More by `PORTREEVE_TINY_POLICIES`, for `make prove-analysis`.
    static let rounds = ProcessEnvironment.number("PORTREEVE_TINY_POLICIES") ?? 200

    @Test("of policies over few packets, each of which is asked", arguments: 0..<4)
    func exhaustive(part: Int) throws {
        for round in 0..<(Self.rounds / 4) {
            let seed = UInt64(part * 1_000_003 + round)
            var tiny = TinyPolicies(seed: seed)
            let document = tiny.document(rules: 2 + round % 8)
            let policy = try Policy(document, epoch: 1)
            var deciding: Set<Int32> = []
            var useful: Set<Int32> = []
            for packet in Direction.allCases.flatMap({ TinyPolicies.packets(document, $0) }) {
                let subject = packet.subject(of: policy)
                let rule = policy.classify(subject).rule
                deciding.insert(rule)
                if rule >= 0, policy.isServed(by: rule, subject) { useful.insert(rule) }
            }
            for finding in PolicyCheck(policy, moments: Self.moments).findings() {
                try agree(finding, deciding, useful, policy, seed)
            }
        }
    }

    private func agree(
        _ finding: RuleFinding, _ deciding: Set<Int32>, _ useful: Set<Int32>, _ policy: Policy, _ seed: UInt64
    ) throws {
        let rule = finding.rule
        switch finding.verdict {
        case .effective(let witness):
            #expect(policy.classify(witness.subject(of: policy)).rule == rule, "seed \(seed)")
            // The few packets have not all that built-in rules are for.
            if !policy.rules[Int(rule)].isBuiltIn { try #require(useful.contains(rule), "seed \(seed): \(finding)") }
        case .covered, .admitsNothing: try #require(!useful.contains(rule), "seed \(seed): \(finding)")
        case .matchesNothing, .disabled: try #require(!deciding.contains(rule), "seed \(seed): \(finding)")
        case .undecided, .inert: Issue.record("seed \(seed): \(finding)")
        }
    }

    @Test("a rule called covered is not missed where none of its connections is", arguments: 0..<2)
    func removal(part: Int) throws {
        for round in 0..<(Self.rounds / 10) {
            let seed = UInt64(77_000 + part * 10_007 + round)
            var tiny = TinyPolicies(seed: seed)
            let document = tiny.document(rules: 3 + round % 6)
            let policy = try Policy(document, epoch: 1)
            for finding in PolicyCheck(policy, moments: Self.moments).findings() {
                let index = Int(finding.rule)
                guard case .covered(let by, let agrees) = finding.verdict, document.rules.indices.contains(index),
                    document.rules[index].action != .allow
                else { continue }
                #expect(agrees == by.allSatisfy { policy.rules[Int($0)].action == document.rules[index].action })
                var without = document
                without.rules[index].isEnabled = false
                let other = try Policy(without, epoch: 1)
                for packet in TinyPolicies.packets(document, document.rules[index].direction) {
                    let before = policy.classify(packet.subject(of: policy))
                    try #require(other.classify(packet.subject(of: other)) == before, "seed \(seed): rule \(index)")
                }
            }
        }
    }

    @Test("of a cover none can be left out", arguments: 0..<2)
    func leastCover(part: Int) throws {
        for round in 0..<(Self.rounds / 20) {
            let seed = UInt64(990_000 + part * 10_007 + round)
            var tiny = TinyPolicies(seed: seed)
            let document = tiny.document(rules: 4 + round % 6)
            let policy = try Policy(document, epoch: 1)
            for finding in PolicyCheck(policy, moments: Self.moments).findings() {
                guard case .covered(let by, _) = finding.verdict, by.count > 1 else { continue }
                for left in by where document.rules.indices.contains(Int(left)) {
                    // Without it, and without all that did not take part, the rule decides about something.
                    var few = document
                    for index in few.rules.indices
                    where Int32(index) != finding.rule && (!by.contains(Int32(index)) || Int32(index) == left) {
                        few.rules[index].isEnabled = false
                    }
                    if !by.contains(where: { policy.rules[Int($0)].isBuiltIn }) {
                        few.engine.dhcpAndDNS = .off
                        few.engine.pathMTU = false
                    }
                    let verdict = try PolicyCheck(Policy(few, epoch: 1), moments: Self.moments).findings()
                        .first { $0.rule == finding.rule }?.verdict
                    guard case .effective? = verdict else {
                        Issue.record(
                            "seed \(seed): rule \(finding.rule) without \(left): \(String(describing: verdict))")
                        continue
                    }
                }
            }
        }
    }
}

extension Policy {
    /// Whether a rule is there for this packet: an Allow for what opens a connection, and for datagrams where it admits them.
    fileprivate func isServed(by rule: Int32, _ subject: RuleSubject) -> Bool {
        let rule = rules[Int(rule)]
        guard rule.action == .allow else { return true }
        switch subject.protocolNumber {
        case 6:
            return !document.stateful.tcpEnabled
                || subject.flags.contains(.syn) && subject.flags.isDisjoint(with: .ack | .rst | .fin)
        case 17:
            return rule.direction == .outgoing || !document.stateful.udpEnabled || document.stateful.udpAdmit == .allow
        case 1:
            return rule.direction == .outgoing || !document.stateful.icmpEnabled
                || document.stateful.icmpAdmit == .allow
        default: return true
        }
    }
}
