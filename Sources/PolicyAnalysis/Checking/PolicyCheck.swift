// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
package import FirewallPolicy

/// Finds out for every rule of a policy whether it can decide about any packet.
///
/// A rule is effective if a packet is found about which it decides: the classifier itself is asked, so that no packet is claimed that
/// it would judge otherwise. Most rules are settled by one or two packets. For the others the regions of the rules before them are
/// held against theirs (`Coverage`).
package struct PolicyCheck {
    private let policy: Policy
    /// nil: any name may be that of an interface.
    private let interfaces: [String]?
    private let moments: [PacketUniverse.Moment]
    /// Parts looked at for one rule.
    private let budget: Int

    /// - Parameters:
    ///   - policy: what to look at.
    ///   - interfaces: the names of this host's interfaces; nil where the policy is for another host.
    ///   - moments: when schedules hold (`PacketUniverse.moments`).
    ///   - budget: parts of regions looked at for one rule.
    package init(
        _ policy: Policy, interfaces: [String]? = nil, moments: [PacketUniverse.Moment] = [], budget: Int = 100_000
    ) {
        self.policy = policy
        self.interfaces = interfaces
        self.moments = moments
        self.budget = budget
    }

    /// One finding for each rule that decides, in the order of the files, built-in ones last.
    package func findings() -> [RuleFinding] {
        var verdicts: [Int32: RuleVerdict] = [:]
        for direction in Direction.allCases {
            guard let universe = PacketUniverse([policy], direction, moments: moments) else {
                for rule in policy.order(direction) { verdicts[rule] = .undecided }
                continue
            }
            let ranked = RankedRegions(policy, in: universe)
            for rule in policy.order(direction) { verdicts[rule] = verdict(on: rule, ranked, universe) }
        }
        return policy.rules.indices.compactMap { index in
            let rule = policy.rules[index]
            if !rule.isEnabled { return RuleFinding(rule: Int32(index), verdict: .disabled) }
            return verdicts[Int32(index)].map { RuleFinding(rule: Int32(index), verdict: $0) }
        }
    }

    private func verdict(on index: Int32, _ ranked: RankedRegions, _ universe: PacketUniverse) -> RuleVerdict {
        let rule = policy.rules[Int(index)]
        let own = universe.kinds.compactMap { ranked.position(of: index, in: $0) }
        if own.isEmpty { return .matchesNothing(emptiness(of: rule)) }
        if let interfaces, !matchesInterface(rule, interfaces) { return .inert }
        let purpose = Purpose(rule, policy)
        let useful = own.compactMap { place in purpose.narrowed(place.region).map { (place, $0) } }
        guard !useful.isEmpty else { return .admitsNothing(purpose.futility) }
        if let witness = sample(useful.map(\.1), index, universe) { return .effective(witness) }
        return cover(useful, index, ranked, universe)
    }

    /// A packet near the edges of the rule about which it decides.
    private func sample(_ regions: [Region], _ rule: Int32, _ universe: PacketUniverse) -> Witness? {
        for variant in 0..<3 {
            for region in regions {
                if let witness = region.witness(in: universe, variant: variant), decides(rule, witness) {
                    return witness
                }
            }
        }
        return nil
    }

    private func decides(_ rule: Int32, _ witness: Witness) -> Bool {
        policy.classify(witness.subject(of: policy)).rule == rule
    }

    private func cover(
        _ regions: [(RankedRegions.Place, Region)], _ rule: Int32, _ ranked: RankedRegions, _ universe: PacketUniverse
    ) -> RuleVerdict {
        var others: Set<Int32> = []
        for (place, region) in regions {
            let before = ranked.before(place, meeting: region)
            var coverage = Coverage(regions: before.map(\.region), universe: universe, budget: budget)
            coverage.isVoid = { $0.goesToItself(in: universe) }
            switch coverage.leastCover(region, by: Array(before.indices)) {
            case .covered(let used): others.formUnion(used.map { before[$0].rule })
            case .undecided: return .undecided
            case .open(let part):
                for variant in 0..<3 {
                    if let witness = part.witness(in: universe, variant: variant), decides(rule, witness) {
                        return .effective(witness)
                    }
                }
                return .undecided
            }
        }
        let action = policy.rules[Int(rule)].action
        let agrees = others.allSatisfy { policy.rules[Int($0)].action == action }
        return .covered(by: others.sorted { (ranked.ranks[$0] ?? 0) < (ranked.ranks[$1] ?? 0) }, agrees: agrees)
    }
}

extension PolicyCheck {
    private func emptiness(of rule: Rule) -> RuleVerdict.Emptiness {
        let document = policy.document
        func isVoid(_ list: Criterion<Int>?, _ isEmpty: (Int) -> Bool) -> Bool {
            list.map { !$0.isInverted && isEmpty($0.value) } ?? false
        }
        for (key, side) in [("source", rule.source), ("destination", rule.destination)] {
            if isVoid(side.addresses, { document.addressLists[$0].values.isEmpty }) {
                return .criterion("\(key): addresses")
            }
            if isVoid(side.ports, { document.portLists[$0].values.isEmpty }) { return .criterion("\(key): ports") }
            if isVoid(side.macs, { document.macLists[$0].values.isEmpty }) { return .criterion("\(key): macs") }
        }
        if let schedule = rule.schedule, moments.allSatisfy({ $0.activity[0] >> UInt64(schedule) & 1 == 0 }) {
            return .schedule
        }
        guard rule.source.addresses != nil else { return .criteria }
        var anywhere = rule
        anywhere.source.addresses = nil
        var document2 = document
        document2.rules = [anywhere]
        guard let other = try? Policy(document2, epoch: 1),
            let universe = PacketUniverse([other], rule.direction, moments: moments)
        else { return .criteria }
        var lists = ListSets(other)
        let matches = universe.kinds.contains { Region(anywhere, of: $0, in: universe, place: 0, &lists, other) != nil }
        return matches ? .source : .criteria
    }

    private func matchesInterface(_ rule: Rule, _ names: [String]) -> Bool {
        guard let criterion = rule.interfaces else { return true }
        let globs = criterion.value.map { InterfaceGlob($0) }
        return names.contains { name in globs.contains { $0.matches(name) } != criterion.isInverted }
    }
}

extension RankedRegions {
    /// A rule among those of a kind.
    struct Place {
        let kind: PacketKind
        let index: Int
        let region: Region
    }

    func position(of rule: Int32, in kind: PacketKind) -> Place? {
        let entries = entries(of: kind)
        guard let rank = ranks[rule] else { return nil }
        // Entries are in the order of the ranks.
        var (low, high) = (0, entries.count)
        while low < high {
            let middle = (low + high) / 2
            if (ranks[entries[middle].rule] ?? 0) < rank { low = middle + 1 } else { high = middle }
        }
        guard low < entries.count, entries[low].rule == rule else { return nil }
        return Place(kind: kind, index: low, region: entries[low].region)
    }

    /// The rules asked before one that match any packet of a part of it.
    func before(_ place: Place, meeting region: Region) -> [Entry] {
        let bounds = Bounds(region)
        return entries(of: place.kind)[..<place.index].filter {
            $0.bounds.overlap(bounds) && $0.region.intersects(region)
        }
    }
}
