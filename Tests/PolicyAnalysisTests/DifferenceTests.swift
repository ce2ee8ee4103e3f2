// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire
import PolicyAnalysis
import TestSupport
import Testing

@Suite("What two policies are said to decide differently is what all packets say")
struct DifferenceTests {
    static let moments = [
        PacketUniverse.Moment(unixTime: 0, activity: [0, 0]), PacketUniverse.Moment(unixTime: 1, activity: [1, 1]),
    ]

    /// A policy and one with a rule more, less or changed; sometimes another one altogether.
    static func pair(_ seed: UInt64) -> (PolicyDocument, PolicyDocument) {
        var tiny = TinyPolicies(seed: seed)
        let old = tiny.document(rules: 2 + Int(seed % 7))
        var new = old
        switch seed % 5 {
        case 0: new.rules.remove(at: Int(seed / 5) % new.rules.count)
        case 1: new.rules.append(tiny.rule(99))
        case 2: new.rules[Int(seed / 5) % new.rules.count] = tiny.rule(98)
        case 3: new.rules.reverse()
        default:
            new = tiny.document(rules: 4)
            new.engine = old.engine
        }
        return (old, new)
    }

    @Test("of policies over few packets, each of which is asked of both", arguments: 0..<4)
    func exhaustive(part: Int) throws {
        for round in 0..<(CheckTests.rounds / 8) {
            let seed = UInt64(part * 500_009 + round)
            let (oldDocument, newDocument) = Self.pair(seed)
            let (old, new) = try (Policy(oldDocument, epoch: 1), Policy(newDocument, epoch: 2))
            let difference = PolicyDifference(from: old, to: new, moments: Self.moments)
            try #require(!difference.isIncomplete, "seed \(seed)")
            var opens = false
            var closes = false
            for direction in Direction.allCases {
                var both = oldDocument
                both.rules += newDocument.rules
                for packet in TinyPolicies.packets(both, direction) {
                    let before = Truth.effect(old, packet.subject(of: old))
                    let after = Truth.effect(new, packet.subject(of: new))
                    opens = opens || after > before
                    closes = closes || after < before
                }
            }
            for part in difference.parts {
                let before = Truth.effect(old, part.witness.subject(of: old, place: 0))
                let after = Truth.effect(new, part.witness.subject(of: new, place: 1))
                try #require(
                    before == part.oldEffect.rawValue && after == part.newEffect.rawValue, "seed \(seed): \(part)")
                // A witness may be a packet beside the few that are asked of both.
                opens = opens || after > before
                closes = closes || after < before
            }
            let told = difference.verdict
            try #require((told == .morePermissive || told == .both) == opens, "seed \(seed): \(told)")
            try #require((told == .moreRestrictive || told == .both) == closes, "seed \(seed): \(told)")
        }
    }

    @Test("a policy does not differ from itself, and the other way round everything is the other way round")
    func laws() throws {
        for seed in UInt64(3_000)..<3_060 {
            let (oldDocument, newDocument) = Self.pair(seed)
            let (old, new) = try (Policy(oldDocument, epoch: 1), Policy(newDocument, epoch: 2))
            #expect(PolicyDifference(from: old, to: old, moments: Self.moments).parts.isEmpty)
            let there = PolicyDifference(from: old, to: new, moments: Self.moments).verdict
            let back = PolicyDifference(from: new, to: old, moments: Self.moments).verdict
            let mirror: [PolicyDifference.Verdict: PolicyDifference.Verdict] = [
                .equivalent: .equivalent, .morePermissive: .moreRestrictive, .moreRestrictive: .morePermissive,
                .both: .both,
            ]
            #expect(back == mirror[there], "seed \(seed)")
        }
    }

    @Test("the order of the file, a shadowed rule, and a range split in two change nothing")
    func equivalents() throws {
        for seed in UInt64(5_000)..<5_060 {
            var tiny = TinyPolicies(seed: seed)
            let document = tiny.document(rules: 6)
            let policy = try Policy(document, epoch: 1)
            var shuffled = document
            shuffled.rules.shuffle(seed)
            var doubled = document
            if let rule = document.rules.first { doubled.rules.append(rule) }
            for other in [shuffled, doubled, document.split] {
                let difference = PolicyDifference(from: policy, to: try Policy(other, epoch: 2), moments: Self.moments)
                #expect(difference.verdict == .equivalent, "seed \(seed)")
                #expect(!difference.isIncomplete)
            }
        }
    }
}

/// What POLICY.md says of a packet that opens something, written down a second time.
private enum Truth {
    static func effect(_ policy: Policy, _ subject: RuleSubject) -> Int {
        let outcome = policy.classify(subject).outcome
        if outcome == .deny { return 0 }
        if outcome == .bypass { return 3 }
        let stateful = policy.document.stateful
        let isSYN = subject.flags.contains(.syn) && subject.flags.isDisjoint(with: .ack | .rst | .fin)
        let (tracked, opens, admit) =
            switch subject.protocolNumber {
            case 6: (stateful.tcpEnabled, isSYN, Admission.allow)
            case 17: (stateful.udpEnabled, true, stateful.udpAdmit)
            case 1: (stateful.icmpEnabled, true, stateful.icmpAdmit)
            default: (false, true, Admission.allow)
            }
        if outcome == .implicitDeny { return tracked ? (opens ? 1 : 2) : 0 }
        let isUnsolicited = tracked && subject.direction == .incoming && admit == .forceAllow
        return isUnsolicited && outcome != .forceAllow ? 1 : 2
    }
}

extension [Rule] {
    fileprivate mutating func shuffle(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        for index in indices.reversed() where index > 0 { swapAt(index, Int(random.next() % UInt64(index + 1))) }
    }
}

extension PolicyDocument {
    /// Each rule with several source ranges becomes one for each, where that says the same.
    fileprivate var split: PolicyDocument {
        var result = self
        result.rules = []
        for rule in rules {
            guard let list = rule.source.addresses, !list.isInverted, addressLists[list.value].values.count > 1 else {
                result.rules.append(rule)
                continue
            }
            for range in addressLists[list.value].values {
                result.addressLists.append(NamedList(name: nil, values: [range], position: rule.position))
                var part = rule
                part.source.addresses = Criterion(result.addressLists.count - 1)
                result.rules.append(part)
            }
        }
        return result
    }
}
