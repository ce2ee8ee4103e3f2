// SPDX-License-Identifier: GPL-3.0-or-later

/// Whether regions together cover another one, exactly: what is outside one of them is held against the others, depth first. Most
/// questions are answered by a few regions; the worst take exponential time, so the work is bounded, and beyond the bound there is no
/// answer.
struct Coverage {
    enum Answer {
        /// By those with these indices, of which each was needed on the way; another set may do too.
        case covered(by: Set<Int>)
        /// A part that none of them meets.
        case open(Region)
        case undecided
    }

    let entries: [RankedRegions.Entry]
    /// Of the entries.
    let bounds: [Bounds]
    let universe: PacketUniverse
    /// How many parts are looked at; a part whose sets are long counts more than once.
    var budget: Int

    /// `indices`: of the entries that count.
    mutating func covers(_ region: Region, by indices: [Int]) -> Answer {
        var stack = [(region, indices)]
        var used: Set<Int> = []
        while let (part, candidates) = stack.popLast() {
            budget -= 1 + part.weight
            if budget < 0 { return .undecided }
            let wanted = Bounds(part)
            let meeting = candidates.filter { bounds[$0].overlap(wanted) && entries[$0].region.intersects(part) }
            if let whole = meeting.first(where: { part.isSubset(of: entries[$0].region) }) {
                used.insert(whole)
                continue
            }
            guard let best = largest(of: meeting, within: part) else {
                guard let judged = universe.judged(part).first else { continue }
                return .open(judged)
            }
            used.insert(best)
            let others = meeting.filter { $0 != best }
            for rest in part.subtracting(entries[best].region, in: universe) { stack.append((rest, others)) }
        }
        return .covered(by: used)
    }

    private func largest(of candidates: [Int], within part: Region) -> Int? {
        if candidates.count < 2 { return candidates.first }
        var best: (index: Int, share: Double)?
        for index in candidates {
            let share = part.share(entries[index].region, in: universe)
            if share > best?.share ?? -1 { best = (index, share) }
        }
        return best?.index
    }
}

extension Coverage {
    /// By the rules of a policy that match packets of a kind.
    init(_ ranked: RankedRegions, _ kind: PacketKind, budget: Int) {
        self.init(
            entries: ranked.entries(of: kind), bounds: ranked.bounds[kind.rawValue], universe: ranked.universe,
            budget: budget)
    }
}
