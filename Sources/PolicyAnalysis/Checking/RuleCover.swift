// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy

/// Whether a rule decides about any packet of all that it is there for, over all kinds of packets; if not, which of the rules that are
/// asked before it decide instead.
struct RuleCover {
    enum Answer {
        /// Of these none can be left out.
        case covered(by: Set<Int32>)
        /// The rule decides about this packet.
        case open(Witness)
        case undecided
    }

    /// What the rule is there for of one kind of packets, and how many rules of that kind are asked before it.
    struct Part {
        let kind: PacketKind
        let region: Region
        let limit: Int
    }

    let rule: Int32
    let ranked: RankedRegions
    let parts: [Part]
    private let judge: WitnessJudge
    /// How many parts of regions are looked at, one by one.
    private let budget: Int

    var universe: PacketUniverse { ranked.universe }

    init(
        _ rule: Int32, _ regions: [(RankedRegions.Place, Region)], _ ranked: RankedRegions, _ judge: WitnessJudge,
        budget: Int
    ) {
        self.rule = rule
        self.judge = judge
        self.ranked = ranked
        self.budget = budget
        parts = regions.map { place, region in
            Part(kind: place.kind, region: region, limit: place.index)
        }
    }

    func answer() -> Answer {
        if let one = single { return .covered(by: [one]) }
        switch asked() {
        case .open(let witness): return .open(witness)
        case .covered(let rules): return held(against: rules)
        case .undecided: return held(against: nil)
        }
    }

    /// One rule that covers everything, as there mostly is.
    private var single: Int32? {
        guard let first = parts.first else { return nil }
        let entries = ranked.entries(of: first.kind)
        let others = parts.dropFirst()
        let place = ranked.container(of: first.region, before: first.limit) { place in
            others.allSatisfy { part in
                ranked.position(of: entries[place].rule, in: part.kind).map { part.region.isSubset(of: $0.region) }
                    ?? false
            }
        }
        return place.map { entries[$0].rule }
    }

    /// Holds the regions of rules against what the rule is there for: of these rules, or of all before it.
    private func held(against rules: Set<Int32>?) -> Answer {
        var needed: Set<Int32> = []
        for part in parts {
            let before = rules.map { places($0, before: part) } ?? ranked.meeting(part.region, before: part.limit)
            switch covers(part.region, of: part.kind, by: before) {
            case .covered(let used): needed.formUnion(used.map { ranked.entries(of: part.kind)[$0].rule })
            case .open(let rest): return witness(in: rest).map { .open($0) } ?? .undecided
            case .undecided: return .undecided
            }
        }
        return least(needed)
    }

    /// Leaves out what can be, those with the least share first.
    private func least(_ cover: Set<Int32>) -> Answer {
        var needed = cover
        let shares = cover.map { rule in
            (rule, parts.reduce(0) { $0 + share(of: rule, in: $1) })
        }
        for (rule, _) in shares.sorted(by: { ($0.1, $1.0) < ($1.1, $0.0) }) where needed.count > 1 {
            let others = needed.subtracting([rule])
            var isCovered = true
            for part in parts where isCovered {
                // Of what the others have to cover instead, only what this one covers is in question.
                guard let place = ranked.position(of: rule, in: part.kind), place.index < part.limit else { continue }
                let own = part.region.intersection(place.region)
                if own.isEmpty { continue }
                let before = others.count > Self.few ? meeting(own, others, part) : places(others, before: part)
                switch covers(own, of: part.kind, by: before) {
                case .covered: break
                case .open: isCovered = false
                case .undecided: return .undecided
                }
            }
            if isCovered { needed = others }
        }
        return .covered(by: needed)
    }

    /// So many rules are sooner looked at one by one than found.
    private static let few = 500

    private func meeting(_ region: Region, _ rules: Set<Int32>, _ part: Part) -> [Int] {
        let entries = ranked.entries(of: part.kind)
        return ranked.meeting(region, before: part.limit).filter { rules.contains(entries[$0].rule) }
    }

    /// Where rules stand among those of a part's kind that are asked before.
    private func places(_ rules: Set<Int32>, before part: Part) -> [Int] {
        rules.compactMap { rule in
            ranked.position(of: rule, in: part.kind).flatMap { $0.index < part.limit ? $0.index : nil }
        }.sorted()
    }

    private func share(of rule: Int32, in part: Part) -> Double {
        ranked.position(of: rule, in: part.kind).map { part.region.share($0.region, in: universe) } ?? 0
    }

    private func covers(_ region: Region, of kind: PacketKind, by indices: [Int]) -> Coverage.Answer {
        var coverage = Coverage(ranked, kind, budget: budget)
        return coverage.covers(region, by: indices)
    }

    /// Whether an engine lets the rule decide about the packet.
    func isConfirmed(_ witness: Witness) -> Bool {
        judge.confirms(
            witness, RuleDecision(outcome: RuleOutcome(ranked.policy.rules[Int(rule)].action), rule: rule))
    }
}
