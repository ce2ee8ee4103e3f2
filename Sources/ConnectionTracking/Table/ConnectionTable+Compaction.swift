// SPDX-License-Identifier: GPL-3.0-or-later

/// What a flood has made of the table is given back when it is over: the entries move together at its beginning, and the pages
/// behind them go to whoever wants them.
extension ConnectionTable {
    /// Below this nothing is worth the work.
    private static var alwaysKept: Int { 4_096 }
    /// Entries whose pages are given back at once.
    private static var entriesAtOnce: Int { 4_096 }

    /// Where more than half of the places are vacant, moves up to `limit` entries from the end into vacant places; to be called
    /// between batches. An index found before means nothing afterwards.
    public mutating func compact(atMost limit: Int) { compact(atMost: limit, keeping: Self.alwaysKept) }

    /// The same for tables with fewer places, which tests have.
    package mutating func compact(atMost limit: Int, keeping kept: Int) {
        // The walk after a change of limits must not miss one that moves behind it.
        guard sweepPosition < 0 else { return }
        touched = max(touched, entries.count)
        for _ in 0..<limit {
            guard entries.count > kept + 2 * census.total else { return }
            let last = Int32(truncatingIfNeeded: entries.count - 1)
            if entries[Int(last)].stage != nil {
                unlinkVacant(vacant, movingHere: last)
            } else {
                unlinkVacant(last)
            }
            entries.removeLast()
            if countsACKs { acknowledgements.removeLast() }
            if log.isOn { log.openings.removeLast() }
        }
    }

    /// Memory that was used and is not any more, of which `giveBack` may do away with the content. Called at most once for each
    /// megabyte or so.
    public mutating func releaseUnused(_ giveBack: (UnsafeMutableRawBufferPointer) -> Void) {
        touched = max(touched, entries.count)
        guard touched - entries.count >= Self.entriesAtOnce else { return }
        let (count, end) = (entries.count, touched)
        touched = count
        refund(keeping: count)
        unsafe entries.withUnsafeMutableBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return }
            let rest = unsafe UnsafeMutableRawBufferPointer(
                start: base + count, count: (end - count) * MemoryLayout<Entry>.stride)
            unsafe giveBack(rest)
        }
    }

    /// Takes a place out of the list of vacant ones.
    private mutating func unlinkVacant(_ index: Int32) {
        let (previous, next) = (entries[Int(index)].previousInSlot, entries[Int(index)].nextInBucket)
        if previous >= 0 { entries[Int(previous)].nextInBucket = next } else { vacant = next }
        if next >= 0 { entries[Int(next)].previousInSlot = previous }
    }

    /// Takes a place out of the list of vacant ones and puts the entry of another in it.
    private mutating func unlinkVacant(_ place: Int32, movingHere from: Int32) {
        guard place >= 0, let stage = entries[Int(from)].stage else { return }
        unlinkVacant(place)
        unlinkFromBucket(from)
        entries[Int(place)] = entries[Int(from)]
        if countsACKs { acknowledgements[Int(place)] = acknowledgements[Int(from)] }
        if log.isOn { log.openings[Int(place)] = log.openings[Int(from)] }
        linkIntoBucket(place)
        let slot = entries[Int(place)]
        if slot.previousInSlot >= 0 {
            entries[Int(slot.previousInSlot)].nextInSlot = place
        } else {
            wheel[slot.slot] = place
        }
        if slot.nextInSlot >= 0 { entries[Int(slot.nextInSlot)].previousInSlot = place }
        replaceInList(place, stage)
        let fastPlace = entries[Int(place)].connection.fastPlace
        if fastPlace >= 0 { fastPath.setHolder(of: fastPlace, place) }
    }
}
