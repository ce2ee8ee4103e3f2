// SPDX-License-Identifier: GPL-3.0-or-later

extension DropReason {
    /// Everything that can decide for this reason, in the order of the packet's way. A test raises each of them.
    public var causes: [Cause] {
        switch self {
        case .deny: [.denyRule]
        case .outOfConnection:
            Cause.timeoutsOfTCP + Cause.rowsOutOfConnection + [.coldStart, .noAllowRule, .noConnection]
        case .invalidFlags:
            [
                .zeroFlagsRow, .synFinRow, .synRstRow, .rstFinRow, .synDataRow, .urgentRow, .splitHandshakeRow,
                .noAcknowledgement, .tcpAuthOptionRow,
            ]
        case .invalidSequence:
            [
                .invalidTimestampsRow, .pawsZeroRow, .belowReach, .aboveCeiling, .pastFIN, .resetOutsideWindow,
                .outsideOpening,
            ]
        case .invalidACK:
            [.acknowledgesUnsent, .acknowledgesTooOld, .selectivelyAcknowledgesUnsent, .outsideOpening]
        case .internalStatesError: [.inconsistentEntry]
        case .ceFlags: [.congestionRow, .congestionSetting]
        case .packetOnClosedConnection: [.closedConnection]
        case .invalidPortCommand:
            [.ftpIncomingActive, .ftpOutgoingActive, .ftpIncomingPassive, .ftpOutgoingPassive]
        case .maximumACKRetransmit: [.ackStorm]
        case .droppedRetransmit: [.evasiveRetransmitRow]
        case .fragmented: [.fragmentsSetting, .fragmentsRow]
        case .invalidFragmentOffset: [.fragmentFlags, .fragmentLength]
        case .firstFragmentTooSmall: [.minimumFragmentSize]
        case .fragmentOutOfBounds: [.fragmentBeyondDatagram]
        case .fragmentOffsetTooSmall: [.minimumFragmentOffset]
        case .overlappingFragment: [.fragmentOverlap]
        case .ipv6FragmentTooSmall: [.smallIPv6Fragment]
        case .incompleteDatagram:
            [.fragmentHold, .fragmentTimeout, .datagramSuperseded, .fragmentsHeld, .fragmentedDatagrams]
        case .maxIncomingConnections: [.incomingPerComputer]
        case .maxOutgoingConnections: [.outgoingPerComputer]
        case .maxSYNSent: [.halfOpenPerComputer, .halfOpenInAll]
        case .maxTCPConnections: [.tcpTable]
        case .maxUDPConnections: [.udpTable]
        case .maxICMPConnections: [.icmpTable]
        case .connectionRate: [.ruleRate]
        case .outOfMemory: [.memoryLimit]
        case .unsolicitedUDP: [.udpTimeout, .udpStreamTimeout, .udpAdmit]
        case .unsolicitedICMP: [.icmpTimeout, .icmpAdmit]
        case .outOfAllowedPolicy: DropReason.outOfAllowedPolicyOpenPort.causes + [.icmpTimeout]
        case .outOfAllowedPolicyOpenPort:
            [.noAllowRule, .coldStart] + Cause.timeoutsOfTCP + [.udpTimeout, .udpStreamTimeout]
        case .blockedSource: [.administratorBlock, .scannerBlock]
        case .invalidPacketInfo: [.copyRange, .malformed]
        default: causesOfSanity
        }
    }

    private var causesOfSanity: [Cause] {
        switch self {
        case .invalidIP: [.invalidSource, .reservedAddress]
        case .ipv6Packet: [.ipv6Blocked]
        case .ipv6RoutingHeader0: [.routingHeader0]
        case .ipv6SourceIsMulticast: [.multicastSource]
        case .invalidIPv6Address: [.ipv6Reserved, .ipv6Bogon, .ipv6SiteLocal, .ipv6SixToFour]
        case .sameSourceAndDestinationIP: [.sameAddresses]
        case .ipZeroPayload: [.zeroPayload]
        case .invalidChecksum: [.headerChecksum, .checksumSetting, .checksumRow]
        case .nullIP: [.nullAddress]
        case .sourceRouted: [.sourceRoute]
        case .recordRoute: [.recordRoute]
        case .spoofedOwnAddress: [.ownSource]
        case .linkLocalAddress: [.linkLocal]
        case .reversePath: [.reversePath]
        case .broadcastSource: [.broadcastSource]
        default: row.stage == .sanity ? [.malformed] : []
        }
    }
}

extension Cause {
    /// A connection in one of these stages can be forgotten and its next packet still be one of it.
    fileprivate static let timeoutsOfTCP: [Cause] = [
        .synSentTimeout, .synReceivedTimeout, .establishedTimeout, .finWait1Timeout, .finWait2Timeout,
        .closeWaitTimeout, .closingTimeout, .lastACKTimeout, .timeWaitTimeout, .closedTimeout,
    ]

    fileprivate static let rowsOutOfConnection: [Cause] = [
        .rstOutOfConnectionRow, .finOutOfConnectionRow, .outgoingOutOfConnectionRow,
    ]
}
