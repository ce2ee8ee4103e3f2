// SPDX-License-Identifier: GPL-3.0-or-later

package import PacketWire

/// The name of an IP protocol as Suricata's EVE log has it, or its number in three digits.
package func protocolName(_ number: UInt8) -> String {
    switch number {
    case IPProtocol.icmp: "ICMP"
    case IPProtocol.igmp: "IGMP"
    case 4: "IP-ENCAP"
    case IPProtocol.tcp: "TCP"
    case IPProtocol.udp: "UDP"
    case 33: "DCCP"
    case 41: "IPv6"
    case 47: "GRE"
    case 50: "ESP"
    case 51: "AH"
    case IPProtocol.icmpv6: "IPv6-ICMP"
    case 88: "EIGRP"
    case 89: "OSPFIGP"
    case 103: "PIM"
    case 112: "VRRP"
    case 115: "L2TP"
    case 132: "SCTP"
    case 136: "UDPLite"
    default: String(repeating: "0", count: number < 10 ? 2 : number < 100 ? 1 : 0) + String(number)
    }
}

extension TCPFlags {
    /// One letter per flag that is set, in the order FIN SYN RST PSH ACK URG ECE CWR and with the letters FSRPAUEC of
    /// Suricata's `flags` keyword: "S", "SA", "FA", "PA", "FPU"; "0" without any.
    package var letters: String {
        flagLetters[Int(rawValue)]
    }
}

/// Of every set of flags.
private let flagLetters: [String] = (0..<256).map { bits in
    let letters = "FSRPAUEC".enumerated().filter { bits & 1 << $0.offset != 0 }.map(\.element)
    return letters.isEmpty ? "0" : String(letters)
}

extension FragmentFields {
    /// "DF", "MF", "DF MF"; "last" for a fragment without more to come; `nil` for a whole datagram that may be fragmented.
    package var bitNames: String? {
        switch (dontFragment, moreFragments) {
        case (true, true): "DF MF"
        case (true, false): "DF"
        case (false, true): "MF"
        case (false, false): isFragment ? "last" : nil
        }
    }
}

extension PacketHeaders {
    /// "IPv4", "IPv6", "ARP", or the EtherType in hexadecimal; `nil` where nothing says.
    package var frameTypeName: String? {
        switch network {
        case .ipv4: return "IPv4"
        case .ipv6: return "IPv6"
        case .arp: return "ARP"
        case .other, .none:
            guard etherType != 0 else { return nil }
            let digits = String(etherType, radix: 16)
            return "0x" + String(repeating: "0", count: 4 - digits.count) + digits
        }
    }

    /// Ports were read: the transport header is complete, or malformed behind them.
    package var hasPorts: Bool {
        switch transport {
        case .tcp, .udp: true
        case .none: sourcePort != 0 || destinationPort != 0
        case .icmp, .icmpv6, .other: false
        }
    }

    /// A TCP header was read, complete or malformed behind its flags.
    package var hasTCPFields: Bool {
        transport == .tcp || (transport == .none && protocolNumber == IPProtocol.tcp && hasPorts)
    }
}
