// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire
import PolicyFile

/// What suggested rules would admit besides what was seen, by the regions by which `check` and `diff` judge rules: what a rule matches,
/// less what rules before it decide, less what the policy admits without it, less what was seen.
struct RuleExtents {
    private let old: Policy
    private let new: Policy
    private let judge: WitnessJudge
    private let settings: EffectSettings
    private var ranked: [Direction: (old: RankedRegions, new: RankedRegions)] = [:]

    /// So many parts of regions are looked at for one rule.
    private static let mostParts = 4_096

    /// `time`: from which on schedules are looked at, in seconds since 1970.
    init(_ old: Policy, _ new: Policy, from time: Int64) {
        self.old = old
        self.new = new
        judge = WitnessJudge(new)
        settings = EffectSettings(old.document)
        let moments = PacketUniverse.moments(
            [old, new].map { ($0, SystemTimeZones.zones(of: $0.document)) }, from: time)
        for direction in Direction.allCases {
            guard let universe = PacketUniverse([old, new], direction, moments: moments) else { continue }
            ranked[direction] = (
                RankedRegions(old, in: universe, place: 0), RankedRegions(new, in: universe, place: 1)
            )
        }
    }

    /// - Parameters:
    ///   - rule: what is suggested.
    ///   - index: its place in the rules of the new policy.
    /// - Returns: what it would admit besides.
    func extent(of rule: SuggestedRule, at index: Int32) -> SuggestedRule.Extent {
        var extent = SuggestedRule.Extent()
        guard let (before, after) = ranked[rule.direction] else {
            extent.isUndecided = true
            return extent
        }
        let universe = after.universe
        var (peers, pairs) = (UInt128(0), UInt128(0))
        var portsAdded: Set<UInt16> = []
        let ports = Set(rule.ports.joined())
        let portsSeen = Set(rule.attempts.compactMap { $0.attempt.port })
        for kind in universe.kinds {
            guard let place = after.position(of: index, in: kind) else { continue }
            guard let parts = added(by: place, before, after) else {
                extent.isUndecided = true
                return extent
            }
            let seen = Seen(rule, kind)
            portsAdded.formUnion(
                ports.subtracting(portsSeen).filter { port in
                    parts.contains { $0[.destinationPort]?.contains(UInt128(port)) ?? true }
                })
            if extent.example == nil { extent.example = example(parts, seen, universe) }
            guard !rule.isForEverybody else { continue }
            let (more, morePairs) = seen.missing(in: parts, rule)
            peers = peers.added(more)
            pairs = pairs.added(morePairs)
        }
        if !rule.isForEverybody { (extent.peers, extent.pairs) = (peers, pairs) }
        extent.ports = portsAdded.count
        return extent
    }

    /// What a rule admits that the old policy does not; nil where that are too many parts.
    private func added(by place: RankedRegions.Place, _ before: RankedRegions, _ after: RankedRegions) -> [Region]? {
        var region = place.region
        if place.kind.isTCP { region.narrow(.flags, to: Purpose.openings) }
        guard !region.isEmpty else { return [] }
        var parts = after.universe.judged(region)
        for index in after.meeting(region, before: place.index).sorted() {
            parts = Self.without(after.entries(of: place.kind)[index].region, parts, after.universe)
            if parts.count > Self.mostParts { return nil }
        }
        return refused(parts, in: region, before)
    }

    /// What of some packets the old policy refuses; nil as above.
    private func refused(_ parts: [Region], in region: Region, _ ranked: RankedRegions) -> [Region]? {
        var (rest, refused) = (parts, [Region]())
        for index in ranked.meeting(region).sorted() {
            let entry = ranked.entries(of: region.kind)[index]
            let outcome = RuleOutcome(old.rules[Int(entry.rule)].action)
            if !isAdmitted(outcome, region.kind, ranked) {
                refused += rest.map { $0.intersection(entry.region) }.filter {
                    !$0.isEmpty && !$0.isVoid(in: ranked.universe)
                }
            }
            rest = Self.without(entry.region, rest, ranked.universe)
            if rest.count + refused.count > Self.mostParts { return nil }
        }
        // Of what no rule matches all fares alike, but for protocols that need none.
        refused += rest.filter { part in
            guard let witness = part.witness(in: ranked.universe) else { return false }
            return !isAdmitted(old.classify(witness.subject(of: old, place: 0)).outcome, region.kind, ranked)
        }
        return refused
    }

