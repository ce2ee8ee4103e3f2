// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import FirewallPolicy
import PacketWire

/// What an output has been given in the present window, and which reasons have had their share.
///
/// A reason may take as much as all reasons have left over (Choudhury and Hahne's dynamic threshold): a flood of one kind gets
/// half of the budget at most, whatever comes beside it finds room, and all of them together never take more than the budget.
struct OutputBudget {
    /// nil is without a bound.
    var limit: EventBudget?
    /// When the present window began; `nil` before the first record.
    private var began: Instant?
    private var used: UInt64 = 0
    private var usedByReason = [UInt64](repeating: 0, count: DropReason.count)

    init(_ limit: EventBudget?) { self.limit = limit }

    /// When the present window ends.
    var end: Instant? { began.flatMap { began in limit.map { began + $0.window } } }

    /// Begins a window where the last one is over.
    ///
    /// - Returns: whether it did.
    mutating func begin(at now: Instant) -> Bool {
        guard limit != nil else { return true }
        // A clock that goes back, as a capture's may, ends the window too.
        if let began, let end, began <= now, now < end { return false }
        began = now
        used = 0
        for index in usedByReason.indices { usedByReason[index] = 0 }
        return true
    }

    /// Whether a record of this reason may be written as it is. The last one may overstep the bound.
    func admits(_ reason: DropReason) -> Bool {
        guard let limit else { return true }
        return used < limit.bytes && usedByReason[Int(reason.rawValue)] < limit.bytes - used
    }

    mutating func note(_ bytes: Int, _ reason: DropReason) {
        used &+= UInt64(bytes)
        usedByReason[Int(reason.rawValue)] &+= UInt64(bytes)
    }
}
