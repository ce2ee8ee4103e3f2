// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import PacketWire

// Accessors and operators of another module are calls where they are not inlined, `==` of its enumerations and `<=` even
// generic ones through a witness table. What classification compares per rule or per step of a search is therefore spelled
// out here.

extension NetworkProtocol {
    @inline(__always) var isIPv4: Bool { if case .ipv4 = self { true } else { false } }
    @inline(__always) var isIPv6: Bool { if case .ipv6 = self { true } else { false } }
}

extension Direction {
    @inline(__always) var isIncoming: Bool { if case .incoming = self { true } else { false } }
}

extension IPAddress {
    /// As `v4`.
    @inline(__always) var v4Bits: UInt32 { UInt32(truncatingIfNeeded: low) }

    @inline(__always)
    func isAtMost(_ other: IPAddress) -> Bool { high != other.high ? high < other.high : low <= other.low }
}

extension MACAddress {
    /// Other than `none`.
    @inline(__always) var isKnown: Bool { bits != .max }
}

/// As in `IPProtocol`.
enum ProtocolNumber {
    @inline(__always) static var icmp: UInt8 { 1 }
    @inline(__always) static var tcp: UInt8 { 6 }
    @inline(__always) static var udp: UInt8 { 17 }
    @inline(__always) static var icmpv6: UInt8 { 58 }
}
