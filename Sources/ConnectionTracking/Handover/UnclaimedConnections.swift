// SPDX-License-Identifier: GPL-3.0-or-later

import Locking
public import PacketWire

/// Connections of the run before, when it had another number of workers: nobody knows to which of these the kernel will
/// give their packets (its hash has a secret of its own). They stand here, counted in the totals, until the worker that meets
/// a packet of one takes it, or their time is over.
///
/// Looked at only for packets of no known connection, and only after such a restart.
public final class UnclaimedConnections: Sendable {
    private let table: Guarded<ConnectionTable>

    public init(capacity: Int, timeouts: Timeouts, seed: (UInt64, UInt64), shared: SharedLimits) {
        table = Guarded(ConnectionTable(capacity: capacity, timeouts: timeouts, seed: seed, shared: shared))
    }

    /// As `ConnectionTable.logEnds`.
    public func logEnds(of protocols: TrackedProtocols, isOn: Bool) {
        table.withLock { $0.logEnds(of: protocols, isOn: isOn) }
    }

    /// Tells the end of all of them.
    public func endAll(as ending: ConnectionEnding) {
        table.withLock { table in
            var index: ConnectionIndex? = 0
            while let from = index { index = table.endAll(as: ending, from: from, atMost: .max / 2) }
        }
    }

    /// The oldest end that was not taken yet.
    public func takeEnded() -> EndedConnection? { table.withLock { $0.takeEnded() } }

    /// False where its time is over or there is no room.
    public func add(_ connection: Connection, at now: Instant) -> Bool {
        table.withLock { table in
            guard now - connection.lastSeen < table.timeouts.span(of: connection.stage),
                table.find(connection.key, at: now) == nil
            else { return false }
            var added = connection
            added.generation = 0
            added.refusal.rule = -1
            return (try? table.insert(added, at: now)) != nil
        }
    }

    /// Takes the connection out.
    public func claim(_ key: ConnectionKey, at now: Instant) -> Connection? {
        table.withLock { table in
            guard let index = table.find(key, at: now) else { return nil }
            defer { table.remove(index) }
            return table[index]
        }
    }

    /// The connection, which stays where it is.
    public func find(_ key: ConnectionKey, at now: Instant) -> Connection? {
        table.withLock { table in table.find(key, at: now).map { table[$0] } }
    }

    /// Whether an ICMP error may be about one of them.
    public func isQuoted(_ quoted: QuotedPacket, at now: Instant) -> Bool {
        table.withLock { $0.isQuoted(quoted, at: now) }
    }

    /// Upkeep, bounded; to be called about once a second.
    public func tidy(at now: Instant) { table.withLock { $0.expire(at: now, atMost: 4096) } }

    public func setTimeouts(_ timeouts: Timeouts) { table.withLock { $0.timeouts = timeouts } }

    public var census: ConnectionCensus { table.withLock { $0.census } }

    /// As `Engine.connections`.
    public func connections(
        from index: ConnectionIndex, atMost limit: Int, into list: inout [Connection]
    ) -> ConnectionIndex? {
        table.withLock { $0.page(from: index, atMost: limit, into: &list) }
    }
}
