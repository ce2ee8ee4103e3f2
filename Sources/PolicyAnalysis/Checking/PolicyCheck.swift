// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
package import FirewallPolicy

/// Finds out for every rule of a policy whether it can decide about any packet.
///
/// A rule is effective if a packet is found about which it decides: the classifier itself is asked, so that no packet is claimed that
/// it would judge otherwise. Most rules are settled by one or two packets; for the others what is left of theirs is asked about, rule by
/// rule, or held against the regions of all rules before them (`RuleCover`).
package struct PolicyCheck {
    package let policy: Policy
    /// By direction; of one whose rules name interfaces by too many patterns there is none.
    let ranked: [Direction: RankedRegions]
    /// nil: any name may be that of an interface.
    private let interfaces: [String]?
    private let moments: [PacketUniverse.Moment]
    /// Parts looked at for one rule.
    private let budget: Int
    let judge: WitnessJudge

    /// - Parameters:
    ///   - policy: what to look at.
    ///   - interfaces: the names of this host's interfaces; nil where the policy is for another host.
    ///   - moments: when schedules hold (`PacketUniverse.moments`).
    ///   - budget: parts of regions looked at for one rule; those with long sets count more than once.
    ///   - longList: lists of more addresses are classes of addresses in the regions; nil: what is best.
    package init(
        _ policy: Policy, interfaces: [String]? = nil, moments: [PacketUniverse.Moment] = [], budget: Int = 100_000,
        longList: Int? = nil
    ) {
        self.policy = policy
        self.interfaces = interfaces
        self.moments = moments
        self.budget = budget
        judge = WitnessJudge(policy)
        let classes = ListClasses([policy], longerThan: longList)
        ranked = Direction.allCases.reduce(into: [:]) { ranked, direction in
            guard let universe = PacketUniverse([policy], direction, moments: moments, classes) else { return }
            ranked[direction] = RankedRegions(policy, in: universe)
        }
    }

    /// One finding for each rule that decides, in the order of the files, built-in ones last.
    package func findings() -> [RuleFinding] {
        var verdicts: [Int32: RuleVerdict] = [:]
        for direction in Direction.allCases {
            for rule in policy.order(direction) {
                verdicts[rule] = ranked[direction].map { verdict(on: rule, $0, $0.universe) } ?? .undecided
            }
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
        if own.isEmpty { return .matchesNothing(emptiness(of: rule, universe)) }
        if let interfaces, !matchesInterface(rule, interfaces) { return .inert }
        let purpose = Purpose(rule, policy)
        let useful = own.compactMap { place in purpose.narrowed(place.region).map { (place, $0) } }
        guard !useful.isEmpty else { return .admitsNothing(purpose.futility) }
        // What is settled by one packet is most.
        let cover = RuleCover(index, useful, ranked, judge, budget: budget)
        for (_, region) in useful {
            if let witness = cover.witness(in: region) { return .effective(witness) }
        }
        switch cover.answer() {
        case .open(let witness): return .effective(witness)
        case .covered(let others): return covered(index, by: others, ranked)
        case .undecided: return .undecided
        }
    }

    private func covered(_ rule: Int32, by others: Set<Int32>, _ ranked: RankedRegions) -> RuleVerdict {
        let (action, rate) = (policy.rules[Int(rule)].action, policy.rules[Int(rule)].rate)
        let agrees = others.allSatisfy { policy.rules[Int($0)].action == action && policy.rules[Int($0)].rate == rate }
        return .covered(by: others.sorted { (ranked.ranks[$0] ?? 0) < (ranked.ranks[$1] ?? 0) }, agrees: agrees)
    }
}

extension PolicyCheck {
    /// Why a rule matches nothing: the criterion that does so alone, if one does.
    private func emptiness(of rule: Rule, _ universe: PacketUniverse) -> RuleVerdict.Emptiness {
        if universe.kinds.isEmpty { return .ignored }
        let document = policy.document
        var lists = ListSets(policy)
        func isVoid(_ copy: (inout Rule) -> Void) -> Bool {
            var alone = Rule(
                name: rule.name, action: rule.action, priority: rule.priority, direction: rule.direction,
                position: rule.position)
            (alone.frame, alone.protocols) = (rule.frame, rule.protocols)
            copy(&alone)
            return !universe.kinds.contains {
                Region(alone, of: $0, in: universe, place: 0, &lists, policy) != nil
            }
        }
        if isVoid({ $0.protocols = nil }) { return document.engine.sanity.blockIPv6 ? .family : .tag }
        if isVoid({ _ in }) { return .header }
        for (key, end) in [("source", \Rule.source), ("destination", \Rule.destination)] {
            let side = rule[keyPath: end]
            if let list = side.addresses, isVoid({ $0[keyPath: end].addresses = list }) {
                if list.isInverted { return .excluded("\(key): addresses") }
                let isEmpty = document.addressLists[list.value].values.isEmpty
                return isEmpty ? .criterion("\(key): addresses") : .refused("\(key): addresses")
            }
            if let list = side.ports, isVoid({ $0[keyPath: end].ports = list }) {
                return list.isInverted ? .excluded("\(key): ports") : .criterion("\(key): ports")
            }
            if let list = side.macs, document.macLists[list.value].values.isEmpty, !list.isInverted {
                return .criterion("\(key): macs")
            }
        }
        if let interfaces = rule.interfaces, isVoid({ $0.interfaces = interfaces }) { return .ignored }
        if let schedule = rule.schedule, moments.allSatisfy({ $0.activity[0] >> UInt64(schedule) & 1 == 0 }) {
            let hours = document.schedules[schedule]
            return hours.end.map { .ended($0.text, hasSchedule: hours.hoursOf != nil) } ?? .schedule
        }
        return .criteria
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
}
