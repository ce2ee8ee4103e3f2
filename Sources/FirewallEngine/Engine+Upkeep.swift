// SPDX-License-Identifier: GPL-3.0-or-later

public import ConnectionTracking
public import PacketWire

/// What is done between batches, and what others ask of the table.
extension Engine {
    /// As many a hundred times a second as the fastest flood of one queue can have brought: what it leaves behind is gone when
    /// its time is over. Half a millisecond where all of them are due.
    private static var mostExpired: Int { 4096 }

    /// Some twenty thousand entries a second.
    private static var mostMoved: Int { 256 }

    /// As `ConnectionTable.releaseUnused`.
    public mutating func releaseUnused(_ giveBack: (UnsafeMutableRawBufferPointer) -> Void) {
        unsafe table.releaseUnused(giveBack)
    }

    /// Bounded upkeep between batches: connections and datagrams whose time is over.
    public mutating func tidy(at now: Instant) {
        renewFastPathLease(at: now)
        table.expire(at: now, atMost: Self.mostExpired)
        table.compact(atMost: Self.mostMoved)
        fragments.expire(at: now)
        tidySent(at: now)
        tidyCookies(at: now)
    }

    /// How many connections are in which stage.
    public var census: ConnectionCensus { table.census }

    /// Appends up to `limit` connections from an index on, in bounded time; returns where to go on, or nil at the end of the
    /// table.
    public mutating func connections(
        from index: ConnectionIndex, atMost limit: Int, into list: inout [Connection]
    ) -> ConnectionIndex? {
        table.page(from: index, atMost: limit, into: &list)
    }
}
