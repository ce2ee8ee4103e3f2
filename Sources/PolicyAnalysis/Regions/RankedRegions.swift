// SPDX-License-Identifier: GPL-3.0-or-later

package import FirewallPolicy

/// The rules of one direction of a policy as regions, in the order in which they are asked.
package struct RankedRegions {
    struct Entry {
        /// Index in `Policy.rules`.
        let rule: Int32
        let region: Region
    }

    package let policy: Policy
    package let universe: PacketUniverse
    /// Of the policy among those of the universe.
    let place: Int
    /// By `PacketKind`.
    private(set) var entries: [[Entry]]
    /// Of the entries, by `PacketKind`.
    private(set) var bounds: [[Bounds]]
    private var indices: [RegionIndex] = []
    /// Where a rule stands in the order, by its index in `Policy.rules`; nil for those that decide nothing.
    private(set) var ranks: [Int32: Int] = [:]

    /// `place`: of the policy among those of the universe.
    package init(_ policy: Policy, in universe: PacketUniverse, place: Int = 0) {
        self.policy = policy
        self.universe = universe
        self.place = place
        var lists = ListSets(policy)
        bounds = []
        entries = PacketKind.allCases.map { _ in [] }
        for (rank, rule) in policy.order(universe.direction).enumerated() {
            ranks[rule] = rank
            for kind in universe.kinds {
                guard
                    let region = Region(
                        policy.rules[Int(rule)], of: kind, in: universe, place: place, &lists, policy),
                    !universe.judged(region).isEmpty
                else { continue }
                entries[kind.rawValue].append(Entry(rule: rule, region: region))
            }
        }
        bounds = entries.map { $0.map { Bounds($0.region) } }
        indices = bounds.map { RegionIndex($0) }
    }

    func entries(of kind: PacketKind) -> [Entry] { entries[kind.rawValue] }

    /// The rules that match any packet of a region, in no order: their places among the entries of its kind; of the first `limit` of these.
    func meeting(_ region: Region, before limit: Int = .max) -> [Int] {
        let entries = entries[region.kind.rawValue]
        let bounds = Bounds(region)
        var found: [Int] = []
        indices[region.kind.rawValue].search(before: limit, bounds.overlap) { place in
            if entries[place].region.intersects(region) { found.append(place) }
            return false
        }
        return found
    }

    /// The place of a rule that matches every packet of a region, of the first `limit` of the kind, and of which `isGood` is true.
    func container(of region: Region, before limit: Int = .max, where isGood: (Int) -> Bool = { _ in true }) -> Int? {
        let entries = entries[region.kind.rawValue]
        let bounds = Bounds(region)
        var found: Int?
        indices[region.kind.rawValue].search(before: limit, { $0.contain(bounds) }) { place in
            if region.isSubset(of: entries[place].region), isGood(place) { found = place }
            return found != nil
        }
        return found
    }
}
