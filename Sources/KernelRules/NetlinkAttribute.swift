// SPDX-License-Identifier: GPL-3.0-or-later

/// One attribute of a netlink message: a length and a type of 16 bits, then the value, padded to 4 bytes (netlink(7)).
package struct NetlinkAttribute {
    package let type: UInt16
    package let value: ArraySlice<UInt8>

    private static let headerBytes = 4
    /// NLA_F_NESTED and NLA_F_NET_BYTEORDER are no part of the type.
    private static let typeMask: UInt16 = 0x3fff

    /// All of them, as far as they are whole.
    package static func all(in bytes: ArraySlice<UInt8>) -> [NetlinkAttribute] {
        var found: [NetlinkAttribute] = []
        var rest = bytes
        while rest.count >= headerBytes {
            let length = Int(rest.native16(at: 0))
            guard length >= headerBytes, length <= rest.count else { break }
            found.append(
                NetlinkAttribute(
                    type: rest.native16(at: 2) & typeMask,
                    value: rest.dropFirst(headerBytes).prefix(length - headerBytes)))
            rest = rest.dropFirst((length + 3) & ~3)
        }
        return found
    }

    var attributes: [NetlinkAttribute] { NetlinkAttribute.all(in: value) }

    /// A string, which the kernel ends with a zero.
    var text: String { value.text }
}

extension [NetlinkAttribute] {
    package subscript(type type: UInt16) -> NetlinkAttribute? { first { $0.type == type } }
}

extension ArraySlice<UInt8> {
    /// Zero where there are not as many bytes; in the order of this machine.
    package func native16(at offset: Int) -> UInt16 {
        UInt16(littleEndian: UInt16(truncatingIfNeeded: number(at: offset, bytes: 2)))
    }

    package func native32(at offset: Int) -> UInt32 {
        UInt32(littleEndian: UInt32(truncatingIfNeeded: number(at: offset, bytes: 4)))
    }

    /// In the order of the network.
    func big16(at offset: Int) -> UInt16 { UInt16(truncatingIfNeeded: number(at: offset, bytes: 2)).byteSwapped }
    func big32(at offset: Int) -> UInt32 { UInt32(truncatingIfNeeded: number(at: offset, bytes: 4)).byteSwapped }

    /// The lowest byte first.
    private func number(at offset: Int, bytes: Int) -> UInt64 {
        guard offset >= 0, offset + bytes <= count else { return 0 }
        return (0..<bytes).reduce(0) { $0 | UInt64(self[startIndex + offset + $1]) << UInt64(8 * $1) }
    }

    /// Up to the first zero.
    var text: String { String(decoding: prefix { $0 != 0 }, as: UTF8.self) }
}
