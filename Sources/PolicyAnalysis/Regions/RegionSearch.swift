// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire

/// Finds a packet of a region that fares in a way that is asked for, or shows that there is none: rule by rule, for which of them decides
/// about a packet of the region at all.
struct RegionSearch {
    struct Found {
        let region: Region
        let witness: Witness
        let decision: RuleDecision
        let effect: Effect
    }

    let ranked: RankedRegions
    private let judge: WitnessJudge
    /// How many parts of regions are looked at; 0: it did not suffice.
    var budget = 500_000
    /// In some region an engine decided otherwise about each packet that was tried.
    private(set) var isUnconfirmed = false

    private var policy: Policy { ranked.policy }
    private var universe: PacketUniverse { ranked.universe }

    init(_ ranked: RankedRegions, _ judge: WitnessJudge) {
        self.ranked = ranked
        self.judge = judge
    }

    /// Some packet of which `isSought` is true. nil: there is none, unless the budget is used
    /// up.
    mutating func packet(in region: Region, _ isSought: (RuleOutcome, Effect) -> Bool) -> Found? {
        for region in universe.classes(of: region) {
            let entries = ranked.entries(of: region.kind)
            for place in ranked.meeting(region) {
                let rule = policy.rules[Int(entries[place].rule)]
                let outcome = RuleOutcome(rule.action)
                guard isSought(outcome, effect(of: outcome, region, isRated: rule.rate != nil)) else { continue }
                if let found = decided(in: region.intersection(entries[place].region), before: place) { return found }
            }
            if let found = decided(in: region, before: .max), isSought(found.decision.outcome, found.effect) {
                return found
            }
        }
        return nil
    }

    /// A packet of the region about which none of the first rules decides.
    private mutating func decided(in region: Region, before limit: Int) -> Found? {
        guard budget > 0, !region.isEmpty, ranked.container(of: region, before: limit) == nil else { return nil }
        var coverage = Coverage(ranked, region.kind, budget: budget)
        let answer = coverage.covers(region, by: ranked.meeting(region, before: limit))
        budget = max(0, coverage.budget)
        guard case .open(let part) = answer else { return nil }
        for variant in 0..<Self.mostTried {
            guard let witness = part.witness(in: universe, variant: variant) else { continue }
            let decision = policy.classify(witness.subject(of: policy, place: ranked.place))
            let effect = effect(of: decision.outcome, part, isRated: policy.isRated(decision))
            if judge.confirms(witness, decision, effect) {
                return Found(region: part, witness: witness, decision: decision, effect: effect)
            }
        }
        isUnconfirmed = true
        return nil
    }

    /// So many packets of a region are tried.
    private static let mostTried = 64

    private func effect(of outcome: RuleOutcome, _ region: Region, isRated: Bool) -> Effect {
        let opens = region.kind.isTCP && region[.flags]?.isSubset(of: Purpose.openings) == true
        return EffectSettings(policy.document).effect(
            of: outcome, region.kind, universe.direction, opens: opens, isRated: isRated)
    }
}

extension Policy {
    /// Whether the rule that decides has a rate.
    func isRated(_ decision: RuleDecision) -> Bool {
        rules.indices.contains(Int(decision.rule)) && rules[Int(decision.rule)].rate != nil
    }
}

extension PacketUniverse {
    /// A region by what holds of its packets without a rule: of TCP those that open a connection and others, and IGMP, which nothing
    /// refuses but a rule that names it.
    func classes(of region: Region) -> [Region] {
        let (dimension, special): (Dimension, NumberSet)
        switch region.kind {
        case .tcp4, .tcp6: (dimension, special) = (.flags, Purpose.openings)
        case .other4: (dimension, special) = (.protocolNumber, NumberSet(members: [Int(IPProtocol.igmp)]))
        default: return [region]
        }
        return [special, domain(dimension, of: region.kind).subtracting(special)].compactMap { set in
            var part = region
            part.narrow(dimension, to: set)
            return part.isEmpty ? nil : part
        }
    }
}
