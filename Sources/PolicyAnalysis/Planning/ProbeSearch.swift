// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ConnectionTracking
import FirewallPolicy
import PacketWire

/// Finds the probes of one rule after the other.
struct ProbeSearch {
    private let ranked: RankedRegions
    private let reach: ProbeReach
    private let judge: WitnessJudge
    /// What can be sent of each kind that gets as far as the rules.
    private let sendable: [Region]
    /// What nobody chooses of a probe that is sent.
    private static let unknown: [Dimension] = [.sourcePort, .sourceMAC, .interface, .sender]
    /// Parts of regions looked at for one rule.
    private static let budget = 100_000

    private var policy: Policy { ranked.policy }
    private var universe: PacketUniverse { ranked.universe }

    init(_ ranked: RankedRegions, _ reach: ProbeReach) {
        self.ranked = ranked
        self.reach = reach
        judge = WitnessJudge(ranked.policy)
        sendable = reach.kinds.filter(ranked.universe.kinds.contains).compactMap {
            reach.region(of: $0, in: ranked.universe)
        }
    }

    typealias Point = (probe: PlannedProbe, decider: Int32, purpose: ProbePurpose)

    /// One inside and one outside each border; none where no probe is decided by the rule.
    func points(of rule: Int32) -> [Point] {
        sendable.flatMap { points(of: rule, in: $0) }
    }

    private func points(of rule: Int32, in sendable: Region) -> [Point] {
        guard let place = ranked.position(of: rule, in: sendable.kind), place.region.hasAll(of: sendable, Self.unknown),
            let inside = nonEmpty(place.region.intersection(sendable)), let base = decided(by: rule, place, inside)
        else { return [] }
        var points: [Point] = [point(base, rule, ProbePurpose(rule: rule, isInside: true, border: .port))].compactMap {
            $0
        }
        for (dimension, border) in [
            (Dimension.destinationPort, ProbePurpose.Border.port), (.source, .source), (.destination, .destination),
        ] {
            let all = sendable[dimension] ?? .empty
            let own = inside[dimension] ?? all
            let isWhole = all.isSubset(of: own)
            for interval in own.intervals.prefix(PolicyPlan.mostIntervals) {
                for edge in Set([interval.first, interval.last]).sorted()
                where !isWhole {
                    guard let found = self.inside(edge, dimension, base, rule, place, inside) else { continue }
                    points += [point(found, rule, ProbePurpose(rule: rule, isInside: true, border: border))].compactMap
                    { $0 }
                }
                for beyond in [all.last(before: interval.first), all.first(after: interval.last)] {
                    guard let beyond, !own.contains(beyond) else { continue }
                    let outside = base.fixed(dimension, beyond)
                    points += [point(outside, nil, ProbePurpose(rule: rule, isInside: false, border: border))]
                        .compactMap { $0 }
                }
            }
        }
        return points
    }

    /// A probe at an edge: the base moved there if the rule decides about that too, or another one.
    private func inside(
        _ edge: UInt128, _ dimension: Dimension, _ base: Region, _ rule: Int32, _ place: RankedRegions.Place,
        _ inside: Region
    ) -> Region? {
        let moved = base.fixed(dimension, edge)
        if decider(of: moved) == rule { return moved }
        return decided(by: rule, place, inside.fixed(dimension, edge))
    }

    private func nonEmpty(_ region: Region) -> Region? { region.isEmpty ? nil : region }

    /// A probe of a region about which the rule decides, with its addresses and port fixed.
    private func decided(by rule: Int32, _ place: RankedRegions.Place, _ region: Region) -> Region? {
        let cover = RuleCover(rule, [(place, region)], ranked, judge, budget: Self.budget)
        let found: Witness?
        if let witness = cover.witness(in: region) {
            found = witness
        } else if case .open(let witness) = cover.answer() {
            found = witness
        } else {
            found = nil
        }
        guard let found else { return nil }
        var probe = region
        for dimension in [Dimension.source, .destination, .destinationPort] {
            probe[dimension] = NumberSet(found[dimension]...found[dimension])
        }
        return decider(of: probe) == rule ? probe : nil
    }

    /// The rule that decides about all packets that a probe may be, -1 where none does; nil where that depends on what is not known.
    private func decider(of probe: Region) -> Int32? {
        guard let witness = universe.judged(probe).first?.witness(in: universe) else { return nil }
        let decider = policy.classify(witness.subject(of: policy)).rule
        let rank = ranked.ranks[decider] ?? .max
        let entries = ranked.entries(of: probe.kind)
        let isKnown = ranked.meeting(probe).allSatisfy { place in
            (ranked.ranks[entries[place].rule] ?? .max) > rank || entries[place].region.hasAll(of: probe, Self.unknown)
        }
        return isKnown ? decider : nil
    }

