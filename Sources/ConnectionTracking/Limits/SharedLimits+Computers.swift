// SPDX-License-Identifier: GPL-3.0-or-later

import Locking
import Synchronization

extension SharedLimits {
    /// The present round of counting; 0 while nothing is counted.
    var generation: UInt16 { currentGeneration.load(ordering: .acquiring) }

    /// Counts a connection if every limit that concerns it has room, or says which has none.
    ///
    /// When a round of counting ended meanwhile nothing is counted, and nothing refused.
    func admit(_ kinds: ComputerCounts.Kinds, of computer: RemoteComputer, generation: UInt16) -> OpeningRefusal? {
        let computer = hashed(computer)
        let limits = limitsPerComputer
        return shards[Self.shard(of: computer)].withLock { counts in
            guard counts.generation == generation else { return nil }
            let exhausted = counts.exhausted(computer, limits: limits).intersection(kinds)
            if exhausted.contains(.incoming) { return .incomingPerComputer }
            if exhausted.contains(.outgoing) { return .outgoingPerComputer }
            if exhausted.contains(.halfOpen) { return .halfOpenPerComputer }
            // Room for a record can only be missing where the table that its connection goes into is full too.
            return counts.count(kinds, of: computer) ? nil : .tableFull(.tcp)
        }
    }

    /// The kinds among these of which the computer has as many as its limit says.
    func exhausted(
        _ kinds: ComputerCounts.Kinds, of computer: RemoteComputer, generation: UInt16
    ) -> ComputerCounts.Kinds {
        let computer = hashed(computer)
        let limits = limitsPerComputer
        return shards[Self.shard(of: computer)].withLock { counts in
            counts.generation == generation ? counts.exhausted(computer, limits: limits).intersection(kinds) : []
        }
    }

    /// Counts a connection without asking for limits. False: there was no room for a further computer.
    func count(_ kinds: ComputerCounts.Kinds, of computer: RemoteComputer, generation: UInt16) -> Bool {
        guard !kinds.isEmpty else { return true }
        let computer = hashed(computer)
        return shards[Self.shard(of: computer)].withLock { counts in
            counts.generation != generation || counts.count(kinds, of: computer)
        }
    }

    func release(_ kinds: ComputerCounts.Kinds, of computer: RemoteComputer, generation: UInt16) {
        guard !kinds.isEmpty else { return }
        let computer = hashed(computer)
        shards[Self.shard(of: computer)].withLock { counts in
            guard counts.generation == generation else { return }
            counts.release(kinds, of: computer)
        }
    }

    private var limitsPerComputer: ComputerLimits {
        func limit(_ index: Int) -> UInt32? {
            let value = computerLimits[index].load(ordering: .relaxed)
            return value == .max ? nil : value
        }
        var limits = ComputerLimits()
        limits.incoming = limit(0)
        limits.outgoing = limit(1)
        limits.halfOpen = limit(2)
        return limits
    }

    /// Has the counts of the part that a computer is in, under their lock.
    func shard<Result>(
        of computer: RemoteComputer, _ body: (inout ComputerCounts, HashedComputer) -> Result
    ) -> Result {
        let computer = hashed(computer)
        return shards[Self.shard(of: computer)].withLock { body(&$0, computer) }
    }

    private func hashed(_ computer: RemoteComputer) -> HashedComputer { HashedComputer(computer, seed: seed) }

    private static func shard(of computer: HashedComputer) -> Int { Int(computer.hash >> 28) }

    func setCounting(_ isWanted: Bool, last: inout UInt16) {
        let isCounting = generation != 0
        let capacity = shardCapacity
        guard isWanted != isCounting else {
            if isWanted { forEachShard { $0.raise(capacity: capacity) } }
            return
        }
        if isWanted {
            last = last == .max ? 1 : last + 1
            let next = last
            forEachShard { $0.begin(generation: next, capacity: capacity) }
            currentGeneration.store(next, ordering: .releasing)
        } else {
            currentGeneration.store(0, ordering: .releasing)
            forEachShard { $0 = ComputerCounts() }
        }
    }

    /// Records per shard: a sixteenth of the TCP connections there can be, and eight standard deviations more, so that no
    /// shard of a keyed hash is full while the table has room.
    private var shardCapacity: Int {
        let share = Double(max(limit(of: .tcp), total(of: .tcp))) / Double(shards.count)
        return Int(share + 8 * share.squareRoot()) + 64
    }

    private func forEachShard(_ body: (inout ComputerCounts) -> Void) {
        for shard in 0..<shards.count { shards[shard].withLock { body(&$0) } }
    }
}
