// SPDX-License-Identifier: GPL-3.0-or-later

extension PacketEmitter {
    /// Bytes of the reset that answers such a packet; nil where none does: it is no whole TCP segment, or resets itself
    /// (RFC 9293 section 3.5.2).
    public static func lengthOfReset(answering headers: borrowing PacketHeaders) -> Int? {
        guard headers.isIP, headers.transport == .tcp, !headers.fragment.isFragment, !headers.tcp.flags.contains(.rst)
        else { return nil }
        return headerLength(headers.network) + TCPField.minimumLength
    }

    /// Appends the reset by which a closed port answers a segment (RFC 9293 section 3.10.7.1), from the segment's destination to
    /// its source.
    ///
    /// A segment that acknowledges is answered with the number that it expects next. One that does not gets a number of 0, and an
    /// acknowledgement of all that it holds, which proves to its sender that it was seen.
    ///
    /// - Returns: The bytes appended; 0 where nothing answers such a packet.
    @discardableResult
    public static func appendReset(answering headers: borrowing PacketHeaders, to bytes: inout [UInt8]) -> Int {
        guard let length = lengthOfReset(answering: headers) else { return 0 }
        appendHeader(
            headers.network, IPProtocol.tcp, from: headers.destination, to: headers.source,
            carrying: TCPField.minimumLength, to: &bytes)
        let start = bytes.count
        let segment = headers.tcp
        let acknowledges = segment.flags.contains(.ack)
        bytes.append(bigEndian: headers.destinationPort)
        bytes.append(bigEndian: headers.sourcePort)
        bytes.append(bigEndian: acknowledges ? segment.acknowledgement : 0)
        bytes.append(bigEndian: acknowledges ? 0 : segment.sequence &+ sequenceLength(segment))
        bytes.append(UInt8(TCPField.minimumLength / 4) << 4)
        bytes.append(acknowledges ? TCPFlags.rst.rawValue : (TCPFlags.rst | .ack).rawValue)
        // No window, a checksum that follows, and nothing urgent.
        for _ in 0..<3 { bytes.append(bigEndian: UInt16(0)) }
        let pseudoHeader = TransportChecksum.pseudoHeader(
            headers.network, headers.source, headers.destination, IPProtocol.tcp, TCPField.minimumLength)
        bytes.put(bytes.checksum(from: start, and: pseudoHeader), at: start + tcpChecksumOffset)
        return length
    }

    private static let tcpChecksumOffset = 16

    /// What a segment takes of the sequence numbers (RFC 9293 section 3.4: SEG.LEN).
    private static func sequenceLength(_ segment: TCPFields) -> UInt32 {
        segment.dataLength &+ (segment.flags.contains(.syn) ? 1 : 0) &+ (segment.flags.contains(.fin) ? 1 : 0)
    }
}
