// SPDX-License-Identifier: GPL-3.0-or-later

import Locking
import Synchronization

/// What the workers' tables have in common: how many entries of each protocol there are in all of them together, and how
/// many TCP connections each remote computer has.
///
/// Touched when a connection opens, changes its stage or ends, never by its other packets; the per-computer counts are
/// kept only while one of their limits is set. Both are exact: a place is reserved before it is used, so two workers
/// never share the last one.
///
/// A connection counts for its computer from its opening packet until both sides have closed it or one has reset it
/// (`ConnectionStage.isConcurrent`); it is half-open until its handshake is complete. When counting starts, because a
/// reload set the first limit, a new `generation` begins, and each table counts its living connections as its sweep comes
/// to them; until then there are connections that no limit sees.
public final class SharedLimits: Sendable {
    let totals = InlineArray<3, Atomic<UInt32>> { _ in Atomic(0) }
    let tableLimits: InlineArray<3, Atomic<UInt32>>
    /// Incoming, outgoing, half-open; `UInt32.max` is unlimited.
    let computerLimits = InlineArray<3, Atomic<UInt32>> { _ in Atomic(.max) }
    /// Connections that are half-open, of all computers, and their limit; `UInt32.max` is unlimited.
    let halfOpenTotal = Atomic<UInt32>(0)
    let halfOpenLimit = Atomic<UInt32>(.max)
    /// The round of counting; 0 while no per-computer limit is set.
    let currentGeneration = Atomic<UInt16>(0)
    let memoryOfPlaces = Atomic<UInt64>(0)
    let fixedMemory = Atomic<UInt64>(0)
    let mostMemory = Atomic<UInt64>(.max)
    /// Guards changes of the limits; holds the last round of counting.
    private let reload = Guarded<UInt16>(0)
    /// Guards the counts of the computers whose hash begins with the shard's number.
    let shards = InlineArray<16, Guarded<ComputerCounts>> { _ in Guarded(ComputerCounts()) }
    let seed: (UInt64, UInt64)
    /// What rules with a rate have admitted of late.
    public let rates: OpeningRates
    /// How many tables share the totals.
    let workers: UInt32

    /// - Parameters:
    ///   - tables: limits of the totals.
    ///   - computers: limits of each computer; counting begins when there is one.
    ///   - seed: key of the hash of computers: random in the agent, fixed in a replay.
    ///   - workers: how many tables there are, of which each has a share.
    public init(tables: TableLimits, computers: ComputerLimits, seed: (UInt64, UInt64), workers: Int = 1) {
        self.seed = seed
        rates = OpeningRates(seed: seed)
        self.workers = UInt32(clamping: max(1, workers))
        tableLimits = InlineArray { _ in Atomic(0) }
        update(tables: tables, computers: computers)
    }

    /// Sets the limits of a new policy. What is open stays open, also above a lower limit.
    public func update(tables: TableLimits, computers: ComputerLimits) {
        reload.withLock { last in
            tableLimits[0].store(tables.tcp, ordering: .relaxed)
            tableLimits[1].store(tables.udp, ordering: .relaxed)
            tableLimits[2].store(tables.icmp, ordering: .relaxed)
            computerLimits[0].store(computers.incoming ?? .max, ordering: .relaxed)
            computerLimits[1].store(computers.outgoing ?? .max, ordering: .relaxed)
            computerLimits[2].store(computers.halfOpen ?? .max, ordering: .relaxed)
            halfOpenLimit.store(computers.halfOpenInAll ?? .max, ordering: .relaxed)
            setCounting(!computers.areUnlimited, last: &last)
        }
    }

    /// The total of a protocol over all tables, and its limit.
    public func total(of kind: TrackedProtocol) -> UInt32 {
        totals[Int(kind.rawValue)].load(ordering: .relaxed)
    }
    public func limit(of kind: TrackedProtocol) -> UInt32 {
        tableLimits[Int(kind.rawValue)].load(ordering: .relaxed)
    }

    /// How many computers have connections counted; 0 while no per-computer limit is set.
    public var computersCounted: Int {
        var sum = 0
        for shard in 0..<shards.count { sum += shards[shard].withLock { $0.computers } }
        return sum
    }
}
