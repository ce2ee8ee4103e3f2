// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy

extension RuleCover {
    /// Most questions are answered after a few packets; what has taken so many is better held against all regions at once.
    private static let mostAsked = 1_000

    enum Asked {
        case open(Witness)
        /// By these, and perhaps by fewer.
        case covered(by: Set<Int32>)
        case undecided
    }

    /// Asks the classifier about some packet of what is left. Either the rule itself decides, or another one does, all packets of which
    /// are then left out, until nothing is left. As nothing is claimed but what the classifier has said of a packet, or what two regions
    /// say, the answer is exact; rules that nobody would meet by chance are never looked at, however many there are.
    func asked() -> Asked {
        var used: Set<Int32> = []
        var count = 0
        for part in parts {
            var stack = universe.judged(part.region)
            while let rest = stack.popLast() {
                if rest.isVoid(in: universe) { continue }
                count += 1
                guard count <= Self.mostAsked, let packet = rest.witness(in: universe, variant: 2 + count) else {
                    return .undecided
                }
                let decider = decider(of: packet)
                if decider == rule {
                    return confirmed(packet, in: rest).map { .open($0) } ?? .undecided
                }
                guard let place = ranked.position(of: decider, in: part.kind), place.index < part.limit else {
                    return .undecided
                }
                used.insert(decider)
                // What is largest is looked at first: there most likely some packet is left.
                stack += rest.subtracting(place.region, in: universe).map { ($0.share(of: rest, in: universe), $0) }
                    .sorted { $0.0 < $1.0 }.map(\.1)
            }
        }
        return .covered(by: used)
    }

    /// A packet of a region about which the rule decides: one that people would think of first, or one at an edge.
    func witness(in region: Region) -> Witness? { witness(in: region, variants: 0..<3) }

    private func witness(in region: Region, variants: Range<Int>) -> Witness? {
        for part in universe.judged(region) {
            for variant in variants {
                if let witness = part.witness(in: universe, variant: variant), decider(of: witness) == rule,
                    isConfirmed(witness)
                {
                    return witness
                }
            }
        }
        return nil
    }

    /// So many packets are tried where the engine decides before the rules about the one that was found.
    private static let mostTried = 64

    /// The packet as people would think of it first, or it, or another one of the region.
    private func confirmed(_ packet: Witness, in region: Region) -> Witness? {
        let usual = usual(packet, in: region)
        if isConfirmed(usual) { return usual }
        return isConfirmed(packet) ? packet : witness(in: region, variants: 0..<Self.mostTried)
    }

    /// A packet like one about which the rule decides, with what people would think of first in each field where it still decides.
    private func usual(_ packet: Witness, in region: Region) -> Witness {
        var (like, found) = (Region(region.kind), packet)
        for dimension in region.kind.dimensions { like[dimension] = NumberSet(packet[dimension]...packet[dimension]) }
        for dimension in region.kind.dimensions {
            var wider = like
            wider[dimension] = region[dimension]
            // Another address may be of another class.
            if dimension == .source || dimension == .destination {
                wider[dimension.ofClasses] = region[dimension.ofClasses]
            }
            guard let other = wider.witness(in: universe), decider(of: other) == rule else { continue }
            (like, found) = (wider, other)
        }
        return found
    }

    private func decider(of witness: Witness) -> Int32 {
        ranked.policy.classify(witness.subject(of: ranked.policy, place: ranked.place)).rule
    }
}
