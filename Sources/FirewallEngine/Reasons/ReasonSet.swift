// SPDX-License-Identifier: GPL-3.0-or-later

/// A set of reasons, one bit each.
struct ReasonSet: Sendable, BitwiseCopyable {
    private var low: UInt64 = 0
    private var high: UInt64 = 0

    mutating func insert(_ reason: DropReason) {
        let bit = UInt64(reason.rawValue)
        if bit < 64 { low |= 1 << bit } else { high |= 1 << (bit - 64) }
    }

    func contains(_ reason: DropReason) -> Bool {
        let bit = UInt64(reason.rawValue)
        return (bit < 64 ? low >> bit : high >> (bit - 64)) & 1 != 0
    }
}
