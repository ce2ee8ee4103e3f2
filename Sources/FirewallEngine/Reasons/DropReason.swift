// SPDX-License-Identifier: GPL-3.0-or-later

/// Why a packet was dropped, or what an event reports: one case per row of `ReasonRow.all`. The raw value is dense, for
/// counters; the number that users see is `ReasonRow.number`.
public enum DropReason: UInt8, CaseIterable, Sendable, BitwiseCopyable {
    case logOnly
    case deny
    case outOfConnection
    case invalidFlags
    case invalidSequence
    case invalidACK
    case internalStatesError
    case ceFlags
    case invalidIP
    case invalidIPDatagramLength
    case fragmented
    case invalidFragmentOffset
    case firstFragmentTooSmall
    case fragmentOutOfBounds
    case fragmentOffsetTooSmall
    case ipv6Packet
    case maxIncomingConnections
    case maxOutgoingConnections
    case maxSYNSent
    case ipVersionUnknown
    case invalidPacketInfo
    case internalDriverError
    case unsolicitedUDP
    case unsolicitedICMP
    case outOfAllowedPolicy
    case invalidPortCommand
    case synCookieError
    case invalidDataOffset
    case noIPHeader
    case unreadableEthernetHeader
    case sameSourceAndDestinationIP
    case invalidTCPHeaderLength
    case unreadableProtocolHeader
    case unreadableIPv4Header
    case unknownIPVersion
    case invalidAdapterConfiguration
    case overlappingFragment
    case maximumACKRetransmit
    case packetOnClosedConnection
    case droppedRetransmit
    case outOfAllowedPolicyOpenPort
    case newConnection
    case invalidChecksum
    case ipZeroPayload
    case ipv6SourceIsMulticast
    case invalidIPv6Address
    case ipv6FragmentTooSmall
    case invalidTransportHeaderLength
    case outOfMemory
    case maxTCPConnections
    case maxUDPConnections
    case invalidIPHeaderLength
    case nullIP
    case maxICMPConnections
    case incompleteDatagram
    case ipv6RoutingHeader0
    case unreadableIPv6Header
    case invalidExtensionChain
    case sourceRouted
    case recordRoute
    case spoofedOwnAddress
    case portScan
    case osFingerprint
    case nullScan
    case synfinScan
    case xmasScan
    case blockedSource
    case linkLocalAddress
    case reversePath
    case broadcastSource
    case policyChanged
    case fallbackPolicy
    case connectionClosed
    case connectionRate

    /// How many reasons there are; the length of an array of counters.
    public static let count = 74
}
