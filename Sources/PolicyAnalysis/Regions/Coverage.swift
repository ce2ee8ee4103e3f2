// SPDX-License-Identifier: GPL-3.0-or-later

/// Whether regions together cover another one, exactly: what is outside one of them is held against the others, depth first. Most
/// questions are answered by a few regions; the worst take exponential time, so the work is bounded, and beyond the bound there is no
/// answer.
struct Coverage {
    enum Answer {
        /// By those with these indices, of which each was needed on the way.
        case covered(by: Set<Int>)
        /// A part that none of them meets.
        case open(Region)
        case undecided
    }

    let regions: [Region]
    let universe: PacketUniverse
    /// How many parts are looked at.
    var budget: Int
    /// Parts that are known to have no packet of which rules are asked.
    var isVoid: (Region) -> Bool = { _ in false }

    /// `indices`: of the regions that count.
    mutating func covers(_ region: Region, by indices: [Int]) -> Answer {
        var stack = [(region, indices)]
        var used: Set<Int> = []
        while let (part, candidates) = stack.popLast() {
            budget -= 1
            if budget < 0 { return .undecided }
            let meeting = candidates.filter { regions[$0].intersects(part) }
            if let whole = meeting.first(where: { part.isSubset(of: regions[$0]) }) {
                used.insert(whole)
                continue
            }
            guard let best = largest(of: meeting, within: part) else {
                if isVoid(part) { continue }
                return .open(part)
            }
            used.insert(best)
            let others = meeting.filter { $0 != best }
            for rest in part.subtracting(regions[best], in: universe) { stack.append((rest, others)) }
        }
        return .covered(by: used)
    }

    /// As `covers`, by a set of which none can be left out.
    mutating func leastCover(_ region: Region, by indices: [Int]) -> Answer {
        if let whole = indices.first(where: { region.isSubset(of: regions[$0]) }) { return .covered(by: [whole]) }
        let answer = covers(region, by: indices)
        guard case .covered(var needed) = answer else { return answer }
        let shares = needed.map { ($0, regions[$0].intersection(region).share(in: universe)) }
        for (index, _) in shares.sorted(by: { ($0.1, $1.0) < ($1.1, $0.0) }) where needed.count > 1 {
            let others = needed.subtracting([index]).sorted()
            switch covers(region, by: others) {
            case .covered: needed.remove(index)
            case .open: break
            case .undecided: return .undecided
            }
        }
        return .covered(by: needed)
    }

    private func largest(of candidates: [Int], within part: Region) -> Int? {
        if candidates.count < 2 { return candidates.first }
        return candidates.map { ($0, regions[$0].intersection(part).share(in: universe)) }.max { $0.1 < $1.1 }?.0
    }
}
