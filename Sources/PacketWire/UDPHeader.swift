// SPDX-License-Identifier: GPL-3.0-or-later

/// Offsets of the UDP header (RFC 768).
enum UDPField {
    static let sourcePort = 0
    static let destinationPort = 2
    static let length = 4
    static let checksum = 6
    static let headerLength = 8
}

extension PacketHeaders {
    /// Decodes the UDP header at `start`. The length field may say less than the IP payload has (RFC 768 leaves the rest
    /// to nobody, RFC 9868 uses it for options); a first fragment has less than it says.
    ///
    /// Deliberately not handled: UDP options; UDP-Lite, which is another protocol.
    mutating func decodeUDP(_ bytes: RawSpan, at start: Int, _ packet: PacketExtent) throws(DecodeError) {
        guard try reachesTransport(start + UDPField.headerLength, packet) else { return }
        transport = .udp
        sourcePort = bytes.bigEndian16(at: start + UDPField.sourcePort)
        destinationPort = bytes.bigEndian16(at: start + UDPField.destinationPort)
        udpLength = bytes.bigEndian16(at: start + UDPField.length)
        let length = Int(udpLength)
        if length == 0, packet.lengthsMayBeZero { return }
        guard length >= UDPField.headerLength else { throw .udpLengthInvalid }
        guard fragment.isFragment || start + length <= packet.end else { throw .udpLengthInvalid }
    }
}
