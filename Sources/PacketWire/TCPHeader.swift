// SPDX-License-Identifier: GPL-3.0-or-later

/// Offsets of the TCP header (RFC 9293 section 3.1).
enum TCPField {
    static let sourcePort = 0
    static let destinationPort = 2
    static let sequence = 4
    static let acknowledgement = 8
    static let dataOffset = 12
    static let flags = 13
    static let window = 14
    static let urgentPointer = 18
    /// The fixed header; options follow.
    static let minimumLength = 20
}

extension PacketHeaders {
    /// Decodes the TCP header at `start` and its options.
    ///
    /// Deliberately not handled: the reserved bits, and with them the AE bit of accurate ECN; the checksum
    /// (`TransportChecksum`).
    mutating func decodeTCP(_ bytes: RawSpan, at start: Int, _ packet: PacketExtent) throws(DecodeError) {
        guard try reachesTransport(start + TCPField.minimumLength, packet) else { return }
        decodeTCPFixedHeader(bytes, at: start)
        let headerLength = Int(bytes.byte(at: start + TCPField.dataOffset) >> 4) * 4
        let data = start + headerLength
        guard headerLength >= TCPField.minimumLength else {
            transport = .tcp
            throw .tcpHeaderLengthBelowMinimum
        }
        guard data <= packet.end else {
            guard !fragment.isFragment else {
                transportCutByFragmentation = true
                return
            }
            transport = .tcp
            throw .tcpDataOffsetBeyondPacket
        }
        transport = .tcp
        tcp.dataOffset = UInt16(truncatingIfNeeded: data)
        tcp.dataLength = UInt32(truncatingIfNeeded: packet.end - data)
        guard headerLength > TCPField.minimumLength else { return }
        tcp.decodeOptions(bytes, from: start + TCPField.minimumLength, to: min(data, packet.present))
        guard data > packet.present else { return }
        isCut = true
        // What was cut away is not what is wrong with an option.
        tcp.authentication.remove(.unreadable)
        if tcp.flags.contains(.syn) { tcp.assumeOptions() }
    }

    private mutating func decodeTCPFixedHeader(_ bytes: RawSpan, at start: Int) {
        sourcePort = bytes.bigEndian16(at: start + TCPField.sourcePort)
        destinationPort = bytes.bigEndian16(at: start + TCPField.destinationPort)
        tcp.sequence = bytes.bigEndian32(at: start + TCPField.sequence)
        tcp.acknowledgement = bytes.bigEndian32(at: start + TCPField.acknowledgement)
        tcp.flags = TCPFlags(rawValue: bytes.byte(at: start + TCPField.flags))
        tcp.window = bytes.bigEndian16(at: start + TCPField.window)
        tcp.urgentPointer = bytes.bigEndian16(at: start + TCPField.urgentPointer)
    }
}
