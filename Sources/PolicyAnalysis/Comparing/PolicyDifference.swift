// SPDX-License-Identifier: GPL-3.0-or-later

package import ConnectionTracking
package import FirewallPolicy
import PacketWire

/// Finds the packets that two policies decide differently.
///
/// Two rules decide about a packet, one of either policy, or none does. For each two that do not do the same, `Coverage` is asked for a
/// packet about which just these decide. Few come into question: rules that both policies have are asked in the same order, but for
/// equal actions of one priority, whose order decides nothing; so one of the two is a rule that only one policy has, unless a setting
/// makes the same rule do something else.
package struct PolicyDifference {
    /// Packets that fare otherwise, all by the same two rules. No packet is in two parts.
    package struct Part: Sendable {
        package let direction: Direction
        /// What packets they are, shortly.
        package let text: String
        package let old: RuleDecision
        package let new: RuleDecision
        package let oldEffect: Effect
        package let newEffect: Effect
        package let witness: Witness
    }

    let old: Policy
    let new: Policy
    private let moments: [PacketUniverse.Moment]
    private var budget: Int
    private let goesOn: () -> Bool
    package private(set) var parts: [Part] = []
    /// The work was bounded, and it did not suffice: there may be more.
    package private(set) var isIncomplete = false
    /// Regions of packets that the rules decide differently, where an engine decided otherwise, or before them, about each packet that
    /// was tried.
    package private(set) var unconfirmed = 0
    private let judges: (old: WitnessJudge, new: WitnessJudge)
    private let listClasses: ListClasses

    /// - Parameters:
    ///   - old: the policy before.
    ///   - new: the policy in its place.
    ///   - moments: of the two policies, in this order.
    ///   - budget: parts of regions looked at; those with long sets count more than once.
    ///   - longList: lists of more addresses are classes of addresses in the regions; nil: what is best.
    ///   - goesOn: asked now and then; where it says no, the comparison is given up.
    package init(
        from old: Policy, to new: Policy, moments: [PacketUniverse.Moment] = [], budget: Int = 2_000_000,
        longList: Int? = nil, while goesOn: @escaping () -> Bool = { true }
    ) {
        self.old = old
        self.new = new
        self.moments = moments
        self.budget = budget
        self.goesOn = goesOn
        judges = (WitnessJudge(old), WitnessJudge(new))
        listClasses = ListClasses([old, new], longerThan: longList)
        for direction in Direction.allCases { compare(direction) }
    }

    private mutating func compare(_ direction: Direction) {
        guard let universe = PacketUniverse([old, new], direction, moments: moments, listClasses) else {
            isIncomplete = true
            return
        }
        let mine = RankedRegions(old, in: universe, place: 0)
        let theirs = RankedRegions(new, in: universe, place: 1)
        for kind in universe.kinds {
            let rules = PairedRules(kind, mine, theirs)
            for region in universe.classes(of: Region(kind)) {
                rules.suspects(in: region) { pair in
                    look(at: pair, rules, universe)
                    if !goesOn() { isIncomplete = true }
                    return !isIncomplete
                }
                if isIncomplete { return }
            }
        }
    }

    private mutating func look(at pair: PairedRules.Pair, _ rules: PairedRules, _ universe: PacketUniverse) {
        budget -= pair.region.weight
        if rules.isCovered(pair) { return }
        let before = rules.before(pair)
        var coverage = Coverage(entries: rules.entries, bounds: rules.bounds, universe: universe, budget: budget)
        let answer = coverage.covers(pair.region, by: before)
        budget = coverage.budget
        guard case .open(let part) = answer, var witness = part.witness(in: universe) else {
            if case .undecided = answer { isIncomplete = true }
            return
        }
        let decisions = (
            old.classify(witness.subject(of: old, place: 0)), new.classify(witness.subject(of: new, place: 1))
        )
        let opens = part.kind.isTCP && Purpose.openings.contains(witness[.flags])
        let effects = (
            rules.settings.old.effect(
                of: decisions.0.outcome, part.kind, universe.direction, opens: opens, isRated: old.isRated(decisions.0)),
            rules.settings.new.effect(
                of: decisions.1.outcome, part.kind, universe.direction, opens: opens, isRated: new.isRated(decisions.1))
        )
        guard effects.0 != effects.1 else { return }
        guard let confirmed = confirmed(witness, in: part, universe, decisions, effects) else {
            unconfirmed += 1
            return
        }
        witness = confirmed
        parts.append(
            Part(
                direction: universe.direction,
                text: pair.region.text(in: universe) + (before.isEmpty ? "" : ", but for what other rules decide"),
                old: decisions.0, new: decisions.1, oldEffect: effects.0, newEffect: effects.1, witness: witness))
    }

    /// So many packets of a region are tried.
    private static let mostTried = 64

    /// A packet of a region that fares with both policies as their rules decide.
    private func confirmed(
        _ first: Witness, in region: Region, _ universe: PacketUniverse, _ decisions: (RuleDecision, RuleDecision),
        _ effects: (Effect, Effect)
    ) -> Witness? {
        for variant in 0..<Self.mostTried {
            guard let witness = variant == 0 ? first : region.witness(in: universe, variant: variant) else { continue }
            if judges.old.confirms(witness, decisions.0, effects.0),
                judges.new.confirms(witness, decisions.1, effects.1)
            {
                return witness
            }
        }
        return nil
    }
}

extension PolicyDifference {
    package enum Verdict: String, Sendable {
        case equivalent
        case morePermissive = "more permissive"
        case moreRestrictive = "more restrictive"
        case both = "more permissive and more restrictive"
    }

    /// The verdict, where there is one: of what was not compared to its end only what was found is said.
    package var conclusion: String {
        if !isUndecided { return verdict.rawValue }
        return
            (isIncomplete
            ? "not decided within the budget" : "not decided: no packet was found that both let come to their rules")
            + (parts.isEmpty ? "" : "; as far as it was compared \(verdict.rawValue)")
    }

    /// There may be more than was found.
    package var isUndecided: Bool { isIncomplete || unconfirmed > 0 }

    /// Of the rules' decisions, as far as they were compared.
    package var verdict: Verdict {
        let rates = rates
        let opens = parts.contains { $0.newEffect > $0.oldEffect } || rates.contains { $0.admitsMore }
        let closes = parts.contains { $0.newEffect < $0.oldEffect } || rates.contains { $0.admitsLess }
        return opens ? (closes ? .both : .morePermissive) : closes ? .moreRestrictive : .equivalent
    }
}
