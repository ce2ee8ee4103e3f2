// SPDX-License-Identifier: GPL-3.0-or-later

/// Offsets of the IPv6 header (RFC 8200 section 3).
enum IPv6Field {
    static let payloadLength = 4
    static let nextHeader = 6
    static let hopLimit = 7
    static let source = 8
    static let destination = 24
    static let length = 40
}

extension PacketHeaders {
    /// Decodes the IPv6 header at `start`, its extension headers and what follows them. `frame` ends where the frame does:
    /// link padding after the payload length is not part of the packet.
    ///
    /// Deliberately not handled: traffic class and flow label; the contents of options apart from the jumbo payload.
    mutating func decodeIPv6(
        _ bytes: RawSpan, at start: Int, _ frame: PacketExtent, _ traits: PacketTraits
    ) throws(DecodeError) {
        switch frame.reach(start + IPv6Field.length) {
        case .present: network = .ipv6
        case .cut:
            isCut = true
            return
        case .beyond:
            network = .ipv6
            throw .ipv6HeaderUnreadable
        }
        source = bytes.ipv6Address(at: start + IPv6Field.source)
        destination = bytes.ipv6Address(at: start + IPv6Field.destination)
        timeToLive = bytes.byte(at: start + IPv6Field.hopLimit)
        protocolNumber = bytes.byte(at: start + IPv6Field.nextHeader)
        let payload = start + IPv6Field.length
        transportOffset = UInt16(truncatingIfNeeded: payload)
        let packet = try ipv6Extent(bytes, at: start, frame, traits)
        guard !hasNoPayload, !isCut else { return }
        try decodeIPv6Payload(bytes, at: payload, packet)
    }

    /// Sets `length`; finds out whether a payload length of 0 is legal.
    private mutating func ipv6Extent(
        _ bytes: RawSpan, at start: Int, _ frame: PacketExtent, _ traits: PacketTraits
    ) throws(DecodeError) -> PacketExtent {
        let payload = start + IPv6Field.length
        let said = Int(bytes.bigEndian16(at: start + IPv6Field.payloadLength))
        var end = payload + said
        var mayBeZero = traits.isSegmentationOffload
        if end <= frame.end, traits.isSegmentationOffload {
            end = frame.end
        } else if said == 0, protocolNumber == IPProtocol.hopByHop {
            switch JumboPayload.find(bytes, at: payload, frame) {
            case .length(let jumbo):
                end = payload + Int(jumbo)
                mayBeZero = true
            case .cut:
                isCut = true
                end = frame.end
            case .none:
                // Nothing says then how long the packet is; the kernel takes all there is.
                length = UInt32(truncatingIfNeeded: frame.end - start)
                throw .ipv6HeaderUnreadable
            }
        }
        length = UInt32(truncatingIfNeeded: end - start)
        guard end <= frame.end else { throw .ipv6HeaderUnreadable }
        hasNoPayload = end == payload && !isCut
        return PacketExtent(end: end, present: frame.present, lengthsMayBeZero: mayBeZero)
    }

    private mutating func decodeIPv6Payload(
        _ bytes: RawSpan, at payload: Int, _ packet: PacketExtent
    ) throws(DecodeError) {
        guard ExtensionChain.isExtension(protocolNumber) else {
            return try decodeTransport(bytes, at: payload, packet)
        }
        let chain = ExtensionChain(bytes, from: payload, nextHeader: protocolNumber, packet)
        protocolNumber = chain.nextHeader
        transportOffset = UInt16(truncatingIfNeeded: chain.offset)
        fragment = chain.fragment
        hasRoutingHeaderZero = chain.hasRoutingHeaderZero
        hasSegmentsLeft = chain.hasSegmentsLeft
        switch chain.ending {
        case .upperLayer:
            hasNoPayload = chain.offset == packet.end
            try decodeTransport(bytes, at: chain.offset, packet)
        case .laterFragment: hasNoPayload = chain.offset == packet.end
        case .noNextHeader: hasNoPayload = true
        case .cut: isCut = true
        case .beyond:
            // The first fragment should hold all of them (RFC 7112); whether it must is the policy's choice.
            guard fragment.isFragment else { throw .extensionChainInvalid }
            transportCutByFragmentation = true
        case .illegal: throw .extensionChainInvalid
        }
    }
}
