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
///
/// The upper bits of IPv6 addresses are too alike for an index over them; instead every 32nd key and every 1,024th stand
/// in arrays of their own, so that most steps of the search stay within a few cache lines.
struct SortedKeys128: Sendable {
    let keys: [IPAddress]
    private let middle: [IPAddress]
    private let top: [IPAddress]

    private static let fanOut = 32

    /// - Parameter keys: ascending.
    init(_ keys: [IPAddress]) {
        self.keys = keys
        middle = SortedKeys128.sample(keys)
        top = SortedKeys128.sample(middle)
    }

    private static func sample(_ keys: [IPAddress]) -> [IPAddress] {
        stride(from: 0, to: keys.count, by: fanOut).map { keys[$0] }
    }

    /// Index of the greatest key that is not above `value`, or -1.
    func floor(_ value: IPAddress) -> Int {
        var block = SortedKeys128.floor(value, in: top, from: 0, to: top.count)
        guard block >= 0 else { return -1 }
        block = SortedKeys128.floor(value, in: middle, block: block)
        return SortedKeys128.floor(value, in: keys, block: block)
    }

    private static func floor(_ value: IPAddress, in keys: [IPAddress], block: Int) -> Int {
        floor(value, in: keys, from: block * fanOut, to: min((block + 1) * fanOut, keys.count))
    }

    private static func floor(_ value: IPAddress, in keys: [IPAddress], from low: Int, to high: Int) -> Int {
        var low = low
        var high = high
        while low < high {
            let middle = (low &+ high) >> 1
            if keys[middle].isAtMost(value) { low = middle &+ 1 } else { high = middle }
        }
        return low &- 1
    }
}
