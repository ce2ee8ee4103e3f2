// SPDX-License-Identifier: GPL-3.0-or-later

/// For each pair of hosts and protocol that has incomplete IPv4 datagrams: how many datagrams began, and its incomplete
/// ones in that order.
///
/// IPv4 identifiers wrap after 65,536 datagrams, a fast sender's within the timeout: a fragment that was lost would then
/// meet fragments of another datagram under its identifier (RFC 4963). So an incomplete record is given up when 64 newer
/// datagrams of its pair have begun. A pair is kept while it has an incomplete record, hence there are no more pairs than
/// records.
struct DatagramPairs: Sendable {
    struct Pair: BitwiseCopyable {
        var key: DatagramKey
        var hash: UInt32
        /// Next pair of the bucket's chain, or of the vacant ones.
        var next: Int32 = -1
        /// Datagrams begun so far.
        var begun: UInt32 = 0
        var incomplete = EntryList()
    }

    private var pairs: [Pair] = []
    private var buckets: HashBuckets
    private var vacant: Int32 = -1
    private var inUse = 0

    init(limit: Int) {
        buckets = HashBuckets(limit: limit)
        pairs.reserveCapacity(limit)
    }

    subscript(pair: Int32) -> Pair {
        get { pairs[Int(pair)] }
        set { pairs[Int(pair)] = newValue }
    }

    /// The pair of a datagram, new if there is none.
    mutating func pair(of key: DatagramKey, seed: (UInt64, UInt64)) -> Int32 {
        let hash = key.pairHash(seed: seed)
        var index = buckets[buckets.index(of: hash)]
        while index >= 0 {
            if pairs[Int(index)].hash == hash, pairs[Int(index)].key.isSamePair(as: key) { return index }
            index = pairs[Int(index)].next
        }
        return add(Pair(key: key, hash: hash))
    }

    mutating func remove(_ index: Int32) {
        let bucket = buckets.index(of: pairs[Int(index)].hash)
        if buckets[bucket] == index {
            buckets[bucket] = pairs[Int(index)].next
        } else {
            var previous = Int(buckets[bucket])
            while pairs[previous].next != index { previous = Int(pairs[previous].next) }
            pairs[previous].next = pairs[Int(index)].next
        }
        pairs[Int(index)].next = vacant
        vacant = index
        inUse -= 1
    }

    private mutating func add(_ pair: Pair) -> Int32 {
        var index = vacant
        if index >= 0 {
            vacant = pairs[Int(index)].next
            pairs[Int(index)] = pair
        } else {
            index = Int32(truncatingIfNeeded: pairs.count)
            pairs.append(pair)
        }
        link(index)
        inUse += 1
        if buckets.canGrow, buckets.count < inUse { split() }
        return index
    }

    private mutating func link(_ index: Int32) {
        let bucket = buckets.index(of: pairs[Int(index)].hash)
        pairs[Int(index)].next = buckets[bucket]
        buckets[bucket] = index
    }

    private mutating func split() {
        let bucket = buckets.grow()
        var index = buckets[bucket]
        buckets[bucket] = -1
        while index >= 0 {
            let next = pairs[Int(index)].next
            link(index)
            index = next
        }
    }
}
