// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

extension ConnectionTable {
    /// The living connection of this key. One whose timeout has passed is removed and not found.
    public mutating func find(_ key: ConnectionKey, at now: Instant) -> ConnectionIndex? {
        let index = locate(key)
        guard index >= 0 else { return nil }
        if fastPath.isOn { takeUp(index) }
        guard isExpired(index, at: now) else { return index }
        forget(index)
        return nil
    }

    /// The entry of this key, dead or alive; -1 where there is none.
    private mutating func locate(_ key: ConnectionKey) -> Int32 {
        let hash = key.hash(seed: seed)
        let entries = entries.span
        var index = buckets[buckets.index(of: hash)]
        while index >= 0 {
            if entries[Int(index)].hash == hash, entries[Int(index)].connection.key.isSame(as: key) { return index }
            index = entries[Int(index)].nextInBucket
        }
        return -1
    }

    /// A connection lives for its stage's timeout after `lastSeen`; at that instant it is gone. A clock that ran backwards
    /// ends nothing.
    @inline(__always)
    mutating func isExpired(_ index: Int32, at now: Instant) -> Bool {
        let entries = entries.span
        let idle = now.nanoseconds &- entries[Int(index)].connection.lastSeen.nanoseconds
        return idle >= spans[Int(entries[Int(index)].connection.stage.rawValue)]
    }

    mutating func linkIntoBucket(_ index: Int32) {
        let bucket = buckets.index(of: entries[Int(index)].hash)
        entries[Int(index)].nextInBucket = buckets[bucket]
        buckets[bucket] = index
    }

    mutating func unlinkFromBucket(_ index: Int32) {
        let bucket = buckets.index(of: entries[Int(index)].hash)
        let next = entries[Int(index)].nextInBucket
        guard buckets[bucket] != index else {
            buckets[bucket] = next
            return
        }
        var previous = buckets[bucket]
        while previous >= 0 {
            let candidate = entries[Int(previous)].nextInBucket
            if candidate == index {
                entries[Int(previous)].nextInBucket = next
                return
            }
            previous = candidate
        }
    }

    /// Keeps two buckets per entry: called once per insertion, it adds two at most.
    mutating func growBuckets() {
        for _ in 0..<2 where buckets.canGrow && buckets.count < 2 * census.total {
            let split = buckets.grow()
            var index = buckets[split]
            buckets[split] = -1
            while index >= 0 {
                let next = entries[Int(index)].nextInBucket
                linkIntoBucket(index)
                index = next
            }
        }
    }

    /// Entries in the longest chain; for tests of the hash.
    public var longestChain: Int {
        var longest = 0
        for head in buckets.heads {
            var length = 0
            var index = head
            while index >= 0 {
                length += 1
                index = entries[Int(index)].nextInBucket
            }
            longest = max(longest, length)
        }
        return longest
    }
}
