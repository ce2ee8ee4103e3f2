// SPDX-License-Identifier: GPL-3.0-or-later

/// Writes the packets that tell a sender that its packet was refused, from what is known of that packet.
///
/// They are appended to a buffer of the caller's, which decides how long one may be: nothing is appended that is longer, and
/// nothing is allocated where the buffer has room for `longest` more bytes. Checksums are filled in.
public enum PacketEmitter {
    /// What a destination unreachable message says (RFC 792, RFC 1812 section 5.2.7.1, RFC 4443 section 3.1).
    public enum Unreachable: UInt8, Sendable, BitwiseCopyable {
        /// Nobody listens at the port.
        case port
        /// Communication is administratively prohibited.
        case prohibited
    }

    /// The most bytes that a packet of these has: an ICMPv6 error (RFC 4443 section 2.4 (c)).
    @inlinable public static var longest: Int { 1280 }

    /// The most bytes of an ICMPv4 error (RFC 1812 section 4.3.2.3).
    static let longestOfIPv4 = 576

    /// As routers set it and most hosts do.
    private static let timeToLive: UInt8 = 64
    /// Internetwork control, for ICMP errors (RFC 1812 section 4.3.2.5).
    private static let precedence: UInt8 = 0xc0

    /// The IP header of an answer, without options. A source of zeros stands for one that the kernel chooses.
    static func appendHeader(
        _ network: NetworkProtocol, _ protocolNumber: UInt8, from source: IPAddress, to destination: IPAddress,
        carrying count: Int, to bytes: inout [UInt8]
    ) {
        let start = bytes.count
        guard network == .ipv4 else {
            let trafficClass = protocolNumber == IPProtocol.icmpv6 ? precedence : 0
            bytes.append(bigEndian: UInt32(6) << 28 | UInt32(trafficClass) << 20)
            bytes.append(bigEndian: UInt16(truncatingIfNeeded: count))
            bytes.append(protocolNumber)
            bytes.append(timeToLive)
            bytes.append(source)
            bytes.append(destination)
            return
        }
        bytes.append(0x45)
        bytes.append(protocolNumber == IPProtocol.icmp ? precedence : 0)
        bytes.append(bigEndian: UInt16(truncatingIfNeeded: IPv4Field.minimumLength + count))
        // Never fragmented, so that the identification says nothing (RFC 6864 section 4.1).
        bytes.append(bigEndian: UInt16(0))
        bytes.append(bigEndian: IPv4Field.dontFragment)
        bytes.append(timeToLive)
        bytes.append(protocolNumber)
        bytes.append(bigEndian: UInt16(0))
        bytes.append(bigEndian: source.v4)
        bytes.append(bigEndian: destination.v4)
        bytes.put(bytes.checksum(from: start), at: start + checksumOffset)
    }

    private static let checksumOffset = 10

    static func headerLength(_ network: NetworkProtocol) -> Int {
        network == .ipv4 ? IPv4Field.minimumLength : IPv6Field.length
    }
}

extension [UInt8] {
    mutating func append(bigEndian value: UInt16) {
        append(UInt8(truncatingIfNeeded: value >> 8))
        append(UInt8(truncatingIfNeeded: value))
    }

    mutating func append(bigEndian value: UInt32) {
        append(bigEndian: UInt16(truncatingIfNeeded: value >> 16))
        append(bigEndian: UInt16(truncatingIfNeeded: value))
    }

    mutating func append(_ address: IPAddress) {
        append(bigEndian: UInt32(truncatingIfNeeded: address.high >> 32))
        append(bigEndian: UInt32(truncatingIfNeeded: address.high))
        append(bigEndian: UInt32(truncatingIfNeeded: address.low >> 32))
        append(bigEndian: UInt32(truncatingIfNeeded: address.low))
    }

    mutating func put(_ value: UInt16, at place: Int) {
        self[place] = UInt8(truncatingIfNeeded: value >> 8)
        self[place + 1] = UInt8(truncatingIfNeeded: value)
    }

    /// The checksum (RFC 1071) of what stands from a place on, whose own field is 0 there, and of what is summed up already.
    func checksum(from start: Int, and more: UInt64 = 0) -> UInt16 {
        var sum = more
        var place = start
        while place + 1 < count {
            sum &+= UInt64(self[place]) << 8 | UInt64(self[place + 1])
            place += 2
        }
        if place < count { sum &+= UInt64(self[place]) << 8 }
        return ~TransportChecksum.fold(sum)
    }
}
