// SPDX-License-Identifier: GPL-3.0-or-later

package import PacketWire

extension [UInt8] {
    /// Appends in network byte order.
    package mutating func append(be value: UInt16) {
        append(UInt8(value >> 8))
        append(UInt8(truncatingIfNeeded: value))
    }

    /// Appends in network byte order.
    package mutating func append(be value: UInt32) {
        append(be: UInt16(value >> 16))
        append(be: UInt16(truncatingIfNeeded: value))
    }

    /// Appends in network byte order.
    package mutating func append(be value: UInt64) {
        append(be: UInt32(value >> 32))
        append(be: UInt32(truncatingIfNeeded: value))
    }

    /// Appends four bytes, or sixteen.
    package mutating func append(_ address: IPAddress, isIPv6: Bool) {
        if isIPv6 {
            append(be: address.high)
            append(be: address.low)
        } else {
            append(be: address.v4)
        }
    }

    /// Appends six bytes.
    package mutating func append(_ address: MACAddress) {
        append(be: UInt16(truncatingIfNeeded: address.bits >> 32))
        append(be: UInt32(truncatingIfNeeded: address.bits))
    }

    /// Overwrites two bytes in network byte order.
    package mutating func set(be value: UInt16, at offset: Int) {
        self[offset] = UInt8(value >> 8)
        self[offset + 1] = UInt8(truncatingIfNeeded: value)
    }

    /// The Internet checksum (RFC 1071) as it goes into a header: the complement of the sum.
    package var internetChecksum: UInt16 {
        var sum = 0
        for (index, byte) in enumerated() { sum += index.isMultiple(of: 2) ? Int(byte) << 8 : Int(byte) }
        while sum > 0xffff { sum = sum & 0xffff + sum >> 16 }
        return ~UInt16(sum)
    }
}

/// Tests write addresses as they are read. Text that is no address ends the test run.
extension IPAddress: ExpressibleByStringLiteral {
    package init(stringLiteral text: String) {
        guard let address = IPAddress(parsing: text) else { preconditionFailure("no IP address: \(text)") }
        self = address
    }
}

/// Tests write addresses as they are read. Text that is no address ends the test run.
extension MACAddress: ExpressibleByStringLiteral {
    package init(stringLiteral text: String) {
        guard let address = MACAddress(parsing: text) else { preconditionFailure("no MAC address: \(text)") }
        self = address
    }
}
