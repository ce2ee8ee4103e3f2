// SPDX-License-Identifier: GPL-3.0-or-later

/// A set of numbers, as closed intervals that are sorted, disjoint and not adjacent. Addresses, ports, protocol numbers and places
/// in a table of names are all numbers here. A list of a million addresses is one such set, whose storage is shared.
struct NumberSet: Hashable, Sendable {
    struct Interval: Hashable, Sendable {
        var first: UInt128
        var last: UInt128

        /// How many members it has, as far as a floating-point number says. The conversion of the whole number is slow.
        var size: Double {
            let steps = last - first
            return Double(UInt64(truncatingIfNeeded: steps >> 64)) * 0x1p64
                + Double(UInt64(truncatingIfNeeded: steps)) + 1
        }
    }

    private(set) var intervals: [Interval]

    /// Sets that differ somewhere else alone are few, and a million intervals take their time.
    func hash(into hasher: inout Hasher) {
        hasher.combine(intervals.count)
        hasher.combine(intervals.first)
        hasher.combine(intervals.last)
    }

    static let empty = NumberSet(sorted: [])

    /// The intervals must be as the type says.
    init(sorted intervals: [Interval]) { self.intervals = intervals }

    /// Any intervals.
    init(_ any: [Interval]) {
        let sorted = any.filter { $0.first <= $0.last }.sorted { $0.first < $1.first }
        intervals = []
        intervals.reserveCapacity(sorted.count)
        for interval in sorted {
            if let last = intervals.last, last.last == .max || interval.first <= last.last + 1 {
                intervals[intervals.count - 1].last = max(last.last, interval.last)
            } else {
                intervals.append(interval)
            }
        }
    }

    init(_ range: ClosedRange<UInt128>) {
        intervals = [Interval(first: range.lowerBound, last: range.upperBound)]
    }

    init(members: [Int]) { self.init(members.map { Interval(first: UInt128($0), last: UInt128($0)) }) }

    var isEmpty: Bool { intervals.isEmpty }
    /// Least and greatest member.
    var first: UInt128? { intervals.first?.first }
    var last: UInt128? { intervals.last?.last }

    /// How many members it has, as far as a floating-point number says.
    var size: Double { intervals.reduce(0) { $0 + $1.size } }

    func contains(_ number: UInt128) -> Bool {
        let index = firstInterval(endingFrom: number)
        return index < intervals.count && intervals[index].first <= number
    }

    /// The first interval that ends at a number or after it.
    private func firstInterval(endingFrom number: UInt128) -> Int {
        var (low, high) = (0, intervals.count)
        while low < high {
            let middle = (low + high) / 2
            if intervals[middle].last < number { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

extension NumberSet {
    func intersects(_ other: NumberSet) -> Bool {
        if intervals.count == 1, other.intervals.count == 1 {
            return intervals[0].first <= other.intervals[0].last && other.intervals[0].first <= intervals[0].last
        }
        if intervals.count > other.intervals.count { return other.intersects(self) }
        if isWorthWalking(other) { return walk(other) { _ in false } }
        return intervals.contains { mine in
            let index = other.firstInterval(endingFrom: mine.first)
            return index < other.intervals.count && other.intervals[index].first <= mine.last
        }
    }

    func isSubset(of other: NumberSet) -> Bool {
        // Sets that share their storage are known to be the same at once.
        if intervals == other.intervals { return true }
        return intervals.allSatisfy { mine in
            let index = other.firstInterval(endingFrom: mine.first)
            return index < other.intervals.count && other.intervals[index].first <= mine.first
                && mine.last <= other.intervals[index].last
        }
    }

    func intersection(_ other: NumberSet) -> NumberSet {
        if intervals.count > other.intervals.count { return other.intersection(self) }
        if intervals == other.intervals { return self }
        var result: [Interval] = []
        if isWorthWalking(other) {
            _ = walk(other) { common in
                result.append(common)
                return true
            }
            return NumberSet(sorted: result)
        }
        for mine in intervals {
            var index = other.firstInterval(endingFrom: mine.first)
            while index < other.intervals.count, other.intervals[index].first <= mine.last {
                let theirs = other.intervals[index]
                result.append(Interval(first: max(mine.first, theirs.first), last: min(mine.last, theirs.last)))
                index += 1
            }
        }
        return NumberSet(sorted: result)
    }

    /// Whether both are sooner walked along than the longer one is searched for each interval of the shorter one.
    private func isWorthWalking(_ longer: NumberSet) -> Bool {
        intervals.count > 16 && longer.intervals.count < 8 * intervals.count
    }

    /// Walks along both, and gives what they have in common until that is not wanted any more; whether that was so.
    private func walk(_ other: NumberSet, _ goesOn: (Interval) -> Bool) -> Bool {
        var (index, place) = (0, 0)
        while index < intervals.count, place < other.intervals.count {
            let (mine, theirs) = (intervals[index], other.intervals[place])
            let common = Interval(first: max(mine.first, theirs.first), last: min(mine.last, theirs.last))
            if common.first <= common.last, !goesOn(common) { return true }
            if mine.last < theirs.last { index += 1 } else { place += 1 }
        }
        return false
    }

    /// The first intervals of what it has in common with a set that is not long.
    func beginning(of other: NumberSet, atMost limit: Int) -> [Interval] {
        var found: [Interval] = []
        for theirs in other.intervals {
            var index = firstInterval(endingFrom: theirs.first)
            while found.count < limit, index < intervals.count, intervals[index].first <= theirs.last {
                let mine = intervals[index]
                found.append(Interval(first: max(mine.first, theirs.first), last: min(mine.last, theirs.last)))
                index += 1
            }
        }
        return found
    }

    /// The size of what both have in common.
    func commonSize(_ other: NumberSet) -> Double {
        if intervals.count > other.intervals.count { return other.commonSize(self) }
        var size = 0.0
        for mine in intervals {
            var index = other.firstInterval(endingFrom: mine.first)
            while index < other.intervals.count, other.intervals[index].first <= mine.last {
                let theirs = other.intervals[index]
                size += Interval(first: max(mine.first, theirs.first), last: min(mine.last, theirs.last)).size
                index += 1
            }
        }
        return size
    }

    func subtracting(_ other: NumberSet) -> NumberSet {
        var result: [Interval] = []
        for mine in intervals {
            var start = mine.first
            var isOver = false
            var index = other.firstInterval(endingFrom: start)
            while index < other.intervals.count, other.intervals[index].first <= mine.last {
                let theirs = other.intervals[index]
                if theirs.first > start { result.append(Interval(first: start, last: theirs.first - 1)) }
                isOver = theirs.last >= mine.last
                if isOver { break }
                start = theirs.last + 1
                index += 1
            }
            if !isOver { result.append(Interval(first: start, last: mine.last)) }
        }
        return NumberSet(sorted: result)
    }
}
