// SPDX-License-Identifier: GPL-3.0-or-later

/// The bucket array of a linear hash (Litwin, "Linear hashing: a new tool for file and table addressing", 1980): it grows
/// by one bucket at a time, so that no insertion ever pays for rehashing a whole table, and it touches only the memory
/// that its present size needs.
///
/// A bucket is the index of the first entry of a chain, or -1; the links of the chains live in the owner's entries.
struct HashBuckets {
    private(set) var heads: [Int32]
    /// One less than the power of two that the bucket count is growing towards.
    private var mask: UInt32 = 1
    private let limit: Int

    /// Never more than `limit` buckets (at least two).
    init(limit: Int) {
        self.limit = max(limit, 2)
        heads = []
        heads.reserveCapacity(self.limit)
        heads.append(-1)
        heads.append(-1)
    }

    var count: Int { heads.count }
    var canGrow: Bool { heads.count < limit }

    /// The bucket of a hash: its low bits, one bit fewer where that bucket does not exist yet.
    @inline(__always)
    func index(of hash: UInt32) -> Int {
        let wide = Int(hash & mask)
        return wide < heads.count ? wide : Int(hash & (mask >> 1))
    }

    @inline(__always)
    subscript(bucket: Int) -> Int32 {
        get { heads[bucket] }
        set { heads[bucket] = newValue }
    }

    /// Adds one bucket and says which one held the entries that may now belong to it; the owner redistributes that chain.
    mutating func grow() -> Int {
        let added = UInt32(truncatingIfNeeded: heads.count)
        if added > mask { mask = mask << 1 | 1 }
        heads.append(-1)
        return Int(added & (mask >> 1))
    }
}
