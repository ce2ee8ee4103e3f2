// SPDX-License-Identifier: GPL-3.0-or-later

import Synchronization

/// The memory that the tables of all workers take, and the most that they may.
///
/// What a policy fixes (fragments, retransmissions, scanners) is reserved whole when the policy comes into force, and counts
/// whole. What grows with traffic is paid for before it is touched: the places of connections, with their share of the buckets and
/// whatever else is kept for each. A place that is vacant stays paid for until its pages were given back.
extension SharedLimits {
    /// Bytes that the tables take, and what they may take; `.max` is without a bound.
    public var memoryInUse: UInt64 {
        memoryOfPlaces.load(ordering: .relaxed) &+ fixedMemory.load(ordering: .relaxed)
    }
    public var memoryLimit: UInt64 { mostMemory.load(ordering: .relaxed) }

    /// Sets the bound of a new policy, and what its fixed tables take. What is in use stays, also above a lower bound.
    public func setMemory(limit: UInt64?, fixed: UInt64) {
        mostMemory.store(limit ?? .max, ordering: .relaxed)
        fixedMemory.store(fixed, ordering: .relaxed)
    }

    /// Pays for more, or returns false where the bound does not allow it to a table that has paid for so much.
    func payMemory(_ bytes: UInt64, having paid: UInt64) -> Bool {
        let bound = memoryBound(having: paid)
        var total = memoryOfPlaces.load(ordering: .relaxed)
        while bound >= bytes, total <= bound - bytes {
            let (exchanged, original) = memoryOfPlaces.weakCompareExchange(
                expected: total, desired: total + bytes, ordering: .relaxed)
            if exchanged { return true }
            total = original
        }
        return false
    }

    func hasMemory(_ bytes: UInt64, having paid: UInt64) -> Bool {
        let bound = memoryBound(having: paid)
        return bound >= bytes && memoryOfPlaces.load(ordering: .relaxed) <= bound - bytes
    }

    /// Counts what is taken whether there is room or not: a reload has found that more is kept for each place.
    func addMemory(_ bytes: UInt64) { memoryOfPlaces.wrappingAdd(bytes, ordering: .relaxed) }

    func giveMemory(_ bytes: UInt64) { memoryOfPlaces.wrappingSubtract(bytes, ordering: .relaxed) }

    /// The last sixteenth is for tables that have less than their share: what floods one worker's queue leaves room to the others.
    private func memoryBound(having paid: UInt64) -> UInt64 {
        let limit = memoryLimit
        guard limit != .max else { return .max }
        let fixed = fixedMemory.load(ordering: .relaxed)
        let rest = limit > fixed ? limit - fixed : 0
        return workers == 1 || paid < rest / UInt64(workers) ? rest : rest - rest / 16
    }
}
