// SPDX-License-Identifier: GPL-3.0-or-later

extension ConnectionTable {
    /// Half-open connections and finished ones stand in a list each, in the order in which they became so: what is given
    /// up first when TCP is nearly full.
    mutating func linkIntoList(_ index: Int32, _ stage: ConnectionStage) {
        if stage.isHalfOpen {
            Self.append(index, to: &halfOpen, in: &entries)
        } else if stage.isOver {
            Self.append(index, to: &over, in: &entries)
        }
    }

    mutating func unlinkFromList(_ index: Int32, _ stage: ConnectionStage) {
        if stage.isHalfOpen {
            Self.unlink(index, from: &halfOpen, in: &entries)
        } else if stage.isOver {
            Self.unlink(index, from: &over, in: &entries)
        }
    }

    private static func append(_ index: Int32, to list: inout EntryList, in entries: inout [Entry]) {
        entries[Int(index)].older = list.newest
        entries[Int(index)].newer = -1
        if list.newest >= 0 { entries[Int(list.newest)].newer = index } else { list.oldest = index }
        list.newest = index
    }

    private static func unlink(_ index: Int32, from list: inout EntryList, in entries: inout [Entry]) {
        let (older, newer) = (entries[Int(index)].older, entries[Int(index)].newer)
        if older >= 0 { entries[Int(older)].newer = newer } else { list.oldest = newer }
        if newer >= 0 { entries[Int(newer)].older = older } else { list.newest = older }
    }
}
