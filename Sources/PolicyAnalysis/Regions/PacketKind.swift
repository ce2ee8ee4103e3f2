// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// Packets that have the same fields: rules can tell two of one kind apart only by the numbers in these.
package enum PacketKind: Int, CaseIterable, Sendable {
    case tcp4, udp4, icmp4, other4
    /// Neighbour discovery and MLD are a kind of their own: what is said of others does not hold of them.
    case tcp6, udp6, icmp6, discovery6, other6
    case arp, otherFrame

    var isIPv4: Bool { rawValue < 4 }
    var isIPv6: Bool { rawValue >= 4 && rawValue < 9 }
    var isIP: Bool { rawValue < 9 }
    var isTCP: Bool { self == .tcp4 || self == .tcp6 }
    var isUDP: Bool { self == .udp4 || self == .udp6 }
    var isICMP: Bool { self == .icmp4 || self == .icmp6 || self == .discovery6 }

    /// The one protocol of the kind; nil where it has several or none.
    var protocolNumber: UInt8? {
        switch self {
        case .tcp4, .tcp6: IPProtocol.tcp
        case .udp4, .udp6: IPProtocol.udp
        case .icmp4: IPProtocol.icmp
        case .icmp6, .discovery6: IPProtocol.icmpv6
        case .other4, .other6, .arp, .otherFrame: nil
        }
    }

    /// The fields by which its packets differ.
    var dimensions: [Dimension] {
        var dimensions: [Dimension] = isIP ? [.source, .destination] : []
        if isTCP || isUDP { dimensions += [.destinationPort, .sourcePort] }
        if isTCP { dimensions.append(.flags) }
        if isICMP { dimensions.append(.icmp) }
        if isICMP, self != .discovery6 { dimensions.append(.quote) }
        if self == .other4 || self == .other6 { dimensions.append(.protocolNumber) }
        if self == .otherFrame { dimensions.append(.etherType) }
        if isIP { dimensions += [.sourceClass, .destinationClass] }
        return dimensions + [.interface, .sourceMAC, .destinationMAC, .hour] + (isIP ? [.sender] : [])
    }
}

/// What rules look at, each as numbers.
enum Dimension: Int, CaseIterable, Sendable {
    case source, destination
    case destinationPort, sourcePort
    /// The 64 combinations of the rule flags, as in the TCP header.
    case flags
    /// Type times 256, and the code.
    case icmp
    /// Of ICMP errors: 1 where the quoted packet is of a known exchange, else 0.
    case quote
    case protocolNumber
    case etherType
    /// Places in the tables of `PacketUniverse`.
    case interface, sourceMAC, destinationMAC, hour, sender
    /// Of the addresses, by the long lists that have them (`ListClasses`). What these can be depends on the addresses.
    case sourceClass, destinationClass

    /// Of addresses.
    var ofClasses: Dimension { self == .source ? .sourceClass : .destinationClass }
}
