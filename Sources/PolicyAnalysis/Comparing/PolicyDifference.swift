// SPDX-License-Identifier: GPL-3.0-or-later

package import ConnectionTracking
package import FirewallPolicy
import PacketWire

/// Finds the packets that two policies decide differently.
///
/// A packet that no changed rule matches is decided alike by both: the rules that both have are asked in the same order, but for equal
/// actions of one priority, whose order decides nothing. So only the regions of the changed rules are looked at, and all packets where
/// what holds without a rule has changed. Each is split until one rule of either policy decides about the whole of a part.
package struct PolicyDifference {
    /// Packets that fare otherwise, all in the same way.
    package struct Part: Sendable {
        package let direction: Direction
        package let region: Region
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

    /// - Parameters:
    ///   - old: the policy before.
    ///   - new: the policy in its place.
    ///   - moments: of the two policies, in this order.
    ///   - budget: parts of regions looked at.
    ///   - goesOn: asked now and then; where it says no, the comparison is given up.
    package init(
        from old: Policy, to new: Policy, moments: [PacketUniverse.Moment] = [], budget: Int = 2_000_000,
        while goesOn: @escaping () -> Bool = { true }
    ) {
        self.old = old
        self.new = new
        self.moments = moments
        self.budget = budget
        self.goesOn = goesOn
        for direction in Direction.allCases { compare(direction) }
    }

    private mutating func compare(_ direction: Direction) {
        guard let universe = PacketUniverse([old, new], direction, moments: moments) else {
            isIncomplete = true
            return
        }
        let mine = RankedRegions(old, in: universe, place: 0)
        let theirs = RankedRegions(new, in: universe, place: 1)
        for kind in universe.kinds {
            var seen: [Region] = []
            for suspect in suspects(kind, mine, theirs, direction) {
                let fresh = seen.reduce(into: [suspect]) { parts, other in
                    parts = parts.flatMap { $0.intersects(other) ? $0.subtracting(other, in: universe) : [$0] }
                }
                for part in fresh { split(part, mine, theirs, universe) }
                seen.append(suspect)
                if !goesOn() { isIncomplete = true }
                if isIncomplete { return }
            }
        }
    }

    private func suspects(
        _ kind: PacketKind, _ mine: RankedRegions, _ theirs: RankedRegions, _ direction: Direction
    ) -> [Region] {
        if old.isRestrictive(direction) != new.isRestrictive(direction)
            || EffectSettings(old.document) != EffectSettings(new.document) || !kind.isIP
        {
            return [Region(kind)]
        }
        var counts: [Meaning: Int] = [:]
        for entry in mine.entries(of: kind) { counts[Meaning(entry, old), default: 0] += 1 }
        for entry in theirs.entries(of: kind) { counts[Meaning(entry, new), default: 0] -= 1 }
        return counts.filter { $0.value != 0 }.map(\.key.region)
    }

    /// Splits a region until either policy decides alike about the whole of each part.
    private mutating func split(
        _ region: Region, _ mine: RankedRegions, _ theirs: RankedRegions, _ universe: PacketUniverse
    ) {
        let bounds = Bounds(region)
        func meeting(_ ranked: RankedRegions) -> [RankedRegions.Entry] {
            ranked.entries(of: region.kind).filter { $0.bounds.overlap(bounds) && $0.region.intersects(region) }
        }
        let (first, second) = (meeting(mine), meeting(theirs))
        var stack = [(region, 0, 0)]
        while var (part, i, j) = stack.popLast() {
            budget -= 1
            if budget < 0 || budget & 0xff == 0 && !goesOn() {
                isIncomplete = true
                return
            }
            if let rest = advance(&i, in: first, over: part, universe) {
                stack += rest.outside.map { ($0, i + 1, j) }
                part = rest.inside
            }
            if let rest = advance(&j, in: second, over: part, universe) {
                stack += rest.outside.map { ($0, i, j + 1) }
                part = rest.inside
            }
            compare(part, universe)
        }
    }

    /// Goes on to the first rule that meets the part; where it does not match the whole of it, gives what it matches and the rest.
    private func advance(
        _ index: inout Int, in entries: [RankedRegions.Entry], over part: Region, _ universe: PacketUniverse
    ) -> (inside: Region, outside: [Region])? {
        while index < entries.count, !entries[index].region.intersects(part) { index += 1 }
        guard index < entries.count, !part.isSubset(of: entries[index].region) else { return nil }
        return (part.intersection(entries[index].region), part.subtracting(entries[index].region, in: universe))
    }

    /// All packets of the part are decided alike by one policy, but that TCP tells openings from other segments.
    private mutating func compare(_ part: Region, _ universe: PacketUniverse) {
        var pieces = [part]
        if part.kind.isTCP {
            let flags = part[.flags] ?? universe.domain(.flags, of: part.kind)
            pieces = [flags.intersection(Purpose.openings), flags.subtracting(Purpose.openings)].map { set in
                var piece = part
                piece[.flags] = set
                return piece
            }
        } else if part.kind == .other4, part[.protocolNumber]?.contains(UInt128(IPProtocol.igmp)) ?? true {
            // Nothing refuses IGMP but a rule that names it.
            let igmp = NumberSet(members: [Int(IPProtocol.igmp)])
            let numbers = part[.protocolNumber] ?? universe.domain(.protocolNumber, of: part.kind)
            pieces = [igmp, numbers.subtracting(igmp)].map { set in
                var piece = part
                piece[.protocolNumber] = set
                return piece
            }
        }
        for piece in pieces where !piece.isEmpty && !piece.goesToItself(in: universe) { judge(piece, universe) }
    }

    private mutating func judge(_ piece: Region, _ universe: PacketUniverse) {
        guard let witness = piece.witness(in: universe) else {
            isIncomplete = true
            return
        }
        let before = old.classify(witness.subject(of: old, place: 0))
        let after = new.classify(witness.subject(of: new, place: 1))
        let opens = piece.kind.isTCP && Purpose.openings.contains(witness[.flags])
        let direction = universe.direction
        let oldEffect = EffectSettings(old.document).effect(of: before.outcome, piece.kind, direction, opens: opens)
        let newEffect = EffectSettings(new.document).effect(of: after.outcome, piece.kind, direction, opens: opens)
        guard oldEffect != newEffect else { return }
        parts.append(
            Part(
                direction: direction, region: piece, text: piece.text(in: universe), old: before, new: after,
                oldEffect: oldEffect, newEffect: newEffect,
                witness: witness))
    }
}

/// What of a rule decides about packets of a kind.
private struct Meaning: Hashable {
    let action: RuleAction
    let priority: UInt8
    let region: Region

    init(_ entry: RankedRegions.Entry, _ policy: Policy) {
        action = policy.rules[Int(entry.rule)].action
        priority = policy.rules[Int(entry.rule)].priority
        region = entry.region
    }
}

extension PolicyDifference {
    package enum Verdict: String, Sendable {
        case equivalent
        case morePermissive = "more permissive"
        case moreRestrictive = "more restrictive"
        case both = "more permissive and more restrictive"
    }

    /// Of the rules' decisions.
    package var verdict: Verdict {
        let opens = parts.contains { $0.newEffect > $0.oldEffect }
        let closes = parts.contains { $0.newEffect < $0.oldEffect }
        return opens ? (closes ? .both : .morePermissive) : closes ? .moreRestrictive : .equivalent
    }
}
