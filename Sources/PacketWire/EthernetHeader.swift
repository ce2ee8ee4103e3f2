// SPDX-License-Identifier: GPL-3.0-or-later

/// EtherTypes (IEEE 802) that the code names.
public enum EtherType {
    /// Where there was no frame.
    public static let unknown: UInt16 = 0
    public static let ipv4: UInt16 = 0x0800
    public static let arp: UInt16 = 0x0806
    public static let ipv6: UInt16 = 0x86dd
    /// VLAN tags: IEEE 802.1Q, 802.1ad (the outer of two), and 802.1ad before it had a number.
    public static let vlan: UInt16 = 0x8100
    public static let serviceVLAN: UInt16 = 0x88a8
    public static let oldServiceVLAN: UInt16 = 0x9100

    package static func isVLAN(_ type: UInt16) -> Bool {
        type == vlan || type == serviceVLAN || type == oldServiceVLAN
    }
}

private enum Field {
    static let destination = 0
    static let source = 6
    static let type = 12
    static let length = 14
    /// Of a VLAN tag, counted from behind the type field that announces it.
    static let tagControl = 0
    static let tagType = 2
    static let tagLength = 4
    static let identifierMask: UInt16 = 0x0fff
    static let maximumTags = 8
}

extension PacketHeaders {
    /// Decodes the Ethernet header and its VLAN tags; returns where the network header starts, or nil if the frame is cut
    /// before that.
    ///
    /// Deliberately not handled: IEEE 802.3 frames with a length instead of a type (LLC and SNAP), PPPoE and MPLS; they
    /// are other traffic under the type field that they have. More than eight tags are other traffic too.
    mutating func decodeEthernet(_ frame: RawSpan, _ extent: PacketExtent) throws(DecodeError) -> Int? {
        guard try reachesEthernet(Field.length, extent) else { return nil }
        destinationMAC = frame.macAddress(at: Field.destination)
        sourceMAC = frame.macAddress(at: Field.source)
        etherType = frame.bigEndian16(at: Field.type)
        return try decodeTags(frame, at: Field.length, extent)
    }

    /// Passes over the VLAN tags that begin at `start` and are announced by `etherType`; the first one counts.
    mutating func decodeTags(_ frame: RawSpan, at start: Int, _ extent: PacketExtent) throws(DecodeError) -> Int? {
        var start = start
        var tags = 0
        while EtherType.isVLAN(etherType), tags < Field.maximumTags {
            guard try reachesEthernet(start + Field.tagLength, extent) else { return nil }
            let control = frame.bigEndian16(at: start + Field.tagControl)
            if tags == 0 { vlan = control & Field.identifierMask }
            etherType = frame.bigEndian16(at: start + Field.tagType)
            start += Field.tagLength
            tags += 1
        }
        return start
    }

    private mutating func reachesEthernet(_ offset: Int, _ extent: PacketExtent) throws(DecodeError) -> Bool {
        switch extent.reach(offset) {
        case .present: return true
        case .cut: isCut = true
        case .beyond: throw .ethernetHeaderCut
        }
        return false
    }
}
