// SPDX-License-Identifier: GPL-3.0-or-later

extension FragmentTracker {
    /// Newer datagrams of a pair after which an incomplete one is given up (RFC 4963 describes what happens otherwise).
    private static var newerDatagramsTolerated: UInt32 { 64 }

    /// Enters a new IPv4 record into its pair's list, and gives up those that are too old now.
    mutating func countForPair(_ index: Int32) {
        guard records[Int(index)].key.version == 4 else { return }
        let pair = pairs.pair(of: records[Int(index)].key, seed: seed)
        pairs[pair].begun &+= 1
        records[Int(index)].pair = pair
        records[Int(index)].serial = pairs[pair].begun
        let newest = pairs[pair].incomplete.newest
        records[Int(index)].olderOfPair = newest
        records[Int(index)].newerOfPair = -1
        if newest >= 0 { records[Int(newest)].newerOfPair = index } else { pairs[pair].incomplete.oldest = index }
        pairs[pair].incomplete.newest = index
        discardOutdated(of: pair)
    }

    private mutating func discardOutdated(of pair: Int32) {
        let begun = pairs[pair].begun
        var oldest = pairs[pair].incomplete.oldest
        while begun &- records[Int(oldest)].serial >= Self.newerDatagramsTolerated {
            let next = records[Int(oldest)].newerOfPair
            discard(oldest, .superseded)
            oldest = next
        }
    }

    mutating func leavePair(_ index: Int32) {
        let record = records[Int(index)]
        guard record.pair >= 0 else { return }
        let (older, newer) = (record.olderOfPair, record.newerOfPair)
        if older >= 0 { records[Int(older)].newerOfPair = newer } else { pairs[record.pair].incomplete.oldest = newer }
        if newer >= 0 { records[Int(newer)].olderOfPair = older } else { pairs[record.pair].incomplete.newest = older }
        if pairs[record.pair].incomplete.oldest < 0 { pairs.remove(record.pair) }
        records[Int(index)].pair = -1
    }

    static func append(_ index: Int32, to list: inout EntryList, in records: inout [Record]) {
        records[Int(index)].older = list.newest
        records[Int(index)].newer = -1
        if list.newest >= 0 { records[Int(list.newest)].newer = index } else { list.oldest = index }
        list.newest = index
    }

    static func unlink(_ index: Int32, from list: inout EntryList, in records: inout [Record]) {
        let (older, newer) = (records[Int(index)].older, records[Int(index)].newer)
        if older >= 0 { records[Int(older)].newer = newer } else { list.oldest = newer }
        if newer >= 0 { records[Int(newer)].older = older } else { list.newest = older }
    }

    mutating func unlinkFromBucket(_ index: Int32) {
        let bucket = buckets.index(of: records[Int(index)].hash)
        guard buckets[bucket] != index else {
            buckets[bucket] = records[Int(index)].nextInBucket
            return
        }
        var previous = Int(buckets[bucket])
        while records[previous].nextInBucket != index { previous = Int(records[previous].nextInBucket) }
        records[previous].nextInBucket = records[Int(index)].nextInBucket
    }

    mutating func growBuckets() {
        guard buckets.canGrow, buckets.count < count else { return }
        let split = buckets.grow()
        var index = buckets[split]
        buckets[split] = -1
        while index >= 0 {
            let next = records[Int(index)].nextInBucket
            let bucket = buckets.index(of: records[Int(index)].hash)
            records[Int(index)].nextInBucket = buckets[bucket]
            buckets[bucket] = index
            index = next
        }
    }
}
