// SPDX-License-Identifier: GPL-3.0-or-later

/// Sums of so many keys at most: where there are more, the smallest half is put together, so that a flood of forged addresses
/// fills no memory and hides none of the large ones.
///
/// A key that was put together with others and came back is counted from then on: its sum is a lower bound, and `others` holds
/// the rest (lossy counting, Manku and Motwani 2002).
struct HeavyHitters<Key: Hashable & Comparable & Sendable, Sum: Sendable>: Sendable {
    private(set) var sums: [Key: Sum] = [:]
    /// What was put together.
    private(set) var others: Int64 = 0
    private let most: Int
    private let weight: @Sendable (Sum) -> Int64

    init(most: Int, weight: @escaping @Sendable (Sum) -> Int64) {
        self.most = most
        self.weight = weight
    }

    /// Whether each sum is whole.
    var isExact: Bool { others == 0 }

    mutating func change(_ key: Key, from empty: @autoclosure () -> Sum, _ change: (inout Sum) -> Void) {
        if sums[key] == nil, sums.count >= most { putSmallestTogether() }
        change(&sums[key, default: empty()])
    }

    private mutating func putSmallestTogether() {
        let ranked = sums.map { (key: $0.key, weight: weight($0.value)) }.sorted {
            ($0.weight, $0.key) < ($1.weight, $1.key)
        }
        for (key, weight) in ranked.prefix(ranked.count / 2) {
            others = others.addingReportingOverflow(weight).overflow ? .max : others + weight
            sums[key] = nil
        }
    }

    /// The largest first.
    var ranked: [(key: Key, sum: Sum)] {
        sums.map { (key: $0.key, sum: $0.value) }.sorted {
            let (a, b) = (weight($0.sum), weight($1.sum))
            return a != b ? a > b : $0.key < $1.key
        }
    }
}
