// SPDX-License-Identifier: GPL-3.0-or-later

import Synchronization

extension SharedLimits {
    /// At least 95 % of the TCP limit.
    var isNearlyFull: Bool {
        let limit = limit(of: .tcp)
        return total(of: .tcp) >= limit - limit / 20
    }

    /// Takes one place of the total, or returns false where there is none.
    func reserve(_ kind: TrackedProtocol) -> Bool {
        let index = Int(kind.rawValue)
        let limit = limit(of: kind)
        var total = totals[index].load(ordering: .relaxed)
        while total < limit {
            let (exchanged, original) = totals[index].weakCompareExchange(
                expected: total, desired: total + 1, ordering: .relaxed)
            if exchanged { return true }
            total = original
        }
        return false
    }

    func release(_ kind: TrackedProtocol) {
        totals[Int(kind.rawValue)].wrappingSubtract(1, ordering: .relaxed)
    }
}