    private func isAdmitted(_ outcome: RuleOutcome, _ kind: PacketKind, _ ranked: RankedRegions) -> Bool {
        settings.effect(of: outcome, kind, ranked.universe.direction, opens: true, isRated: false) >= .admit
    }

    private static func without(_ region: Region, _ parts: [Region], _ universe: PacketUniverse) -> [Region] {
        parts.flatMap { $0.intersects(region) ? $0.subtracting(region, in: universe) : [$0] }
            .filter { !$0.isEmpty && !$0.isVoid(in: universe) }
    }

    /// A packet that was not seen and would be admitted.
    private func example(_ parts: [Region], _ seen: Seen, _ universe: PacketUniverse) -> PacketWords? {
        for part in parts {
            var other = part
            let peers = part[seen.dimension] ?? universe.domain(seen.dimension, of: part.kind)
            other[seen.dimension] = peers.subtracting(seen.peers)
            for region in [other, part] where !region.isEmpty && !region.isVoid(in: universe) {
                guard let witness = region.witness(in: universe), !seen.has(witness) else { continue }
                let decision = new.classify(witness.subject(of: new, place: 1))
                if judge.confirms(witness, decision) { return PacketWords(witness) }
            }
        }
        return nil
    }
}

/// What was seen of one kind of packets for a rule.
private struct Seen {
    let dimension: Dimension
    private(set) var peers = NumberSet.empty
    private var byPort: [UInt16: NumberSet] = [:]

    init(_ rule: SuggestedRule, _ kind: PacketKind) {
        dimension = rule.direction == .incoming ? .source : .destination
        var all: [NumberSet.Interval] = []
        var at: [UInt16: [NumberSet.Interval]] = [:]
        for (attempt, _) in rule.attempts where attempt.isIPv6 == kind.isIPv6 {
            let number = attempt.peer.number(isIPv6: attempt.isIPv6)
            let peer = NumberSet.Interval(first: number, last: number)
            all.append(peer)
            switch attempt.service {
            case .tcp(let port) where kind.isTCP: at[port, default: []].append(peer)
            case .udp(let port) where kind.isUDP: at[port, default: []].append(peer)
            default: break
            }
        }
        peers = NumberSet(all)
        byPort = at.mapValues { NumberSet($0) }
    }

    func has(_ witness: Witness) -> Bool {
        let number = NumberSet(witness[dimension]...witness[dimension])
        guard witness.kind.isTCP || witness.kind.isUDP else { return number.isSubset(of: peers) }
        return byPort[witness.destinationPort].map { number.isSubset(of: $0) } ?? false
    }

    /// How many computers, and how many pairs of computer and port, are in the parts and were not seen.
    func missing(in parts: [Region], _ rule: SuggestedRule) -> (peers: UInt128, pairs: UInt128) {
        var (all, pairs) = (NumberSet.empty, UInt128(0))
        let ports: [UInt16?] = rule.ports.isEmpty ? [nil] : rule.ports.flatMap { $0.map { Optional($0) } }
        for port in ports {
            var admitted = NumberSet.empty
            for part in parts {
                if let port, let set = part[.destinationPort], !set.contains(UInt128(port)) { continue }
                admitted = NumberSet(admitted.intervals + (part[dimension]?.intervals ?? []))
            }
            let before = port.map { byPort[$0] ?? .empty } ?? peers
            pairs = pairs.added(admitted.subtracting(before).exactSize)
            all = NumberSet(all.intervals + admitted.intervals)
        }
        return (all.subtracting(peers).exactSize, pairs)
    }
}

extension Attempt {
    fileprivate var port: UInt16? {
        switch service {
        case .tcp(let port), .udp(let port): port
        case .icmp, .other: nil
        }
    }
}

extension NumberSet {
    fileprivate var exactSize: UInt128 { intervals.reduce(0) { $0.added(($1.last - $1.first).added(1)) } }
}

extension UInt128 {
    fileprivate func added(_ other: UInt128) -> UInt128 {
        let (sum, overflows) = addingReportingOverflow(other)
        return overflows ? .max : sum
    }
}
