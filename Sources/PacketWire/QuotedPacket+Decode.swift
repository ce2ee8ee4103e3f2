// SPDX-License-Identifier: GPL-3.0-or-later

/// The packet that an ICMP error quotes. What of it cannot be read is left out and is no malformation of the error: routers
/// quote as much as they like, at least the header and eight bytes (RFC 792, RFC 1812 section 4.3.2.3), and its length
/// fields speak of bytes that are not here.
///
/// Deliberately not handled: length and checksum of the quoted packet; its TCP header beyond the sequence number.
extension PacketHeaders {
    mutating func decodeQuotedIPv4(_ bytes: RawSpan, at start: Int, _ packet: PacketExtent) {
        guard reachesQuoted(start + IPv4Field.minimumLength, packet) else { return }
        let first = bytes.byte(at: start + IPv4Field.versionAndHeaderLength)
        let headerLength = Int(first & 0xf) * 4
        guard first >> 4 == 4, headerLength >= IPv4Field.minimumLength else { return }
        quoted.network = .ipv4
        quoted.source = bytes.ipv4Address(at: start + IPv4Field.source)
        quoted.destination = bytes.ipv4Address(at: start + IPv4Field.destination)
        quoted.protocolNumber = bytes.byte(at: start + IPv4Field.protocolNumber)
        let bits = bytes.bigEndian16(at: start + IPv4Field.flagsAndFragmentOffset)
        quoted.isLaterFragment = bits & IPv4Field.fragmentOffset != 0
        decodeQuotedTransport(bytes, at: start + headerLength, packet)
    }

    mutating func decodeQuotedIPv6(_ bytes: RawSpan, at start: Int, _ packet: PacketExtent) {
        guard reachesQuoted(start + IPv6Field.length, packet), bytes.byte(at: start) >> 4 == 6 else { return }
        quoted.network = .ipv6
        quoted.source = bytes.ipv6Address(at: start + IPv6Field.source)
        quoted.destination = bytes.ipv6Address(at: start + IPv6Field.destination)
        let chain = ExtensionChain(
            bytes, from: start + IPv6Field.length, nextHeader: bytes.byte(at: start + IPv6Field.nextHeader), packet)
        quoted.protocolNumber = chain.nextHeader
        switch chain.ending {
        case .upperLayer: decodeQuotedTransport(bytes, at: chain.offset, packet)
        case .laterFragment: quoted.isLaterFragment = true
        case .cut: isCut = true
        case .noNextHeader, .beyond, .illegal: break
        }
    }

    private mutating func decodeQuotedTransport(_ bytes: RawSpan, at start: Int, _ packet: PacketExtent) {
        // Eight bytes hold the ports and the sequence number of TCP, all of UDP, and the identifier of an ICMP query.
        guard !quoted.isLaterFragment, reachesQuoted(start + 8, packet) else { return }
        switch (quoted.protocolNumber, quoted.network) {
        case (IPProtocol.tcp, _):
            quoted.transport = .tcp
            quoted.tcpSequence = bytes.bigEndian32(at: start + TCPField.sequence)
        case (IPProtocol.udp, _): quoted.transport = .udp
        case (IPProtocol.icmp, .ipv4): return decodeQuotedQuery(bytes, at: start, .icmp)
        case (IPProtocol.icmpv6, .ipv6): return decodeQuotedQuery(bytes, at: start, .icmpv6)
        default: return
        }
        quoted.sourcePort = bytes.bigEndian16(at: start + TCPField.sourcePort)
        quoted.destinationPort = bytes.bigEndian16(at: start + TCPField.destinationPort)
    }

    private mutating func decodeQuotedQuery(_ bytes: RawSpan, at start: Int, _ version: TransportProtocol) {
        guard ICMPFields.isQuery(bytes.byte(at: start + ICMPField.type), version) else { return }
        quoted.transport = version
        quoted.icmp = ICMPFields(bytes, at: start, version)
    }

    private mutating func reachesQuoted(_ offset: Int, _ packet: PacketExtent) -> Bool {
        let reach = packet.reach(offset)
        if reach == .cut { isCut = true }
        return reach == .present
    }
}
