// SPDX-License-Identifier: GPL-3.0-or-later

extension ConnectionTable {
    /// To be called after a packet changed a connection: follows it into another stage and to another opener, in lists,
    /// census and counts, and in the wheel when the deadline became earlier. Costs a few comparisons where none of
    /// that happened. Returns whether it has come into another stage.
    @discardableResult
    public mutating func recordChange(of index: ConnectionIndex) -> Bool {
        let change = change(of: index)
        if change.isMoved { move(index, to: change.stage) }
        if change.isMoved || change.isTurned { updateCounts(of: index) }
        rescheduleIfEarlier(index)
        return change.isMoved
    }

    /// In what a connection differs from the stage and the opener by which it stands in the lists.
    @inline(__always)
    private mutating func change(of index: Int32) -> (stage: ConnectionStage, isMoved: Bool, isTurned: Bool) {
        let entries = entries.span
        let stage = entries[Int(index)].connection.stage
        return (
            stage, entries[Int(index)].stage != stage,
            entries[Int(index)].opener != entries[Int(index)].connection.opener
        )
    }

    /// Removes a connection and gives back whatever was counted for it. `ending` is what ends it, where it was not over before;
    /// nil: it lives on elsewhere, or was never admitted.
    public mutating func remove(_ index: ConnectionIndex, as ending: ConnectionEnding? = nil) {
        guard let stage = entries[Int(index)].stage else { return }
        if fastPath.isOn { abandonPlace(of: index) }
        if log.isOn { noteRemoval(of: index, as: ending) }
        let kind = entries[Int(index)].connection.key.trackedProtocol
        unlinkFromBucket(index)
        unlinkFromWheel(index)
        unlinkFromList(index, stage)
        releaseCounts(of: index)
        settle(index)
        shared.release(kind)
        held[Int(kind.rawValue)] -= 1
        census[stage] -= 1
        entries[Int(index)].stage = nil
        entries[Int(index)].nextInBucket = vacant
        entries[Int(index)].previousInSlot = -1
        if vacant >= 0 { entries[Int(vacant)].previousInSlot = index }
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
        if stage.isHalfOpen != entries[Int(index)].isCountedHalfOpen { followHalfOpen(index) }
        if log.isOn { noteMove(of: index, from: old, to: stage) }
    }

    /// Follows a connection that became half-open, or is so no more, in the total and for its listener.
    private mutating func followHalfOpen(_ index: Int32) {
        guard entries[Int(index)].connection.countsHalfOpen else { return settle(index) }
        guard !entries[Int(index)].isCountedHalfOpen else { return }
        entries[Int(index)].listener = ListenerLoads.none
        shared.countHalfOpen()
    }

    /// It counts as half-open no more.
    mutating func settle(_ index: Int32) {
        let listener = entries[Int(index)].listener
        guard listener != ListenerLoads.settled else { return }
        entries[Int(index)].listener = ListenerLoads.settled
        shared.releaseHalfOpen()
        if listener != ListenerLoads.none { listeners.noteSettled(listener) }
    }

    /// Makes the per-computer counts what the connection is now, without asking for limits.
    mutating func updateCounts(of index: Int32) {
        let generation = shared.generation
        let entry = entries[Int(index)]
        let due = generation == 0 ? [] : entry.connection.counted(in: entry.stage)
        let isSame = entry.countGeneration == generation && entry.opener == entry.connection.opener
        if isSame && entry.counts == due { return }
        let kept = isSame ? entry.counts.intersection(due) : []
        shared.release(
            entry.counts.subtracting(kept), of: entry.countedComputer, generation: entry.countGeneration)
        let isCounted = shared.count(due.subtracting(kept), of: entry.connection.computer, generation: generation)
        entries[Int(index)].counts = isCounted ? due : kept
        entries[Int(index)].countGeneration = generation
        entries[Int(index)].opener = entry.connection.opener
    }

    mutating func releaseCounts(of index: Int32) {
        let entry = entries[Int(index)]
        shared.release(entry.counts, of: entry.countedComputer, generation: entry.countGeneration)
        entries[Int(index)].counts = []
    }
}

extension ConnectionTable.Entry {
    /// The computer that `counts` were counted for.
    fileprivate var countedComputer: RemoteComputer {
        connection.key.computer(opener: opener, direction: counts.contains(.outgoing) ? .outgoing : .incoming)
    }
}
