// SPDX-License-Identifier: GPL-3.0-or-later

/// Which of the rules that are asked before a rule decide about all that it is there for, over all kinds of packets.
struct RuleCover {
    enum Answer {
        /// Of these none can be left out.
        case covered(by: Set<Int32>)
        case open(Region)
        case undecided
    }

    /// What the rule is there for of one kind of packets, and how many rules of that kind are asked before it.
    private struct Part {
        let kind: PacketKind
        let region: Region
        let limit: Int
    }

    private let ranked: RankedRegions
    private let universe: PacketUniverse
    private let budget: Int
    private let parts: [Part]

    init(
        _ regions: [(RankedRegions.Place, Region)], _ ranked: RankedRegions, _ universe: PacketUniverse, budget: Int
    ) {
        self.ranked = ranked
        self.universe = universe
        self.budget = budget
        parts = regions.map { place, region in
            Part(kind: place.kind, region: region, limit: place.index)
        }
    }

    func answer() -> Answer {
        if let one = single { return .covered(by: [one]) }
        var needed: Set<Int32> = []
        for part in parts {
            switch covers(part, by: ranked.meeting(part.region, before: part.limit)) {
            case .covered(let used): needed.formUnion(used.map { ranked.entries(of: part.kind)[$0].rule })
            case .open(let rest): return .open(rest)
            case .undecided: return .undecided
            }
        }
        return least(needed)
    }

    /// One rule that covers everything, as there mostly is.
    var single: Int32? {
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

    /// Leaves out what can be, those with the least share first.
    private func least(_ cover: Set<Int32>) -> Answer {
        var needed = cover
        let before = parts.map { part in
            cover.sorted().compactMap { rule in
                ranked.position(of: rule, in: part.kind).map(\.index).flatMap { $0 < part.limit ? $0 : nil }
            }
        }
        let shares = cover.map { rule in
            (rule, parts.reduce(0) { $0 + share(of: rule, in: $1) })
        }
        for (rule, _) in shares.sorted(by: { ($0.1, $1.0) < ($1.1, $0.0) }) where needed.count > 1 {
            let others = needed.subtracting([rule])
            var isCovered = true
            for (part, before) in zip(parts, before) where isCovered {
                let entries = ranked.entries(of: part.kind)
                switch covers(part, by: before.filter { others.contains(entries[$0].rule) }) {
                case .covered: break
                case .open: isCovered = false
                case .undecided: return .undecided
                }
            }
            if isCovered { needed = others }
        }
        return .covered(by: needed)
    }

    private func share(of rule: Int32, in part: Part) -> Double {
        ranked.position(of: rule, in: part.kind).map { part.region.share($0.region, in: universe) } ?? 0
    }

    private func covers(_ part: Part, by indices: [Int]) -> Coverage.Answer {
        var coverage = Coverage(ranked, part.kind, budget: budget)
        return coverage.covers(part.region, by: indices)
    }
}
