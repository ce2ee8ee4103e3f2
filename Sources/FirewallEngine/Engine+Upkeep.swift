// SPDX-License-Identifier: GPL-3.0-or-later

public import ConnectionTracking
public import PacketWire

/// What is done between batches, and what others ask of the table.
extension Engine {
    /// Bounded upkeep between batches: connections and datagrams whose time is over.
    public mutating func tidy(at now: Instant) {
        table.expire(at: now, atMost: 64)
        fragments.expire(at: now)
    }

    /// How many connections are in which stage.
    public var census: ConnectionCensus { table.census }

    /// Appends up to `limit` connections from an index on; returns where to go on, or nil at the end of the table.
    public mutating func connections(
        from index: ConnectionIndex, atMost limit: Int, into list: inout [Connection]
    ) -> ConnectionIndex? {
        var next = index
        for _ in 0..<limit {
            guard let i = table.first(from: next) else { return nil }
            list.append(table[i])
            next = i + 1
        }
        return next
    }
}
