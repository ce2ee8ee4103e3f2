// SPDX-License-Identifier: GPL-3.0-or-later

/// Offsets of the IPv4 header (RFC 791 section 3.1).
enum IPv4Field {
    static let versionAndHeaderLength = 0
    static let totalLength = 2
    static let identification = 4
    static let flagsAndFragmentOffset = 6
    static let timeToLive = 8
    static let protocolNumber = 9
    static let source = 12
    static let destination = 16
    /// The fixed header; options follow.
    static let minimumLength = 20

    static let dontFragment: UInt16 = 0x4000
    static let moreFragments: UInt16 = 0x2000
    static let fragmentOffset: UInt16 = 0x1fff
}

extension PacketHeaders {
    /// Decodes the IPv4 header at `start` and what follows it. `frame` ends where the frame does: link padding after the
    /// total length is not part of the packet.
    ///
    /// Deliberately not handled: the header checksum (the kernel has checked it before any hook) and the contents of
    /// options (which of them there are, says `options`). Authentication headers (protocol 51) stay the transport of an IPv4 packet.
    mutating func decodeIPv4(
        _ bytes: RawSpan, at start: Int, _ frame: PacketExtent, _ traits: PacketTraits
    ) throws(DecodeError) {
        switch frame.reach(start + IPv4Field.minimumLength) {
        case .present: network = .ipv4
        case .cut:
            isCut = true
            return
        case .beyond:
            network = .ipv4
            throw .ipv4HeaderUnreadable
        }
        decodeIPv4FixedHeader(bytes, at: start)
        let headerLength = Int(bytes.byte(at: start + IPv4Field.versionAndHeaderLength) & 0xf) * 4
        let total = Int(bytes.bigEndian16(at: start + IPv4Field.totalLength))
        try setIPv4Lengths(header: headerLength, total: total, available: frame.end - start, traits)

        let packet = PacketExtent(
            end: start + Int(length), present: frame.present, lengthsMayBeZero: traits.isSegmentationOffload)
        let payload = start + headerLength
        transportOffset = UInt16(truncatingIfNeeded: payload)
        fragment.dataLength = length - UInt32(truncatingIfNeeded: headerLength)
        hasNoPayload = fragment.dataLength == 0
        if headerLength > IPv4Field.minimumLength {
            options = IPv4Options(bytes, from: start + IPv4Field.minimumLength, to: min(payload, packet.present))
        }
        guard payload <= packet.present else {
            isCut = true
            return
        }
        guard fragment.offset == 0 else { return }
        try decodeTransport(bytes, at: payload, packet)
    }

    private mutating func decodeIPv4FixedHeader(_ bytes: RawSpan, at start: Int) {
        source = bytes.ipv4Address(at: start + IPv4Field.source)
        destination = bytes.ipv4Address(at: start + IPv4Field.destination)
        timeToLive = bytes.byte(at: start + IPv4Field.timeToLive)
        protocolNumber = bytes.byte(at: start + IPv4Field.protocolNumber)
        let bits = bytes.bigEndian16(at: start + IPv4Field.flagsAndFragmentOffset)
        fragment.identification = UInt32(bytes.bigEndian16(at: start + IPv4Field.identification))
        fragment.dontFragment = bits & IPv4Field.dontFragment != 0
        fragment.moreFragments = bits & IPv4Field.moreFragments != 0
        fragment.offset = UInt32(bits & IPv4Field.fragmentOffset) * 8
        fragment.isFragment = fragment.moreFragments || fragment.offset != 0
    }

    /// `available` counts the bytes of the frame from the IP header on, cut off or not.
    private mutating func setIPv4Lengths(
        header: Int, total: Int, available: Int, _ traits: PacketTraits
    ) throws(DecodeError) {
        length = UInt32(truncatingIfNeeded: total)
        guard header >= IPv4Field.minimumLength else { throw .ipv4HeaderLengthBelowMinimum }
        guard header <= available else { throw .ipv4HeaderUnreadable }
        guard total <= available else { throw .datagramLengthBeyondPacket }
        if traits.isSegmentationOffload {
            length = UInt32(truncatingIfNeeded: available)
        } else if total < header {
            throw .ipv4HeaderUnreadable
        }
    }
}
