// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import PacketWire

/// The rules of two policies that match packets of a kind, and which of either mean the same.
struct PairedRules {
    /// Two rules that may decide about the same packet, by their places in either policy; nil: none decides.
    struct Pair {
        let old: Int?
        let new: Int?
        /// What both match.
        let region: Region
    }

    let settings: (old: EffectSettings, new: EffectSettings)
    /// Of the old policy, and then those of the new one.
    let entries: [RankedRegions.Entry]
    let bounds: [Bounds]
    private let kind: PacketKind
    private let mine: RankedRegions
    private let theirs: RankedRegions
    /// Where the same rule stands in the other policy.
    private let inNew: [Int?]
    private let inOld: [Int?]

    init(_ kind: PacketKind, _ mine: RankedRegions, _ theirs: RankedRegions) {
        self.kind = kind
        self.mine = mine
        self.theirs = theirs
        settings = (EffectSettings(mine.policy.document), EffectSettings(theirs.policy.document))
        let (old, new) = (mine.entries(of: kind), theirs.entries(of: kind))
        entries = old + new
        bounds = mine.bounds[kind.rawValue] + theirs.bounds[kind.rawValue]
        var places: [Meaning: [Int]] = [:]
        for (place, entry) in new.enumerated().reversed() {
            places[Meaning(entry, theirs.policy), default: []].append(place)
        }
        var inNew = [Int?](repeating: nil, count: old.count)
        var inOld = [Int?](repeating: nil, count: new.count)
        for (place, entry) in old.enumerated() {
            guard let same = places[Meaning(entry, mine.policy)]?.popLast() else { continue }
            inNew[place] = same
            inOld[same] = place
        }
        self.inNew = inNew
        self.inOld = inOld
    }

    /// Looks at the pairs of which a difference may come, within a class of packets, one after another: what two rules with long lists have
    /// in common is long too. Ends where the look says so.
    func suspects(in packets: Region, _ look: (Pair) -> Bool) {
        let (old, new) = (mine.entries(of: kind), theirs.entries(of: kind))
        var goesOn = true
        func suspect(_ first: Int?, _ second: Int?) {
            guard goesOn,
                effect(of: first, in: mine, settings.old, packets)
                    != effect(of: second, in: theirs, settings.new, packets)
                    || !kind.isIP
            else { return }
            var region = packets
            if let first { region = region.intersection(old[first].region) }
            if let second, first == nil || inNew[first ?? 0] != second {
                region = region.intersection(new[second].region)
            }
            if !region.isEmpty { goesOn = look(Pair(old: first, new: second, region: region)) }
        }
        for place in old.indices where goesOn {
            guard inNew[place] == nil else {
                suspect(place, inNew[place])
                continue
            }
            // A rule of both that stands before this one would have decided.
            for other in theirs.meeting(old[place].region) where inOld[other] ?? .max > place { suspect(place, other) }
            suspect(place, nil)
        }
        for place in new.indices where goesOn && inOld[place] == nil {
            for other in mine.meeting(new[place].region) {
                if let same = inNew[other], same > place { suspect(other, place) }
            }
            suspect(nil, place)
        }
        suspect(nil, nil)
    }

    /// Where the pair is one rule, others of its rank in the new policy do the same.
    private func isOne(_ pair: Pair) -> Bool { pair.old.map { pair.new != nil && inNew[$0] == pair.new } ?? false }

    /// Whether one rule that decides before one of a pair leaves nothing of it: most pairs are settled by that.
    func isCovered(_ pair: Pair) -> Bool {
        mine.container(of: pair.region, before: pair.old ?? .max) != nil
            || !isOne(pair) && theirs.container(of: pair.region, before: pair.new ?? .max) != nil
    }

    /// The places in `entries` of rules that decide before one of a pair does.
    func before(_ pair: Pair) -> [Int] {
        let ends = (pair.old ?? .max, pair.new ?? .max)
        let first = mine.meeting(pair.region, before: ends.0)
        let isOne = isOne(pair)
        let count = mine.entries(of: kind).count
        let second = theirs.meeting(pair.region, before: ends.1).filter { place in
            if let same = inOld[place] { return same > ends.0 && !(isOne && isOfOneRank(same, ends.0)) }
            return true
        }
        return first + second.map { $0 + count }
    }

    private func isOfOneRank(_ place: Int, _ other: Int) -> Bool {
        let rules = [place, other].map { mine.policy.rules[Int(mine.entries(of: kind)[$0].rule)] }
        return rules[0].priority == rules[1].priority && rules[0].action == rules[1].action
            && rules[0].rate == rules[1].rate
    }

    /// What a rule does with packets of a class, or what is done without one.
    private func effect(
        of place: Int?, in ranked: RankedRegions, _ settings: EffectSettings, _ packets: Region
    ) -> Effect {
        let direction = ranked.universe.direction
        let outcome: RuleOutcome
        var isRated = false
        if let place {
            let rule = Int(ranked.entries(of: kind)[place].rule)
            outcome = RuleOutcome(ranked.policy.rules[rule].action)
            isRated = ranked.policy.rules[rule].rate != nil
        } else {
            let igmp = NumberSet(members: [Int(IPProtocol.igmp)])
            let isExempt = kind == .icmp6 || kind == .discovery6 || packets[.protocolNumber] == igmp
            outcome = ranked.policy.isRestrictive(direction) && !isExempt ? .implicitDeny : .noMatch
        }
        let opens = packets[.flags] == Purpose.openings
        return settings.effect(of: outcome, kind, direction, opens: opens, isRated: isRated)
    }
}

/// What of a rule decides about packets of a kind.
private struct Meaning: Hashable {
    let action: RuleAction
    let priority: UInt8
    let isRated: Bool
    let region: Region

    init(_ entry: RankedRegions.Entry, _ policy: Policy) {
        action = policy.rules[Int(entry.rule)].action
        priority = policy.rules[Int(entry.rule)].priority
        isRated = policy.rules[Int(entry.rule)].rate != nil
        region = entry.region
    }
}
