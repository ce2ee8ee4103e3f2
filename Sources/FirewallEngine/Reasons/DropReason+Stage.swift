// SPDX-License-Identifier: GPL-3.0-or-later

extension DropReason {
    /// The stage that raises it. A switch of its own: the packet path reads it for every drop, and the table has strings.
    public var stage: Stage {
        switch self {
        case .logOnly, .deny, .outOfAllowedPolicy, .outOfAllowedPolicyOpenPort, .blockedSource: .rules
        case .outOfConnection, .invalidFlags, .invalidSequence, .invalidACK, .internalStatesError, .ceFlags,
            .invalidPortCommand, .synCookieError, .maximumACKRetransmit, .packetOnClosedConnection, .droppedRetransmit:
            .tracking
        case .invalidIP, .invalidIPDatagramLength, .ipv6Packet, .ipVersionUnknown, .invalidDataOffset, .noIPHeader,
            .unreadableEthernetHeader, .sameSourceAndDestinationIP, .invalidTCPHeaderLength, .unreadableProtocolHeader,
            .unreadableIPv4Header, .unknownIPVersion, .invalidChecksum, .ipZeroPayload, .ipv6SourceIsMulticast,
            .invalidIPv6Address, .invalidTransportHeaderLength, .invalidIPHeaderLength, .nullIP, .ipv6RoutingHeader0,
            .unreadableIPv6Header, .invalidExtensionChain, .sourceRouted, .recordRoute, .spoofedOwnAddress,
            .linkLocalAddress, .reversePath, .broadcastSource:
            .sanity
        case .fragmented, .invalidFragmentOffset, .firstFragmentTooSmall, .fragmentOutOfBounds, .fragmentOffsetTooSmall,
            .overlappingFragment, .ipv6FragmentTooSmall, .incompleteDatagram:
            .fragments
        case .maxIncomingConnections, .maxOutgoingConnections, .maxSYNSent, .newConnection, .maxTCPConnections,
            .maxUDPConnections, .maxICMPConnections, .connectionRate:
            .connections
        case .invalidPacketInfo, .internalDriverError, .invalidAdapterConfiguration, .outOfMemory: .agent
        case .unsolicitedUDP, .unsolicitedICMP: .unsolicited
        case .portScan, .osFingerprint, .nullScan, .synfinScan, .xmasScan, .fallbackPolicy, .policyChanged,
            .connectionClosed:
            .notice
        }
    }

    /// The rule that matched decided, and its name is the event's.
    public var isOfOneRule: Bool { self == .deny || self == .logOnly }

    /// It tells of a connection: that it began, or how it ended.
    public var isOfConnectionLog: Bool { self == .newConnection || self == .connectionClosed }

    /// What the settings under `stateful.tcp` make of a packet: all of stage T, and the limits per computer.
    var isOfStatefulTCP: Bool {
        stage == .tracking || self == .maxIncomingConnections || self == .maxOutgoingConnections || self == .maxSYNSent
    }

    /// A full connection table, which `failure.engine` covers; the limits per computer are policy and always drop.
    var isTableLimit: Bool { self == .maxTCPConnections || self == .maxUDPConnections || self == .maxICMPConnections }
}
