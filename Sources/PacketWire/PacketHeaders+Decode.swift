// SPDX-License-Identifier: GPL-3.0-or-later

/// The two ways in, and the choice of the network protocol. Each protocol's own file has its header.
extension PacketHeaders {
    /// Decodes an Ethernet frame. All fields are set anew.
    public mutating func decodeFrame(_ frame: RawSpan, _ traits: PacketTraits) throws(DecodeError) {
        self = PacketHeaders()
        let extent = PacketExtent(frame, traits)
        guard let start = try decodeEthernet(frame, extent) else { return }
        try decodeNetwork(frame, at: start, extent, traits)
    }

    /// Decodes a packet from its network header on. All fields are set anew. `etherType` is what the frame said; 0 where
    /// that is unknown: then the IP version decides. Where it announces a VLAN tag, the tag comes first: of several tags a
    /// device takes off only the outermost.
    public mutating func decodePacket(
        _ bytes: RawSpan, etherType: UInt16, _ traits: PacketTraits
    ) throws(DecodeError) {
        self = PacketHeaders()
        self.etherType = etherType
        let extent = PacketExtent(bytes, traits)
        guard EtherType.isVLAN(etherType) else { return try decodeNetwork(bytes, at: 0, extent, traits) }
        guard let start = try decodeTags(bytes, at: 0, extent) else { return }
        try decodeNetwork(bytes, at: start, extent, traits)
    }

    private mutating func decodeNetwork(
        _ bytes: RawSpan, at start: Int, _ extent: PacketExtent, _ traits: PacketTraits
    ) throws(DecodeError) {
        networkOffset = UInt16(truncatingIfNeeded: start)
        switch etherType {
        case EtherType.ipv4, EtherType.ipv6, EtherType.unknown:
            try decodeIP(bytes, at: start, extent, traits)
        case EtherType.arp:
            length = UInt32(truncatingIfNeeded: extent.end - start)
            decodeARP(bytes, at: start, extent)
        default:
            length = UInt32(truncatingIfNeeded: extent.end - start)
            network = .other
        }
    }

    private mutating func decodeIP(
        _ bytes: RawSpan, at start: Int, _ extent: PacketExtent, _ traits: PacketTraits
    ) throws(DecodeError) {
        switch extent.reach(start + 1) {
        case .present: break
        case .cut:
            isCut = true
            return
        case .beyond: throw .noIPHeader
        }
        switch bytes.byte(at: start) >> 4 {
        case 4:
            guard etherType != EtherType.ipv6 else { throw .versionContradictsFrame }
            etherType = EtherType.ipv4
            try decodeIPv4(bytes, at: start, extent, traits)
        case 6:
            guard etherType != EtherType.ipv4 else { throw .versionContradictsFrame }
            etherType = EtherType.ipv6
            try decodeIPv6(bytes, at: start, extent, traits)
        default: throw .versionNeitherFourNorSix
        }
    }

    /// Decodes what follows the IP header, unless it is a later fragment.
    mutating func decodeTransport(_ bytes: RawSpan, at start: Int, _ packet: PacketExtent) throws(DecodeError) {
        guard !hasNoPayload else {
            transportCutByFragmentation = fragment.isFragment
            return
        }
        switch (protocolNumber, network) {
        case (IPProtocol.tcp, _): try decodeTCP(bytes, at: start, packet)
        case (IPProtocol.udp, _): try decodeUDP(bytes, at: start, packet)
        case (IPProtocol.icmp, .ipv4): try decodeICMP(bytes, at: start, packet)
        case (IPProtocol.icmpv6, .ipv6): try decodeICMPv6(bytes, at: start, packet)
        default: transport = .other
        }
    }

    /// Whether a transport header that ends at `offset` is at hand. Where it is not: cut off and fragmented packets are
    /// marked so, the rest is malformed.
    @inline(__always)
    mutating func reachesTransport(_ offset: Int, _ packet: PacketExtent) throws(DecodeError) -> Bool {
        switch packet.reach(offset) {
        case .present: return true
        case .cut: isCut = true
        case .beyond:
            guard fragment.isFragment else { throw .transportHeaderCut }
            transportCutByFragmentation = true
        }
        return false
    }
}

extension PacketExtent {
    init(_ bytes: RawSpan, _ traits: PacketTraits) {
        self.init(end: max(Int(traits.fullLength), bytes.byteCount), present: bytes.byteCount)
    }
}
