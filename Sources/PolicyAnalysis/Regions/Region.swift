// SPDX-License-Identifier: GPL-3.0-or-later

/// Packets of one kind: for each field a set of numbers, and all combinations of these. `not` and lists make a set longer, never
/// the number of regions greater.
package struct Region: Hashable, Sendable {
    package let kind: PacketKind
    /// Of which fields it has less than everything, as bits by `Dimension`.
    private var limited: UInt16 = 0
    /// By `Dimension`; of those that are limited.
    private var sets = [NumberSet](repeating: .empty, count: Dimension.allCases.count)

    init(_ kind: PacketKind) { self.kind = kind }

    /// nil: the whole of it.
    subscript(dimension: Dimension) -> NumberSet? {
        get { limited >> UInt16(dimension.rawValue) & 1 == 1 ? sets[dimension.rawValue] : nil }
        set {
            let bit: UInt16 = 1 << UInt16(dimension.rawValue)
            limited = newValue == nil ? limited & ~bit : limited | bit
            sets[dimension.rawValue] = newValue ?? .empty
        }
    }

    /// Leaves what is in this set too.
    mutating func narrow(_ dimension: Dimension, to set: NumberSet) {
        self[dimension] = self[dimension]?.intersection(set) ?? set
    }

    /// For every hundred intervals of its sets one: what it takes to look at it, beside what any region takes.
    var weight: Int { sets.reduce(0) { $0 + $1.intervals.count } / 100 }

    /// Classes of addresses and addresses are not held against each other: `isVoid` does that.
    var isEmpty: Bool { sets.indices.contains { limited >> UInt16($0) & 1 == 1 && sets[$0].isEmpty } }

    func intersects(_ other: Region) -> Bool {
        var common = limited & other.limited
        while common != 0 {
            let index = common.trailingZeroBitCount
            if !sets[index].intersects(other.sets[index]) { return false }
            common &= common - 1
        }
        return true
    }

    /// Both must be of one kind, and neither empty.
    func isSubset(of other: Region) -> Bool {
        var rest = other.limited
        if rest & ~limited != 0 { return false }
        while rest != 0 {
            let index = rest.trailingZeroBitCount
            if !sets[index].isSubset(of: other.sets[index]) { return false }
            rest &= rest - 1
        }
        return true
    }

    func intersection(_ other: Region) -> Region {
        var result = self
        for dimension in Dimension.allCases {
            if let theirs = other[dimension] { result.narrow(dimension, to: theirs) }
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

    /// Which part of its packets another region has too, for choosing the larger of two.
    func share(_ other: Region, in universe: PacketUniverse) -> Double {
        var share = 1.0
        for dimension in Dimension.allCases {
            guard let theirs = other[dimension] else { continue }
            if let mine = self[dimension] {
                share *= mine.commonSize(theirs) / mine.size
            } else {
                share *= theirs.size / universe.domainSize(dimension, of: kind)
            }
        }
        return share
    }

    /// How large it is against a region that it is part of.
    func share(of whole: Region, in universe: PacketUniverse) -> Double {
        var share = 1.0
        for dimension in Dimension.allCases {
            guard let mine = self[dimension] else { continue }
            share *= mine.size / (whole[dimension]?.size ?? universe.domainSize(dimension, of: kind))
        }
        return share
    }
}
