// SPDX-License-Identifier: GPL-3.0-or-later

/// How a capture's frames begin.
enum LinkType: Equatable {
    case ethernet
    case rawIP
    case linuxCooked1
    case linuxCooked2
    /// A 32-bit address family in the byte order of the capturing host (null) or of the network (loop).
    case bsdLoopback

    /// - Parameter number: as files have it: LINKTYPE_, of tcpdump.org's list. Raw IP has had several in its time.
    init?(_ number: UInt16) {
        switch number {
        case 1: self = .ethernet
        case 12, 14, 101, 228, 229: self = .rawIP
        case 113: self = .linuxCooked1
        case 276: self = .linuxCooked2
        case 0, 108: self = .bsdLoopback
        default: return nil
        }
    }

    /// What is met most, of those that cannot be replayed.
    static func name(_ number: UInt16) -> String {
        let names: [UInt16: String] = [
            6: "IEEE802_5", 9: "PPP", 50: "PPP_HDLC", 51: "PPP_ETHER", 105: "IEEE802_11", 119: "IEEE802_11_PRISM",
            127: "IEEE802_11_RADIOTAP", 163: "IEEE802_11_AVS", 187: "BLUETOOTH_HCI_H4", 189: "USB_LINUX",
            192: "PPI", 195: "IEEE802_15_4_WITHFCS", 201: "BLUETOOTH_HCI_H4_WITH_PHDR", 220: "USB_LINUX_MMAPPED",
            227: "CAN_SOCKETCAN", 239: "NFLOG", 249: "USBPCAP", 253: "NETLINK", 258: "PKTAP",
        ]
        return names[number] ?? "\(number)"
    }

    static let replayed =
        "Ethernet (EN10MB), raw IP (RAW), Linux cooked (LINUX_SLL, LINUX_SLL2) or BSD loopback (NULL, LOOP)"
}
