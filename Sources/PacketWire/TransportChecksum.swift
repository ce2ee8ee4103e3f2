// SPDX-License-Identifier: GPL-3.0-or-later

/// The checksum of TCP, UDP, ICMP and ICMPv6 (RFC 1071) over header, data and, except for ICMP over IPv4, the pseudo header
/// (RFC 9293 section 3.1, RFC 8200 section 8.1).
public enum TransportChecksum {
    /// False where the checksum is certainly wrong. `bytes` is the span that `headers` was decoded from, without error.
    ///
    /// True also where it cannot be judged: fragments, packets that were cut, a routing header with segments left (its last
    /// address would enter the sum), other protocols. A UDP checksum of 0 says that there is none, which IPv6 does not
    /// allow (RFC 8200 section 8.1). The caller knows whether the sum is filled in at all.
    ///
    /// Deliberately not handled: the home address option of mobile IPv6, which replaces the source in the sum.
    public static func isValid(_ bytes: RawSpan, _ headers: borrowing PacketHeaders) -> Bool {
        let start = Int(headers.transportOffset)
        var length = Int(headers.networkOffset) + Int(headers.length) - start
        guard headers.isIP, !headers.fragment.isFragment, !headers.hasSegmentsLeft,
            length >= UDPField.headerLength, start + length <= bytes.byteCount
        else { return true }
        switch headers.transport {
        case .none, .other: return true
        case .icmp: return sum(bytes, from: start, length) == allOnes
        case .tcp, .icmpv6: break
        case .udp:
            guard bytes.bigEndian16(at: start + UDPField.checksum) != 0 else { return headers.network == .ipv4 }
            let said = Int(bytes.bigEndian16(at: start + UDPField.length))
            // Bytes after the UDP length are not covered (RFC 768); 0 is a jumbogram or an offload packet.
            if said != 0, said <= length { length = said }
        }
        return fold(sumOfWords(bytes, from: start, length) &+ pseudoHeader(headers, length)) == allOnes
    }

    /// What sum and checksum field add up to when they agree.
    private static let allOnes: UInt16 = 0xffff

    private static func sum(_ bytes: RawSpan, from start: Int, _ length: Int) -> UInt16 {
        fold(sumOfWords(bytes, from: start, length))
    }

    private static func pseudoHeader(_ headers: borrowing PacketHeaders, _ length: Int) -> UInt64 {
        pseudoHeader(headers.network, headers.source, headers.destination, headers.protocolNumber, length)
    }

    /// The same for either direction: the sum does not know source from destination.
    static func pseudoHeader(
        _ network: NetworkProtocol, _ source: IPAddress, _ destination: IPAddress, _ protocolNumber: UInt8,
        _ length: Int
    ) -> UInt64 {
        var sum = UInt64(protocolNumber) &+ UInt64(length)
        if network == .ipv4 {
            sum &+= UInt64(source.v4) &+ UInt64(destination.v4)
        } else {
            sum &+= halves(source.high) &+ halves(source.low)
            sum &+= halves(destination.high) &+ halves(destination.low)
        }
        return sum
    }

    /// The sum of 32-bit words; a packet of 4 GiB stays below 2^63. A short last word is filled up with zeros.
    private static func sumOfWords(_ bytes: RawSpan, from start: Int, _ length: Int) -> UInt64 {
        let end = start + length
        var sum: UInt64 = 0
        var offset = start
        while offset + 8 <= end {
            sum &+= halves(bytes.bigEndian64(at: offset))
            offset += 8
        }
        var shift: UInt64 = 56
        var rest: UInt64 = 0
        while offset < end {
            rest |= UInt64(bytes.byte(at: offset)) << shift
            shift &-= 8
            offset += 1
        }
        return sum &+ halves(rest)
    }

    private static func halves(_ word: UInt64) -> UInt64 { word >> 32 &+ word & 0xffff_ffff }

    static func fold(_ sum: UInt64) -> UInt16 {
        var sum = sum
        while sum > 0xffff { sum = sum >> 16 &+ sum & 0xffff }
        return UInt16(truncatingIfNeeded: sum)
    }
}
