// SPDX-License-Identifier: GPL-3.0-or-later

/// Why a refused packet is not answered although its rule, or `default.reply`, says so (RFC 1122 section 3.2.2, RFC 4443 section
/// 2.4 (e), RFC 9293 section 3.5.2).
public enum Silence: UInt8, Sendable, BitwiseCopyable, CaseIterable {
    /// It passes all the same: tap mode, or a failure setting.
    case passes
    /// It went to several computers: a multicast or broadcast address, of IP or of the link.
    case toGroup
    /// Its source is not the address of one other computer.
    case source
    /// It is a later fragment, or a part of a TCP segment.
    case fragment
    /// It is a reset or an ICMP error, or an ICMP message that asks nothing.
    case asksNothing
    /// Its checksum is wrong, or cannot be verified.
    case checksum
    /// The shortest answer would be longer than it.
    case tooShort
}
