// SPDX-License-Identifier: GPL-3.0-or-later

/// The order of TCP sequence numbers (RFC 9293 section 3.4): modulo 2^32, right for numbers less than 2^31 apart.
extension UInt32 {
    func isAfter(_ other: UInt32) -> Bool { Int32(bitPattern: self &- other) > 0 }
    func isBefore(_ other: UInt32) -> Bool { Int32(bitPattern: self &- other) < 0 }

    func later(_ other: UInt32) -> UInt32 { isBefore(other) ? other : self }

    /// Whether this number is `first` or at most `distance` after it.
    func isWithin(_ distance: UInt32, from first: UInt32) -> Bool { self &- first <= distance }
}
