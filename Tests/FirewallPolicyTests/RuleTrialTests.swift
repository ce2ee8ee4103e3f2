// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import PacketWire
import TestSupport
import Testing

@Suite("What is said to keep a rule from a packet is what keeps it")
struct RuleTrialTests {
    @Test("the first rule that misses nothing decides", arguments: [3, 10, 40], [1, 2, 3, 4] as [UInt64])
    func first(rules: Int, seed: UInt64) throws {
        var random = RandomPolicies(seed: seed &* 15_485_863 &+ UInt64(rules))
        for _ in 0..<(120 / rules) {
            let policy = try Policy(random.document(rules: rules, variety: 4 + rules / 4), epoch: 1)
            for _ in 0..<60 {
                let subject = random.subject(for: policy)
                let decision = policy.classify(subject)
                let first = policy.trials(of: subject).first { $0.missed.isEmpty }
                if subject.transportIsUnknown {
                    if decision.rule >= 0 { #expect(first?.rule == decision.rule, "\(subject)") }
                } else {
                    try #require(first?.rule ?? -1 == decision.rule, "seed \(seed): \(subject)")
                }
            }
        }
    }

    @Test("a rule from which the named criteria are taken matches")
    func sufficient() throws {
        var random = RandomPolicies(seed: 4)
        for _ in 0..<60 {
            let document = random.document(rules: 6, variety: 5)
            let policy = try Policy(document, epoch: 1)
            for _ in 0..<20 {
                let subject = random.subject(for: policy)
                guard !subject.transportIsUnknown else { continue }
                for trial in policy.trials(of: subject) where trial.missed.areRemovable {
                    guard document.rules.indices.contains(Int(trial.rule)) else { continue }
                    var widened = document
                    widened.rules = [document.rules[Int(trial.rule)].without(trial.missed)]
                    widened.engine.dhcpAndDNS = .off
                    widened.engine.pathMTU = false
                    var subject = subject
                    let names = document.rules[Int(trial.rule)].interfaces?.value ?? []
                    let alone = try Policy(widened, epoch: 1)
                    subject.interfacePatterns =
                        RandomPolicies.interfaces
                        .filter { policy.traits(ofInterface: $0).patterns == subject.interfacePatterns }
                        .first.map { alone.traits(ofInterface: $0).patterns } ?? 0
                    guard names.isEmpty || !subject.hasInterface || trial.missed.contains(.interfaces) else { continue }
                    #expect(alone.classify(subject).rule == 0, "\(trial.missed.rawValue): \(subject)")
                }
            }
        }
    }
}

extension RuleCriteria {
    /// Those that the author of a rule can leave out.
    fileprivate var areRemovable: Bool {
        isDisjoint(with: [.knownQuote, .neighbourDiscovery, .groupMembership, .transport])
    }
}

extension Rule {
    fileprivate func without(_ criteria: RuleCriteria) -> Rule {
        var rule = self
        if criteria.contains(.frame) { rule.frame = Criterion(.any) }
        if criteria.contains(.protocols) { rule.protocols = nil }
        if criteria.contains(.sourceAddresses) { rule.source.addresses = nil }
        if criteria.contains(.destinationAddresses) { rule.destination.addresses = nil }
        if criteria.contains(.sourcePorts) { rule.source.ports = nil }
        if criteria.contains(.destinationPorts) { rule.destination.ports = nil }
        if criteria.contains(.sourceMACs) { rule.source.macs = nil }
        if criteria.contains(.destinationMACs) { rule.destination.macs = nil }
        if criteria.contains(.flags) { rule.flags = nil }
        if criteria.contains(.icmp) { rule.icmp = nil }
        if criteria.contains(.interfaces) { rule.interfaces = nil }
        if criteria.contains(.schedule) { rule.schedule = nil }
        if criteria.contains(.sender) { rule.sender = SenderCriteria() }
        // A Deny spares neighbour discovery unless it names ICMPv6: what the criterion named decides that too.
        if rule.action == .deny { rule.action = .forceAllow }
        // Log Only decides nothing.
        if rule.action == .logOnly { rule.action = .bypass }
        return rule
    }
}
