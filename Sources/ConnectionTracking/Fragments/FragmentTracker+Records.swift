// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

extension FragmentTracker {
    /// The record that a piece belongs to: the living one of its key, else a new one. nil: no records are allowed.
    mutating func record(of key: DatagramKey, with piece: FragmentPiece, at now: Instant) -> Int32? {
        guard let index = find(key, at: now) else { return begin(key, at: now) }
        if records[Int(index)].isComplete { beginAgain(index, with: piece, at: now) }
        return index
    }

    /// A record whose time has passed is removed and not found.
    mutating func find(_ key: DatagramKey, at now: Instant) -> Int32? {
        let hash = key.hash(seed: seed)
        var index = buckets[buckets.index(of: hash)]
        while index >= 0 {
            if records[Int(index)].hash == hash, records[Int(index)].key == key {
                guard isOver(index, at: now) else { return index }
                discard(index, .recordOver)
                return nil
            }
            index = records[Int(index)].nextInBucket
        }
        return nil
    }

    /// The rules that gave the verdicts so far got other numbers, or are gone. The verdicts stay.
    public mutating func forgetRules() {
        for index in records.indices {
            switch records[index].standing {
            case .decided(let verdict): records[index].standing = .decided(verdict.withoutRule)
            case .inherited(let verdict): records[index].standing = .inherited(verdict.withoutRule)
            case .firstRefused(let refusal, var verdict):
                verdict?.remedyRule = -1
                records[index].standing = .firstRefused(refusal, verdict)
            case .undecided, .condemned: break
            }
        }
        for position in held.indices {
            if case .decided(let verdict) = held[position].outcome {
                held[position].outcome = .decided(verdict.withoutRule)
            }
        }
    }

    func isCurrent(_ record: DatagramRecord) -> Bool {
        Int(record.index) < records.count && records[Int(record.index)].generation == record.generation
    }

    func isOver(_ index: Int32, at now: Instant) -> Bool {
        let record = records[Int(index)]
        return record.isComplete
            ? now - record.completed >= Self.duplicateTime : now - record.began >= timeouts.fragment
    }

    /// A new record; the oldest gives way where all are in use.
    mutating func begin(_ key: DatagramKey, at now: Instant) -> Int32? {
        guard limit > 0 else { return nil }
        while count >= limit { discard(complete.oldest >= 0 ? complete.oldest : incomplete.oldest, .noRecord) }
        let index = store(Record(key: key, hash: key.hash(seed: seed), generation: 0, began: now))
        count += 1
        let bucket = buckets.index(of: records[Int(index)].hash)
        records[Int(index)].nextInBucket = buckets[bucket]
        buckets[bucket] = index
        growBuckets()
        Self.append(index, to: &incomplete, in: &records)
        countForPair(index)
        return index
    }

    /// The receiver has handed the complete datagram on; this piece begins another one with the same key. If it is an exact
    /// duplicate the verdict is carried over for the time that duplicates pass.
    private mutating func beginAgain(_ index: Int32, with piece: FragmentPiece, at now: Instant) {
        let old = records[Int(index)]
        let isDuplicate = isDuplicate(piece, of: index)
        release(heldOf: DatagramRecord(index: index, generation: old.generation), .refused(.superseded))
        Self.unlink(index, from: &complete, in: &records)
        var record = Record(key: old.key, hash: old.hash, generation: old.generation &+ 1, began: now)
        record.nextInBucket = old.nextInBucket
        record.completed = old.completed
        if isDuplicate, case .decided(let verdict) = old.standing { record.standing = .inherited(verdict) }
        records[Int(index)] = record
        coverage.clear(Int(index))
        Self.append(index, to: &incomplete, in: &records)
        countForPair(index)
    }

    mutating func markComplete(_ index: Int32, at now: Instant) {
        records[Int(index)].isComplete = true
        records[Int(index)].completed = now
        leavePair(index)
        Self.unlink(index, from: &incomplete, in: &records)
        Self.append(index, to: &complete, in: &records)
    }

    /// Gives up a record; what is held for it is released with this refusal.
    mutating func discard(_ index: Int32, _ refusal: FragmentRefusal) {
        let record = records[Int(index)]
        release(heldOf: DatagramRecord(index: index, generation: record.generation), .refused(refusal))
        leavePair(index)
        if record.isComplete {
            Self.unlink(index, from: &complete, in: &records)
        } else {
            Self.unlink(index, from: &incomplete, in: &records)
        }
        unlinkFromBucket(index)
        records[Int(index)].generation &+= 1
        records[Int(index)].nextInBucket = vacant
        vacant = index
        count -= 1
    }

    private mutating func store(_ record: Record) -> Int32 {
        guard vacant >= 0 else {
            records.append(record)
            coverage.appendRecord()
            digests.appendRecord()
            return Int32(truncatingIfNeeded: records.count - 1)
        }
        let index = vacant
        let generation = records[Int(index)].generation
        vacant = records[Int(index)].nextInBucket
        records[Int(index)] = record
        records[Int(index)].generation = generation
        coverage.clear(Int(index))
        return index
    }
}
