// SPDX-License-Identifier: GPL-3.0-or-later

/// An IPv4 or IPv6 address as 128 bits in host order; IPv4 stands in its mapped form ::ffff:a.b.c.d (RFC 4291 section
/// 2.5.5.2). The same bits can therefore come from an IPv6 packet: what family a packet is of says
/// `PacketHeaders.network`, never the address.
package struct IPAddress: Hashable, Comparable, Sendable, BitwiseCopyable {
    package var high: UInt64
    package var low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// The IPv4 address of these 32 bits, in host order.
    package init(v4 bits: UInt32) {
        high = 0
        low = 0x0000_ffff_0000_0000 | UInt64(bits)
    }

    package static let zero = IPAddress(high: 0, low: 0)

    /// Whether the bits have the IPv4-mapped form.
    package var isMappedV4: Bool { high == 0 && low >> 32 == 0xffff }
    /// The last 32 bits, which are the IPv4 address where `isMappedV4`.
    package var v4: UInt32 { UInt32(truncatingIfNeeded: low) }

    package static func < (a: IPAddress, b: IPAddress) -> Bool {
        a.high != b.high ? a.high < b.high : a.low < b.low
    }
}

/// A 48-bit MAC address in the low bits; `none` where the kernel or the capture gives no address.
package struct MACAddress: Hashable, Sendable, BitwiseCopyable {
    package var bits: UInt64
    package init(bits: UInt64) { self.bits = bits }
    package static let none = MACAddress(bits: .max)
}
