// SPDX-License-Identifier: GPL-3.0-or-later

/// An IPv4 or IPv6 address as 128 bits in host order; IPv4 stands in its mapped form ::ffff:a.b.c.d (RFC 4291 section
/// 2.5.5.2). The same bits can therefore come from an IPv6 packet: what family a packet is of says
/// `PacketHeaders.network`, never the address.
public struct IPAddress: Hashable, Comparable, Sendable, BitwiseCopyable {
    public var high: UInt64
    public var low: UInt64

    @inlinable public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// The IPv4 address of these 32 bits, in host order.
    @inlinable public init(v4 bits: UInt32) {
        high = 0
        low = 0x0000_ffff_0000_0000 | UInt64(bits)
    }

    @inlinable public static var zero: IPAddress { IPAddress(high: 0, low: 0) }

    /// Whether the bits have the IPv4-mapped form.
    @inlinable public var isMappedV4: Bool { high == 0 && low >> 32 == 0xffff }
    /// The last 32 bits, which are the IPv4 address where `isMappedV4`.
    @inlinable public var v4: UInt32 { UInt32(truncatingIfNeeded: low) }

    // Written out, like the operators of `Instant`: those that the compiler makes are called through a table from other
    // modules, for every packet.
    @inlinable public static func == (a: IPAddress, b: IPAddress) -> Bool { a.high == b.high && a.low == b.low }
    @inlinable public static func < (a: IPAddress, b: IPAddress) -> Bool {
        a.high != b.high ? a.high < b.high : a.low < b.low
    }
}

/// A 48-bit MAC address in the low bits; `none` where the kernel or the capture gives no address.
public struct MACAddress: Hashable, Sendable, BitwiseCopyable {
    public var bits: UInt64
    @inlinable public init(bits: UInt64) { self.bits = bits }
    @inlinable public static var none: MACAddress { MACAddress(bits: .max) }
    @inlinable public static func == (a: MACAddress, b: MACAddress) -> Bool { a.bits == b.bits }
}
