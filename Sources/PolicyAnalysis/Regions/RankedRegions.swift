// SPDX-License-Identifier: GPL-3.0-or-later

package import FirewallPolicy

/// The rules of one direction of a policy as regions, in the order in which they are asked.
package struct RankedRegions {
    struct Entry {
        /// Index in `Policy.rules`.
        let rule: Int32
        let region: Region
        let bounds: Bounds
    }

    package let policy: Policy
    package let universe: PacketUniverse
    /// By `PacketKind`.
    private(set) var entries: [[Entry]]
    /// Where a rule stands in the order, by its index in `Policy.rules`; nil for those that decide nothing.
    private(set) var ranks: [Int32: Int] = [:]

    /// `place` is that of the policy in the universe.
    package init(_ policy: Policy, in universe: PacketUniverse, place: Int = 0) {
        self.policy = policy
        self.universe = universe
        var lists = ListSets(policy)
        entries = PacketKind.allCases.map { _ in [] }
        for (rank, rule) in policy.order(universe.direction).enumerated() {
            ranks[rule] = rank
            for kind in universe.kinds {
                guard
                    let region = Region(
                        policy.rules[Int(rule)], of: kind, in: universe, place: place, &lists, policy)
                else { continue }
                entries[kind.rawValue].append(Entry(rule: rule, region: region, bounds: Bounds(region)))
            }
        }
    }

    func entries(of kind: PacketKind) -> [Entry] { entries[kind.rawValue] }
}

/// The least and greatest numbers of a region's most telling fields: most pairs of rules are told apart by these alone.
struct Bounds {
    private var source: (UInt128, UInt128)
    private var destination: (UInt128, UInt128)
    private var destinationPort: (UInt128, UInt128)
    private var sourcePort: (UInt128, UInt128)

    init(_ region: Region) {
        func ends(_ dimension: Dimension) -> (UInt128, UInt128) {
            guard let set = region[dimension] else { return (0, .max) }
            return (set.first ?? 1, set.last ?? 0)
        }
        source = ends(.source)
        destination = ends(.destination)
        destinationPort = ends(.destinationPort)
        sourcePort = ends(.sourcePort)
    }

    func overlap(_ other: Bounds) -> Bool {
        destinationPort.0 <= other.destinationPort.1 && other.destinationPort.0 <= destinationPort.1
            && destination.0 <= other.destination.1 && other.destination.0 <= destination.1
            && source.0 <= other.source.1 && other.source.0 <= source.1
            && sourcePort.0 <= other.sourcePort.1 && other.sourcePort.0 <= sourcePort.1
    }
}
