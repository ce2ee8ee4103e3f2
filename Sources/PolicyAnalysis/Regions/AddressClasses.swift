// SPDX-License-Identifier: GPL-3.0-or-later

/// All addresses of a family by which of some lists they are in: those of a class are in the same ones. A list is then a set of classes, of
/// which there are few however long the lists are, and what two lists have in common is found without walking along either.
struct AddressClasses: Sendable {
    private let runs: Runs
    /// The addresses of each class.
    private let members: [NumberSet]

    var count: Int { members.count }

    /// Takes time in proportion to the lists' entries, and to the logarithm of how many lists there are.
    init(_ lists: [NumberSet]) {
        runs = Runs(lists[...])
        members = runs.members
    }

    /// The class of an address.
    func number(of address: UInt128) -> Int { runs.mark(at: address) }

    /// The classes of some of these addresses.
    func numbers(of set: NumberSet) -> NumberSet {
        var isMet = [Bool](repeating: false, count: count)
        for interval in set.intervals { runs.visit(interval) { isMet[$0] = true } }
        return NumberSet(members: isMet.indices.filter { isMet[$0] })
    }

    /// Addresses of a set that are of some classes: all, or some of very many; none only where there is none.
    func some(of set: NumberSet, in classes: NumberSet) -> NumberSet {
        var found: [NumberSet.Interval] = []
        for number in numbers(classes) where found.count < Self.enough {
            found += members[number].beginning(of: set, atMost: Self.few)
        }
        return NumberSet(found)
    }

    /// The first addresses of a set that are of some classes, as intervals that are whole: at least `few`, if there are so many.
    func beginning(of set: NumberSet, in classes: NumberSet, atLeast few: Int) -> (addresses: NumberSet, isAll: Bool) {
        var limit = max(few, Self.few)
        while true {
            var found: [NumberSet.Interval] = []
            // Up to here, all of each class are among those that were found.
            var horizon: UInt128?
            for number in numbers(classes) {
                let own = members[number].beginning(of: set, atMost: limit)
                if own.count == limit, let last = own.last { horizon = min(horizon ?? .max, last.last) }
                found += own
            }
            let all = NumberSet(found)
            guard let horizon else { return (all, true) }
            let whole = all.intervals.prefix { $0.last < horizon }
            if whole.count >= few { return (NumberSet(sorted: Array(whole)), false) }
            limit *= 8
        }
    }

    private static let few = 64
    private static let enough = 1_024

    private func numbers(_ classes: NumberSet) -> some Sequence<Int> {
        classes.intervals.lazy.flatMap { Int($0.first)...Int($0.last) }
    }
}

/// All addresses, in their order, as runs of those that are marked alike.
private struct Runs: Sendable {
    /// The first one is 0.
    private var starts: [UInt128] = []
    private var marks: [UInt32] = []
    private var markCount = 0

    /// Those in the same lists are marked alike.
    init(_ lists: ArraySlice<NumberSet>) {
        switch lists.count {
        case 0: self.init(.empty)
        case 1: self.init(lists[lists.startIndex])
        default:
            let middle = lists.startIndex + lists.count / 2
            self.init(Runs(lists[..<middle]), Runs(lists[middle...]))
        }
    }

    private init(_ list: NumberSet) {
        starts.reserveCapacity(2 * list.intervals.count + 1)
        marks.reserveCapacity(2 * list.intervals.count + 1)
        if list.first != 0 { append(0, 0) }
        for interval in list.intervals {
            append(interval.first, 1)
            if interval.last != .max { append(interval.last + 1, 0) }
        }
        markCount = list.isEmpty ? 1 : 2
    }

    /// Marked alike are those that both mark alike.
    private init(_ first: Runs, _ second: Runs) {
        let most = first.starts.count + second.starts.count
        starts.reserveCapacity(most)
        marks.reserveCapacity(most)
        var numbers: [UInt64: UInt32] = [:]
        var (one, other) = (0, 0)
        var start: UInt128? = 0
        while let from = start {
            let pair = UInt64(first.marks[one]) << 32 | UInt64(second.marks[other])
            let mark = numbers[pair] ?? UInt32(numbers.count)
            numbers[pair] = mark
            append(from, mark)
            let ends = (first.end(of: one), second.end(of: other))
            start = [ends.0, ends.1].compactMap { $0 }.min()
            if ends.0 == start { one += 1 }
            if ends.1 == start { other += 1 }
        }
        markCount = numbers.count
    }

    private mutating func append(_ start: UInt128, _ mark: UInt32) {
        starts.append(start)
        marks.append(mark)
    }

    /// Where the next run begins; nil after the last one.
    private func end(of run: Int) -> UInt128? { run + 1 < starts.count ? starts[run + 1] : nil }

    /// The addresses that are marked with each mark.
    var members: [NumberSet] {
        var counts = [Int](repeating: 0, count: markCount)
        for mark in marks { counts[Int(mark)] += 1 }
        var intervals = counts.map { count in
            var own: [NumberSet.Interval] = []
            own.reserveCapacity(count)
            return own
        }
        for (run, mark) in marks.enumerated() {
            let last = end(of: run).map { $0 - 1 } ?? .max
            intervals[Int(mark)].append(.init(first: starts[run], last: last))
        }
        return intervals.map { NumberSet(sorted: $0) }
    }

    func mark(at address: UInt128) -> Int { Int(marks[run(of: address)]) }

    /// The marks of some of an interval's addresses.
    func visit(_ interval: NumberSet.Interval, _ look: (Int) -> Void) {
        var run = run(of: interval.first)
        while run < starts.count, starts[run] <= interval.last {
            look(Int(marks[run]))
            run += 1
        }
    }

    private func run(of address: UInt128) -> Int {
        var (low, high) = (0, starts.count - 1)
        while low < high {
            let middle = (low + high + 1) / 2
            if starts[middle] <= address { low = middle } else { high = middle - 1 }
        }
        return low
    }
}
