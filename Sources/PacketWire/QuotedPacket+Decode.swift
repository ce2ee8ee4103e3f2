// SPDX-License-Identifier: GPL-3.0-or-later

/// Offsets of a redirect (RFC 4861 sections 4.5 and 4.6.3).
private enum RedirectField {
    /// After the target and the destination.
    static let options = 40
    static let optionHeader = 8
    static let redirectedHeader: UInt8 = 4
    static let mostOptions = 8
}

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
        case .laterFragment:
            quoted.isLaterFragment = true
            decodeQuotedTransport(bytes, at: chain.offset, packet)
        case .cut: isCut = true
        case .noNextHeader, .beyond, .illegal: break
        }
    }

    /// Finds the Redirected Header option of a redirect (RFC 4861 section 4.6.3), if it is among the first few; it may be left
    /// out.
    mutating func decodeRedirected(_ bytes: RawSpan, at start: Int, _ packet: PacketExtent) {
        var option = start + RedirectField.options
        for _ in 0..<RedirectField.mostOptions {
            guard option + RedirectField.optionHeader <= packet.end,
                reachesQuoted(option + RedirectField.optionHeader, packet)
            else { return }
            let end = option + Int(bytes.byte(at: option + 1)) * 8
            guard end > option else { return }
            if bytes.byte(at: option) == RedirectField.redirectedHeader {
                let extent = PacketExtent(end: min(end, packet.end), present: packet.present)
                return decodeQuotedIPv6(bytes, at: option + RedirectField.optionHeader, extent)
            }
            option = end
        }
    }

    private mutating func decodeQuotedTransport(_ bytes: RawSpan, at start: Int, _ packet: PacketExtent) {
        // Eight bytes hold the ports and the sequence number of TCP, all of UDP, and the identifier of an ICMP query.
        guard reachesQuoted(start + 8, packet) else { return }
        quoted.isLongEnough = true
        guard !quoted.isLaterFragment else { return }
        switch (quoted.protocolNumber, quoted.network) {
        case (IPProtocol.tcp, _):
            quoted.transport = .tcp
            quoted.tcpSequence = bytes.bigEndian32(at: start + TCPField.sequence)
        case (IPProtocol.udp, _): quoted.transport = .udp
        case (IPProtocol.icmp, .ipv4): return decodeQuotedMessage(bytes, at: start, .icmp)
        case (IPProtocol.icmpv6, .ipv6): return decodeQuotedMessage(bytes, at: start, .icmpv6)
        default: return
        }
        quoted.sourcePort = bytes.bigEndian16(at: start + TCPField.sourcePort)
        quoted.destinationPort = bytes.bigEndian16(at: start + TCPField.destinationPort)
    }

    private mutating func decodeQuotedMessage(_ bytes: RawSpan, at start: Int, _ version: TransportProtocol) {
        let message = ICMPFields(bytes, at: start, version)
        quoted.isError = message.isError
        guard ICMPFields.isQuery(message.type, version) else { return }
        quoted.transport = version
        quoted.icmp = message
    }

    private mutating func reachesQuoted(_ offset: Int, _ packet: PacketExtent) -> Bool {
        let reach = packet.reach(offset)
        if reach == .cut { isCut = true }
        return reach == .present
    }
}
