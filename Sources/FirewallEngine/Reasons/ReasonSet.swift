// SPDX-License-Identifier: GPL-3.0-or-later

/// A set of reasons, one bit each.
struct ReasonSet: Sendable, BitwiseCopyable {
    private var low: UInt64 = 0
    private var high: UInt64 = 0

    var isEmpty: Bool { low | high == 0 }

    mutating func insert(_ reason: DropReason) {
        let bit = UInt64(reason.rawValue)
        if bit < 64 { low |= 1 << bit } else { high |= 1 << (bit - 64) }
    }

    /// Takes the member with the lowest raw value out.
    mutating func popFirst() -> DropReason? {
        guard !isEmpty else { return nil }
        let bit = low != 0 ? low.trailingZeroBitCount : 64 + high.trailingZeroBitCount
        if bit < 64 { low &= low &- 1 } else { high &= high &- 1 }
        return DropReason(rawValue: UInt8(bit))
    }

    func contains(_ reason: DropReason) -> Bool {
        let bit = UInt64(reason.rawValue)
        return (bit < 64 ? low >> bit : high >> (bit - 64)) & 1 != 0
    }
}
