// SPDX-License-Identifier: GPL-3.0-or-later

/// The only reads of packet bytes, and the only `unsafe` of the core targets. The standard library calls a load unsafe
/// because it can make any bytes into any type; these make integers, which every bit pattern is. The load itself checks
/// its bounds and traps outside them, so a missing length check in a decoder is a crash and never a read beyond the
/// packet.
extension RawSpan {
    @inline(__always)
    public func byte(at offset: Int) -> UInt8 {
        unsafe unsafeLoad(fromByteOffset: offset, as: UInt8.self)
    }

    @inline(__always)
    public func bigEndian16(at offset: Int) -> UInt16 {
        unsafe UInt16(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self))
    }

    @inline(__always)
    public func bigEndian32(at offset: Int) -> UInt32 {
        unsafe UInt32(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    @inline(__always)
    public func bigEndian64(at offset: Int) -> UInt64 {
        unsafe UInt64(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }

    /// Six bytes.
    @inline(__always)
    public func macAddress(at offset: Int) -> MACAddress {
        MACAddress(bits: UInt64(bigEndian16(at: offset)) << 32 | UInt64(bigEndian32(at: offset + 2)))
    }

    /// Four bytes.
    @inline(__always)
    func ipv4Address(at offset: Int) -> IPAddress {
        IPAddress(v4: bigEndian32(at: offset))
    }

    /// Sixteen bytes.
    @inline(__always)
    func ipv6Address(at offset: Int) -> IPAddress {
        IPAddress(high: bigEndian64(at: offset), low: bigEndian64(at: offset + 8))
    }
}
