// SPDX-License-Identifier: GPL-3.0-or-later

extension PacketEmitter {
    /// Bytes of the ICMP error about a packet that is as long as its quotation may be; nil where it would be longer than `limit`
    /// without quoting all headers and eight bytes more (RFC 792), by which its receiver knows which of its packets is meant.
    ///
    /// `present` is the number of bytes that there are of what `headers` was decoded from.
    public static func lengthOfUnreachable(
        quoting headers: borrowing PacketHeaders, present: Int, atMost limit: Int
    ) -> Int? {
        guard headers.isIP, headers.fragment.offset == 0 else { return nil }
        let fixed = headerLength(headers.network) + ICMPField.headerLength
        let start = Int(headers.networkOffset)
        let length = min(Int(headers.length), max(0, present - start))
        let least = min(Int(headers.length), Int(headers.transportOffset) - start + quotedBytesAtLeast)
        let most = min(limit, headers.network == .ipv4 ? longestOfIPv4 : longest) - fixed
        let quoted = min(length, most)
        return quoted >= least && least > 0 ? fixed + quoted : nil
    }

    /// Of what follows the quoted header (RFC 792).
    private static let quotedBytesAtLeast = 8

    /// Appends the ICMP or ICMPv6 error that says why a packet got no further, to its source.
    ///
    /// - Parameters:
    ///   - code: what it says.
    ///   - headers: of the packet.
    ///   - packet: the bytes that they were decoded from.
    ///   - source: whose address it bears. Zeros are for one that the kernel chooses: the checksum of ICMPv6 is then the
    ///     kernel's to make, too.
    ///   - limit: the most bytes that it may have.
    ///   - bytes: what it is appended to.
    /// - Returns: The bytes appended; 0 where there is no such message of that length.
    @discardableResult
    public static func appendUnreachable(
        _ code: Unreachable, quoting headers: borrowing PacketHeaders, _ packet: RawSpan, from source: IPAddress,
        atMost limit: Int, to bytes: inout [UInt8]
    ) -> Int {
        guard let length = lengthOfUnreachable(quoting: headers, present: packet.byteCount, atMost: limit) else {
            return 0
        }
        let isIPv4 = headers.network == .ipv4
        let message = length - headerLength(headers.network)
        let number = isIPv4 ? IPProtocol.icmp : IPProtocol.icmpv6
        appendHeader(headers.network, number, from: source, to: headers.source, carrying: message, to: &bytes)
        let start = bytes.count
        bytes.append(isIPv4 ? ICMPType.destinationUnreachable : ICMPv6Type.destinationUnreachable)
        bytes.append(isIPv4 ? code.ofICMP : code.ofICMPv6)
        // The checksum follows; the rest is unused.
        for _ in 0..<3 { bytes.append(bigEndian: UInt16(0)) }
        let first = Int(headers.networkOffset)
        for place in first..<first + message - ICMPField.headerLength { bytes.append(packet.byte(at: place)) }
        if isIPv4 {
            bytes.put(bytes.checksum(from: start), at: start + icmpChecksumOffset)
        } else if source != .zero {
            let pseudoHeader = TransportChecksum.pseudoHeader(.ipv6, source, headers.source, number, message)
            bytes.put(bytes.checksum(from: start, and: pseudoHeader), at: start + icmpChecksumOffset)
        }
        return length
    }

    private static let icmpChecksumOffset = 2
}

extension PacketEmitter.Unreachable {
    fileprivate var ofICMP: UInt8 { self == .port ? 3 : 13 }
    fileprivate var ofICMPv6: UInt8 { self == .port ? 4 : 1 }
}
