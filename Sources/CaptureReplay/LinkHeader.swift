// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// Where the network packet starts in a frame, and what the link header says of it.
struct LinkHeader {
    var length: Int
    /// 0: take the IP version.
    var etherType: UInt16
    var sourceMAC = MACAddress.none
    var isLoopback = false
    var course = Course.unknown

    /// What the capturing kernel noted of the packet.
    enum Course {
        case unknown
        case received
        case sent

        /// The packet type of the cooked headers: LINUX_SLL_HOST and LINUX_SLL_OUTGOING; the others are of groups and of others.
        fileprivate init(packetType: UInt16) {
            switch packetType {
            case 0: self = .received
            case 4: self = .sent
            default: self = .unknown
            }
        }
    }

    /// Nil where the frame is shorter than its link header.
    init?(_ link: LinkType, _ frame: RawSpan) {
        switch link {
        case .ethernet:
            self.init(length: 0, etherType: 0)
            isLoopback = LinkHeader.hasZeroAddresses(frame)
        case .rawIP: self.init(length: 0, etherType: 0)
        case .linuxCooked1: self.init(cooked1: frame)
        case .linuxCooked2: self.init(cooked2: frame)
        case .bsdLoopback:
            guard frame.byteCount >= 4 else { return nil }
            self.init(length: 4, etherType: 0)
            isLoopback = true
        }
    }

    private init(length: Int, etherType: UInt16) {
        self.length = length
        self.etherType = etherType
    }

    /// LINKTYPE_LINUX_SLL: packet type, hardware type, address length, address (8 bytes), EtherType.
    private init?(cooked1 frame: RawSpan) {
        guard frame.byteCount >= 16 else { return nil }
        self.init(length: 16, etherType: frame.bigEndian16(at: 14))
        course = Course(packetType: frame.bigEndian16(at: 0))
        if frame.bigEndian16(at: 4) == 6 { sourceMAC = frame.macAddress(at: 6) }
        isLoopback = frame.bigEndian16(at: 2) == LinkHeader.loopbackHardware
    }

    /// LINKTYPE_LINUX_SLL2: EtherType, reserved, interface, hardware type, packet type, address length, address.
    private init?(cooked2 frame: RawSpan) {
        guard frame.byteCount >= 20 else { return nil }
        self.init(length: 20, etherType: frame.bigEndian16(at: 0))
        course = Course(packetType: UInt16(frame.byte(at: 10)))
        if frame.byte(at: 11) == 6 { sourceMAC = frame.macAddress(at: 12) }
        isLoopback = frame.bigEndian16(at: 8) == LinkHeader.loopbackHardware
    }

    /// ARPHRD_LOOPBACK.
    private static let loopbackHardware: UInt16 = 772

    /// Linux captures its loopback interface as Ethernet with addresses of zeros.
    private static func hasZeroAddresses(_ frame: RawSpan) -> Bool {
        guard frame.byteCount >= 14 else { return false }
        return frame.macAddress(at: 0).bits == 0 && frame.macAddress(at: 6).bits == 0
    }
}