    private func point(_ probe: Region, _ rule: Int32?, _ purpose: ProbePurpose) -> Point? {
        guard let decider = decider(of: probe), rule == nil || rule == decider, let source = probe[.source]?.first,
            let destination = probe[.destination]?.first, let port = probe[.destinationPort]?.first
        else { return nil }
        let kind = probe.kind
        let planned = PlannedProbe(
            isTCP: kind.isTCP, source: IPAddress(number: source, of: kind),
            destination: IPAddress(number: destination, of: kind), port: UInt16(port), isIPv6: kind.isIPv6)
        return (planned, decider, purpose)
    }
}

extension ProbeSearch {
    /// Why no probe tells about a rule.
    func obstacle(of index: Int32) -> String {
        let rule = policy.rules[Int(index)]
        if !rule.isEnabled { return "it is off" }
        if rule.action == .logOnly { return "it decides nothing" }
        if rule.direction != reach.direction {
            return "it is about \(rule.direction.word) packets, and the probes are \(reach.direction.word) there"
        }
        let places = sendable.compactMap { probe in
            ranked.position(of: index, in: probe.kind).map { (place: $0, probe: probe) }
        }
        if sendable.isEmpty {
            return
                "nothing that can be sent gets as far as the rules there: interfaces.ignore or engine.sanity decides before"
        }
        guard !places.isEmpty else { return "it matches no TCP or UDP packet of this family" }
        let wanted: [(Dimension, String)] = [
            (.flags, "it matches no SYN"),
            (.source, "none of the addresses that probes are sent from is among its sources"),
            (.destination, "the target is not among its destinations"), (.hour, "its schedule does not hold now"),
            (.destinationPort, "no port of a listener is among its destination ports"),
            (.destinationMAC, "it asks for MAC addresses that no probe is known to have"),
        ]
        for (dimension, reason) in wanted
        where places.allSatisfy({ !$0.place.region.meets($0.probe, dimension, universe) }) { return reason }
        let unknown: [(Dimension, String)] = [
            (
                .sourcePort,
                "it asks for source ports, and probes are sent from others too: --source-ports names those that they are sent from"
            ),
            (.sourceMAC, "it asks for a MAC address, which is that of the last router"),
            (.sender, "it asks who of this host sends, and it is not known who runs the scan"),
            (
                .interface,
                reach.interface == nil
                    ? "it asks for interfaces, and it is not known by which one the probes pass: --interface says so"
                    : "it asks for another interface"
            ),
        ]
        for (dimension, reason) in unknown
        where places.allSatisfy({ !$0.place.region.hasAll(of: $0.probe, [dimension]) }) {
            return reason
        }
        return coveredBy(index, places.map { ($0.place, $0.place.region.intersection($0.probe)) })
    }

    private func coveredBy(_ rule: Int32, _ parts: [(RankedRegions.Place, Region)]) -> String {
        let useful = parts.filter { !$0.1.isEmpty }
        guard !useful.isEmpty else { return "no probe meets all its criteria" }
        if case .covered(let others) = RuleCover(rule, useful, ranked, judge, budget: Self.budget).answer() {
            let names = others.sorted().prefix(3).map { policy.rules[Int($0)].place }.joined(separator: ", ")
            let more = others.count > 3 ? " and \(others.count - 3) more" : ""
            return "all probes that it matches are decided before, by \(names)\(more)"
        }
        return "whether it decides depends on what is not known of a probe before it is sent"
    }
}

extension Region {
    /// Whether it has all that another one of its kind may be in these fields.
    fileprivate func hasAll(of other: Region, _ dimensions: [Dimension]) -> Bool {
        dimensions.allSatisfy { dimension in
            guard let mine = self[dimension] else { return true }
            return other[dimension].map { $0.isSubset(of: mine) } ?? false
        }
    }

    fileprivate func meets(_ other: Region, _ dimension: Dimension, _ universe: PacketUniverse) -> Bool {
        guard let mine = self[dimension] else { return true }
        return mine.intersects(other[dimension] ?? universe.domain(dimension, of: kind))
    }

    /// With one number in a field.
    fileprivate func fixed(_ dimension: Dimension, _ number: UInt128) -> Region {
        var region = self
        region[dimension] = NumberSet(number...number)
        return region
    }
}

extension NumberSet {
    /// The greatest member below a number.
    fileprivate func last(before number: UInt128) -> UInt128? {
        guard let interval = intervals.last(where: { $0.first < number }) else { return nil }
        return interval.last < number ? interval.last : number - 1
    }

    /// The least member above it.
    fileprivate func first(after number: UInt128) -> UInt128? {
        guard let interval = intervals.first(where: { $0.last > number }) else { return nil }
        return interval.first > number ? interval.first : number + 1
    }
}
