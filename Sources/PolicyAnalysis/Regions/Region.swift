// SPDX-License-Identifier: GPL-3.0-or-later

/// Packets of one kind: for each field a set of numbers, and all combinations of these. `not` and lists make a set longer, never
/// the number of regions greater.
package struct Region: Hashable, Sendable {
    package let kind: PacketKind
    /// By `Dimension`; nil: the whole of it.
    var sets: [NumberSet?]

    init(_ kind: PacketKind) {
        self.kind = kind
        sets = Array(repeating: nil, count: Dimension.allCases.count)
    }

    subscript(dimension: Dimension) -> NumberSet? {
        get { sets[dimension.rawValue] }
        set { sets[dimension.rawValue] = newValue }
    }

    /// Leaves what is in this set too.
    mutating func narrow(_ dimension: Dimension, to set: NumberSet) {
        self[dimension] = self[dimension]?.intersection(set) ?? set
    }

    var isEmpty: Bool { sets.contains { $0?.isEmpty == true } }

    func intersects(_ other: Region) -> Bool {
        for index in sets.indices {
            if let mine = sets[index], let theirs = other.sets[index], !mine.intersects(theirs) { return false }
        }
        return true
    }

    /// Both must be of one kind, and neither empty.
    func isSubset(of other: Region) -> Bool {
        for index in sets.indices {
            guard let theirs = other.sets[index] else { continue }
            guard let mine = sets[index], mine.isSubset(of: theirs) else { return false }
        }
        return true
    }

    func intersection(_ other: Region) -> Region {
        var result = self
        for index in sets.indices {
            guard let theirs = other.sets[index] else { continue }
            result.sets[index] = sets[index]?.intersection(theirs) ?? theirs
        }
        return result
    }

    /// What lies outside another region: disjoint regions, at most one for each dimension.
    func subtracting(_ other: Region, in universe: PacketUniverse) -> [Region] {
        var rest = self
        var parts: [Region] = []
        for dimension in kind.dimensions {
            guard let theirs = other[dimension] else { continue }
            let mine = rest[dimension] ?? universe.domain(dimension, of: kind)
            let outside = mine.subtracting(theirs)
            guard !outside.isEmpty else { continue }
            var part = rest
            part[dimension] = outside
            parts.append(part)
            rest[dimension] = mine.intersection(theirs)
        }
        return parts
    }

    /// Which part of the kind's packets it is, for choosing the larger of two.
    func share(in universe: PacketUniverse) -> Double {
        kind.dimensions.reduce(1) { share, dimension in
            guard let set = self[dimension] else { return share }
            return share * set.size / universe.domain(dimension, of: kind).size
        }
    }
}
