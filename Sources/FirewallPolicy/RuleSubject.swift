// SPDX-License-Identifier: GPL-3.0-or-later

public import ConnectionTracking
public import PacketWire

/// What rules look at: the fields of a packet, or what a connection stored of its opening packet.
///
/// A field that the packet does not have is marked absent (`hasPorts`, `hasFlags`, `hasICMP`, `hasInterface`,
/// `MACAddress.none`; addresses and protocol by `network`); a criterion on an absent field never matches, also not
/// inverted. `transportIsUnknown` says that the fields exist but are not in this packet.
public struct RuleSubject: Sendable, BitwiseCopyable {
    public var source = IPAddress.zero
    public var destination = IPAddress.zero
    /// `InterfaceTraits.patterns` of the packet's interface.
    public var interfacePatterns: UInt64 = 0
    /// `Policy.scheduleActivity` of the moment.
    public var activeSchedules: UInt64 = 0
    /// `Policy.senders` of who has opened what this packet is of; 0 where nobody of this host has.
    public var senders: UInt64 = 0
    public var sourceMAC = MACAddress.none
    public var destinationMAC = MACAddress.none
    public var etherType: UInt16 = 0
    public var sourcePort: UInt16 = 0
    public var destinationPort: UInt16 = 0
    public var direction = Direction.incoming
    /// The family, which the bits of an address do not tell: an IPv6 packet with mapped addresses is in no IPv4 list.
    public var network = NetworkProtocol.none
    public var protocolNumber: UInt8 = 0
    public var flags = TCPFlags()
    public var icmpType: UInt8 = 0
    public var icmpCode: UInt8 = 0
    /// TCP or UDP.
    public var hasPorts = false
    /// TCP.
    public var hasFlags = false
    /// ICMP or ICMPv6.
    public var hasICMP = false
    /// False for a capture that does not name its interface.
    public var hasInterface = true
    /// A later fragment, or a packet cut before its transport header: ports, flags and ICMP type exist elsewhere.
    public var transportIsUnknown = false
    /// The transport is unknown because so much stands before it: it is neither neighbour discovery nor anything that a built-in
    /// rule is for, whose messages are short and have nothing before them.
    public var hidesTransport = false
    /// False for an ICMP error whose quoted packet belongs to no known exchange.
    public var quotesKnownExchange = true

    public init() {}
}

extension RuleSubject {
    /// The subject that a packet is, once its direction, its interface and the hour are known.
    public init(
        _ headers: PacketHeaders, direction: Direction, interfacePatterns: UInt64, activeSchedules: UInt64
    ) {
        self.init()
        self.direction = direction
        self.interfacePatterns = interfacePatterns
        self.activeSchedules = activeSchedules
        network = headers.network
        etherType = headers.etherType
        source = headers.source
        destination = headers.destination
        sourceMAC = headers.sourceMAC
        destinationMAC = headers.destinationMAC
        protocolNumber = headers.protocolNumber
        setTransport(headers.transport, source: headers.sourcePort, destination: headers.destinationPort)
        flags = headers.tcp.flags
        icmpType = headers.icmp.type
        icmpCode = headers.icmp.code
        if case .none = headers.transport { transportIsUnknown = headers.fragment.isFragment || headers.isCut }
    }

    /// The subject that the packet quoted by an ICMP error was: no MAC addresses, no flags.
    public init(
        quoted packet: QuotedPacket, direction: Direction, interfacePatterns: UInt64, activeSchedules: UInt64
    ) {
        self.init()
        self.direction = direction
        self.interfacePatterns = interfacePatterns
        self.activeSchedules = activeSchedules
        network = packet.network
        etherType = packet.network.isIPv6 ? EtherType.ipv6 : EtherType.ipv4
        source = packet.source
        destination = packet.destination
        protocolNumber = packet.protocolNumber
        setTransport(packet.transport, source: packet.sourcePort, destination: packet.destinationPort)
        icmpType = packet.icmp.type
        icmpCode = packet.icmp.code
        hasFlags = false
        transportIsUnknown = packet.isLaterFragment
    }

    private mutating func setTransport(_ transport: TransportProtocol, source: UInt16, destination: UInt16) {
        switch transport {
        case .tcp:
            hasPorts = true
            hasFlags = true
        case .udp: hasPorts = true
        case .icmp, .icmpv6: hasICMP = true
        case .none, .other: break
        }
        sourcePort = source
        destinationPort = destination
    }
}

extension RuleSubject {
    @inline(__always) var isIP: Bool { network.isIPv4 || network.isIPv6 }

    @inline(__always) var isICMPv6: Bool { network.isIPv6 && protocolNumber == ProtocolNumber.icmpv6 }

    /// Multicast listener discovery 130–132 (RFC 2710) and 143 (RFC 3810), neighbour discovery 133–137 without redirect
    /// (RFC 4861): without them an IPv6 host loses its link.
    @inline(__always) var isNeighbourDiscovery: Bool {
        isICMPv6 && hasICMP && (icmpType >= 130 && icmpType <= 136 || icmpType == 143)
    }

    /// IGMP is to IPv4 what multicast listener discovery is to IPv6: a switch that hears no answer to its queries sends the
    /// host's groups elsewhere (RFC 3376, RFC 4541).
    @inline(__always) var isGroupMembership: Bool { network.isIPv4 && protocolNumber == IPProtocol.igmp }

    /// A later fragment whose fragment header names another extension header, not the protocol (RFC 8200 section 4.5).
    public var protocolIsUnknown: Bool {
        transportIsUnknown && network.isIPv6 && IPv6Extension.contains(protocolNumber)
    }
}

/// The extension headers behind which `PacketHeaders` looks for the protocol.
private enum IPv6Extension {
    static func contains(_ number: UInt8) -> Bool {
        switch number {
        case IPProtocol.hopByHop, IPProtocol.routing, IPProtocol.fragment, IPProtocol.authentication,
            IPProtocol.destinationOptions:
            true
        default: false
        }
    }
}
