// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PolicyAnalysis
import TestSupport

/// What `diff` says of two policies, against all packets of a tiny universe.
package enum DifferenceProof {
    private static let moments = TinyPolicies.moments(2)

    /// A policy and one with a rule more, less or changed; sometimes another one altogether.
    private static func pair(_ seed: UInt64) -> (PolicyDocument, PolicyDocument) {
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

    private static func difference(
        _ old: PolicyDocument, _ new: PolicyDocument, seed: UInt64
    ) throws -> PolicyDifference {
        let difference = try PolicyDifference(
            from: Policy(old, epoch: 1), to: Policy(new, epoch: 2), moments: moments,
            longList: TinyPolicies.longList(seed))
        if difference.isIncomplete { throw Disproof("the comparison was given up", seed: seed) }
        return difference
    }

    /// Every packet is asked of both; every witness is judged by an engine with either policy.
    package static func exhaustive(seed: UInt64, _ counts: inout ProofCounts) throws {
        let (oldDocument, newDocument) = pair(seed)
        let (old, new) = try (Policy(oldDocument, epoch: 1), Policy(newDocument, epoch: 2))
        let difference = try difference(oldDocument, newDocument, seed: seed)
        var opens = false
        var closes = false
        var both = oldDocument
        both.rules += newDocument.rules
        for packet in Direction.allCases.flatMap({ TinyPolicies.packets(both, $0) }) {
            counts.packets += 2
            let before = Truth.effect(old, packet.subject(of: old))
            let after = Truth.effect(new, packet.subject(of: new))
            opens = opens || after > before
            closes = closes || after < before
        }
        for part in difference.parts {
            counts.witnesses += 2
            let before = Truth.effect(old, part.witness.subject(of: old, place: 0))
            let after = Truth.effect(new, part.witness.subject(of: new, place: 1))
            guard before == part.oldEffect.rawValue, after == part.newEffect.rawValue else {
                throw Disproof("\(part.text): \(PacketWords(part.witness).options)", seed: seed)
            }
            if let objection = Replay.objection(part.witness, old, to: part.old, part.oldEffect)
                ?? Replay.objection(part.witness, new, to: part.new, part.newEffect)
            {
                throw Disproof("\(part.text): \(objection)", seed: seed)
            }
            // A witness may be a packet beside the few that are asked of both.
            opens = opens || after > before
            closes = closes || after < before
        }
        let told = difference.verdict
        guard (told == .morePermissive || told == .both) == opens, (told == .moreRestrictive || told == .both) == closes
        else { throw Disproof("\(told)", seed: seed) }
        counts.pairs += 1
    }

    /// A policy does not differ from itself, and the other way round everything is the other way round.
    package static func mirror(seed: UInt64) throws {
        let (old, new) = pair(seed)
        guard try difference(old, old, seed: seed).parts.isEmpty else {
            throw Disproof("it differs from itself", seed: seed)
        }
        let there = try difference(old, new, seed: seed).verdict
        let back = try difference(new, old, seed: seed).verdict
        let mirror: [PolicyDifference.Verdict: PolicyDifference.Verdict] = [
            .equivalent: .equivalent, .morePermissive: .moreRestrictive, .moreRestrictive: .morePermissive,
            .both: .both,
        ]
        guard back == mirror[there] else { throw Disproof("\(there), and back \(back)", seed: seed) }
    }

    /// The order of the file, a rule that another one shadows, a list split in two, and a list written out change nothing, and what is
    /// said of the rules stays.
    package static func equivalents(seed: UInt64) throws {
        var tiny = TinyPolicies(seed: seed)
        let document = tiny.document(rules: 6)
        for (what, other) in [
            ("shuffled", document.shuffled(seed)), ("a rule twice", document.doubled), ("split", document.split),
            ("written out", document.inlined),
        ] {
            guard try difference(document, other, seed: seed).parts.isEmpty else { throw Disproof(what, seed: seed) }
        }
        guard try findings(document, seed) == findings(document.inlined, seed) else {
            throw Disproof("what is said of its rules differs where lists are written out", seed: seed)
        }
    }

    private static func findings(_ document: PolicyDocument, _ seed: UInt64) throws -> [RuleFinding] {
        try TinyPolicies.check(Policy(document, epoch: 1), seed).findings()
    }
}

extension PolicyDocument {
    fileprivate func shuffled(_ seed: UInt64) -> PolicyDocument {
        var (document, random) = (self, SeededRandom(seed: seed))
        document.rules.shuffle(using: &random)
        return document
    }

    fileprivate var doubled: PolicyDocument {
        var document = self
        document.rules += rules.prefix(1)
        return document
    }

    /// Each use of a list of addresses or ports has a list of its own.
    fileprivate var inlined: PolicyDocument {
        var document = self
        for index in rules.indices {
            for end in [\Rule.source, \Rule.destination] {
                if let list = rules[index][keyPath: end].addresses {
                    document.addressLists.append(addressLists[list.value])
                    document.rules[index][keyPath: end].addresses?.value = document.addressLists.count - 1
                }
                if let list = rules[index][keyPath: end].ports {
                    document.portLists.append(portLists[list.value])
                    document.rules[index][keyPath: end].ports?.value = document.portLists.count - 1
                }
            }
        }
        return document
    }

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
