// SPDX-License-Identifier: GPL-3.0-or-later

import Synchronization

/// The totals, and who may fill them. The last sixteenth of a limit is for workers that hold less than their share: what floods
/// one worker's queue leaves room in the tables of the others, and the one that is flooded gives up its own.
extension SharedLimits {
    /// At least 95 % of the TCP limit, and of the share of a worker that holds so many.
    func isNearlyFull(holding held: UInt32) -> Bool {
        let limit = limit(of: .tcp)
        let share = share(of: limit)
        return total(of: .tcp) >= limit - limit / 20 && held >= share - share / 20
    }

    /// Whether a worker that holds so many may have one more.
    func hasRoom(_ kind: TrackedProtocol, holding held: UInt32) -> Bool {
        total(of: kind) < bound(of: kind, holding: held)
    }

    /// Takes one place of the total for a worker that holds so many, or returns false where there is none.
    func reserve(_ kind: TrackedProtocol, holding held: UInt32) -> Bool {
        let index = Int(kind.rawValue)
        let bound = bound(of: kind, holding: held)
        var total = totals[index].load(ordering: .relaxed)
        while total < bound {
            let (exchanged, original) = totals[index].weakCompareExchange(
                expected: total, desired: total + 1, ordering: .relaxed)
            if exchanged { return true }
            total = original
        }
        return false
    }

    /// Whether a worker that holds so many stands in the way of others.
    func mustGiveWay(_ kind: TrackedProtocol, holding held: UInt32) -> Bool {
        guard workers > 1 else { return false }
        let limit = limit(of: kind)
        return held > share(of: limit) && total(of: kind) > limit - reserve(of: limit)
    }

    func release(_ kind: TrackedProtocol) {
        totals[Int(kind.rawValue)].wrappingSubtract(1, ordering: .relaxed)
    }

    /// Takes one place of the half-open connections of all workers, or returns false where there is none.
    func reserveHalfOpen() -> Bool {
        let limit = halfOpenLimit.load(ordering: .relaxed)
        var total = halfOpenTotal.load(ordering: .relaxed)
        while total < limit {
            let (exchanged, original) = halfOpenTotal.weakCompareExchange(
                expected: total, desired: total + 1, ordering: .relaxed)
            if exchanged { return true }
            total = original
        }
        return false
    }

    func countHalfOpen() { halfOpenTotal.wrappingAdd(1, ordering: .relaxed) }

    func releaseHalfOpen() { halfOpenTotal.wrappingSubtract(1, ordering: .relaxed) }

    /// Whether as many connections are half-open as may be.
    public var hasNoMoreHalfOpen: Bool {
        halfOpenTotal.load(ordering: .relaxed) >= halfOpenLimit.load(ordering: .relaxed)
    }

    /// How full the total may become by a worker that holds so many.
    private func bound(of kind: TrackedProtocol, holding held: UInt32) -> UInt32 {
        let limit = limit(of: kind)
        return held < share(of: limit) ? limit : limit - reserve(of: limit)
    }

    private func share(of limit: UInt32) -> UInt32 { limit / workers }
    private func reserve(of limit: UInt32) -> UInt32 { workers > 1 ? limit / 16 : 0 }
}
