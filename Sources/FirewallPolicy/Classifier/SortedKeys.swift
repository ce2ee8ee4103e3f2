// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// Ascending 32-bit keys, searched for the greatest one that is not above a value.
///
/// From `firstLevelThreshold` keys on, an index over the upper 16 bits leaves at most 16 steps, a few for keys that are
/// spread, where a plain search over a million keys takes 20 that all miss the cache.
struct SortedKeys32: Sendable {
    let keys: [UInt32]
    /// At h: how many keys are below h << 16; one more entry than there are values of h. Empty for few keys.
    private let firstLevel: [UInt32]

    static let firstLevelThreshold = 4096

    /// - Parameter keys: ascending.
    init(_ keys: [UInt32]) {
        self.keys = keys
        firstLevel = keys.count < SortedKeys32.firstLevelThreshold ? [] : SortedKeys32.firstLevel(of: keys)
    }

    private static func firstLevel(of keys: [UInt32]) -> [UInt32] {
        var below = [UInt32](repeating: 0, count: 65_537)
        for key in keys { below[Int(key >> 16) + 1] += 1 }
        for h in 1...65_536 { below[h] += below[h - 1] }
        return below
    }

    /// Index of the greatest key that is not above `value`, or -1.
    func floor(_ value: UInt32) -> Int {
        var low = 0
        var high = keys.count
        if !firstLevel.isEmpty {
            let h = Int(value >> 16)
            low = Int(firstLevel[h])
            high = Int(firstLevel[h &+ 1])
        }
        while low < high {
            let middle = (low &+ high) >> 1
            if keys[middle] <= value { low = middle &+ 1 } else { high = middle }
        }
        return low &- 1
    }
}

/// Ascending IPv6 addresses, searched as `SortedKeys32`.
struct SortedKeys128: Sendable {
    let keys: [IPAddress]
    private let samples: Samples128

    /// - Parameter keys: ascending.
    init(_ keys: [IPAddress]) {
        self.keys = keys
        samples = Samples128(count: keys.count) { keys[$0] }
    }

    /// Index of the greatest key that is not above `value`, or -1.
    func floor(_ value: IPAddress) -> Int {
        let block = samples.block(of: value)
        return Samples128.floor(value, in: keys, block)
    }
}

/// Ascending and disjoint IPv6 ranges, searched by their first addresses as `SortedKeys128`. The array stays the owner's.
struct SortedRanges128: Sendable {
    let ranges: [AddressRange]
    private let samples: Samples128

    /// - Parameter ranges: ascending and disjoint.
    init(_ ranges: [AddressRange]) {
        self.ranges = ranges
        samples = Samples128(count: ranges.count) { ranges[$0].first }
    }

    func contains(_ address: IPAddress) -> Bool {
        let block = samples.block(of: address)
        var low = block.lowerBound
        var high = block.upperBound
        while low < high {
            let middle = (low &+ high) >> 1
            if ranges[middle].first.isAtMost(address) { low = middle &+ 1 } else { high = middle }
        }
        return low > 0 && address.isAtMost(ranges[low &- 1].last)
    }
}

/// Where to search in ascending IPv6 addresses.
///
/// Their upper bits are too alike for an index over them; instead every 32nd key and every 1,024th stand in arrays of their
/// own, so that most steps of the search stay within a few cache lines.
private struct Samples128: Sendable {
    private let count: Int
    private let middle: [IPAddress]
    private let top: [IPAddress]

    private static let fanOut = 32

    init(count: Int, key: (Int) -> IPAddress) {
        self.count = count
        let middle = stride(from: 0, to: count, by: Samples128.fanOut).map(key)
        top = stride(from: 0, to: middle.count, by: Samples128.fanOut).map { middle[$0] }
        self.middle = middle
    }

    /// The stretch with the greatest key that is not above `value`; empty and at 0 if all are above.
    func block(of value: IPAddress) -> Range<Int> {
        let first = Samples128.floor(value, in: top, 0..<top.count)
        guard first >= 0 else { return 0..<0 }
        let second = Samples128.floor(value, in: middle, Samples128.block(first, of: middle.count))
        return Samples128.block(second, of: count)
    }

    private static func block(_ index: Int, of count: Int) -> Range<Int> {
        index * fanOut..<min((index + 1) * fanOut, count)
    }

    /// Index of the greatest key of a stretch that is not above `value`, or one before the stretch.
    static func floor(_ value: IPAddress, in keys: [IPAddress], _ stretch: Range<Int>) -> Int {
        var low = stretch.lowerBound
        var high = stretch.upperBound
        while low < high {
            let middle = (low &+ high) >> 1
            if keys[middle].isAtMost(value) { low = middle &+ 1 } else { high = middle }
        }
        return low &- 1
    }
}
