// SPDX-License-Identifier: GPL-3.0-or-later

extension ConnectionTable {
    /// The first connection at or after an index, for listing them a part at a time: start at 0, go on after the one
    /// returned. Connections that come and go meanwhile may be missed; none is seen twice under one index.
    public func first(from index: ConnectionIndex) -> ConnectionIndex? {
        var candidate = max(0, Int(index))
        while candidate < entries.count {
            if entries[candidate].stage != nil { return Int32(truncatingIfNeeded: candidate) }
            candidate += 1
        }
        return nil
    }

    /// Places that one page looks at, vacant ones too.
    private static var placesPerPage: Int { 2048 }

    /// Appends connections from an index on: up to `limit` of them, and fewer where many places are vacant. One that `compact` moves
    /// meanwhile may be missed.
    ///
    /// - Returns: where to go on, or nil at the end of the table.
    public func page(
        from index: ConnectionIndex, atMost limit: Int, into list: inout [Connection]
    ) -> ConnectionIndex? {
        var (place, found) = (max(0, Int(index)), 0)
        let end = min(entries.count, place + Self.placesPerPage)
        while place < end, found < limit {
            if entries[place].stage != nil {
                list.append(entries[place].connection)
                found += 1
            }
            place += 1
        }
        return place < entries.count ? Int32(truncatingIfNeeded: place) : nil
    }

    /// Every connection, in no particular order, including those whose timeout has passed and that were not collected yet.
    public func forEach(_ body: (ConnectionIndex, Connection) -> Void) {
        var next = first(from: 0)
        while let index = next {
            body(index, entries[Int(index)].connection)
            next = first(from: index + 1)
        }
    }
}
