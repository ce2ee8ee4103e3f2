// SPDX-License-Identifier: GPL-3.0-or-later

extension ConnectionTable {
    /// To be called after a packet changed a connection: follows it into another stage, and moves its slot of the wheel
    /// when the deadline became earlier. Costs a comparison or two where neither happened.
    package mutating func recordChange(of index: ConnectionIndex) {
        let stage = entries[Int(index)].connection.stage
        if entries[Int(index)].stage != stage { move(index, to: stage) }
        rescheduleIfEarlier(index)
    }

    /// Removes a connection and gives back whatever was counted for it.
    package mutating func remove(_ index: ConnectionIndex) {
        guard let stage = entries[Int(index)].stage else { return }
        let kind = entries[Int(index)].connection.key.trackedProtocol
        unlinkFromBucket(index)
        unlinkFromWheel(index)
        unlinkFromList(index, stage)
        releaseCounts(of: index)
        shared.release(kind)
        census[stage] -= 1
        entries[Int(index)].stage = nil
        entries[Int(index)].nextInBucket = vacant
        vacant = index
    }

    /// Follows a connection into another stage.
    mutating func move(_ index: Int32, to stage: ConnectionStage) {
        guard let old = entries[Int(index)].stage else { return }
        unlinkFromList(index, old)
        census[old] -= 1
        entries[Int(index)].stage = stage
        census[stage] += 1
        linkIntoList(index, stage)
        updateCounts(of: index)
    }

    /// Makes the per-computer counts what the connection's stage says, without asking for limits.
    mutating func updateCounts(of index: Int32) {
        let generation = shared.generation
        let entry = entries[Int(index)]
        let held = entry.countGeneration == generation ? entry.counts : []
        let due = generation == 0 ? [] : entry.connection.counted(in: entry.stage)
        guard held != due || entry.countGeneration != generation else { return }
        shared.release(held.subtracting(due), of: entry.connection, generation: generation)
        let added = due.subtracting(held)
        let isCounted = shared.count(added, of: entry.connection, generation: generation)
        entries[Int(index)].counts = isCounted ? due : due.subtracting(added)
        entries[Int(index)].countGeneration = generation
    }

    mutating func releaseCounts(of index: Int32) {
        let entry = entries[Int(index)]
        shared.release(entry.counts, of: entry.connection, generation: entry.countGeneration)
        entries[Int(index)].counts = []
    }
}
