// SPDX-License-Identifier: GPL-3.0-or-later

/// Offsets of an ARP packet for IPv4 over Ethernet (RFC 826).
private enum Field {
    static let hardwareType = 0
    static let protocolType = 2
    static let hardwareLength = 4
    static let protocolLength = 5
    static let senderProtocol = 14
    static let targetProtocol = 24
    static let length = 28

    static let ethernet: UInt16 = 1
}

extension PacketHeaders {
    /// Takes the sender's and the target's IPv4 address, for events. An ARP packet of other kinds or with too few bytes has
    /// no addresses and is no malformation: rules match ARP by its frame type alone.
    ///
    /// Deliberately not handled: operation and hardware addresses.
    mutating func decodeARP(_ bytes: RawSpan, at start: Int, _ extent: PacketExtent) {
        network = .arp
        switch extent.reach(start + Field.length) {
        case .present: break
        case .cut:
            isCut = true
            return
        case .beyond: return
        }
        guard bytes.bigEndian16(at: start + Field.hardwareType) == Field.ethernet,
            bytes.bigEndian16(at: start + Field.protocolType) == EtherType.ipv4,
            bytes.byte(at: start + Field.hardwareLength) == 6,
            bytes.byte(at: start + Field.protocolLength) == 4
        else { return }
        source = bytes.ipv4Address(at: start + Field.senderProtocol)
        destination = bytes.ipv4Address(at: start + Field.targetProtocol)
    }
}
