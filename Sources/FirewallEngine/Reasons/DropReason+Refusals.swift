// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
public import PacketWire

extension DropReason {
    /// The stage V reason of a malformation, one to one.
    public init(_ error: DecodeError) {
        switch error {
        case .ethernetHeaderCut: self = .unreadableEthernetHeader
        case .noIPHeader: self = .noIPHeader
        case .versionNeitherFourNorSix: self = .ipVersionUnknown
        case .versionContradictsFrame: self = .unknownIPVersion
        case .ipv4HeaderUnreadable: self = .unreadableIPv4Header
        case .ipv4HeaderLengthBelowMinimum: self = .invalidIPHeaderLength
        case .datagramLengthBeyondPacket: self = .invalidIPDatagramLength
        case .ipv6HeaderUnreadable: self = .unreadableIPv6Header
        case .extensionChainInvalid: self = .invalidExtensionChain
        case .transportHeaderCut: self = .unreadableProtocolHeader
        case .tcpHeaderLengthBelowMinimum: self = .invalidTCPHeaderLength
        case .tcpDataOffsetBeyondPacket: self = .invalidDataOffset
        case .udpLengthInvalid: self = .invalidTransportHeaderLength
        }
    }

    /// The stage C reason of an opening that found no room.
    init(_ refusal: OpeningRefusal) {
        switch refusal {
        case .tableFull(.tcp): self = .maxTCPConnections
        case .tableFull(.udp): self = .maxUDPConnections
        case .tableFull(.icmp): self = .maxICMPConnections
        case .memoryFull: self = .outOfMemory
        case .incomingPerComputer: self = .maxIncomingConnections
        case .outgoingPerComputer: self = .maxOutgoingConnections
        case .halfOpenPerComputer, .halfOpenInAll: self = .maxSYNSent
        }
    }

    /// The stage F reason of a refused fragment.
    init(_ refusal: FragmentRefusal) {
        switch refusal {
        case .fragmented, .fragmentedByRow: self = .fragmented
        case .invalidOffset, .unevenLength: self = .invalidFragmentOffset
        case .firstTooSmall: self = .firstFragmentTooSmall
        case .outOfBounds: self = .fragmentOutOfBounds
        case .offsetTooSmall: self = .fragmentOffsetTooSmall
        case .overlapping: self = .overlappingFragment
        case .ipv6TooSmall: self = .ipv6FragmentTooSmall
        case .holdOver, .recordOver, .tooManyHeld, .noRecord, .superseded: self = .incompleteDatagram
        }
    }

    /// The stage T reason of a refused segment.
    init(_ refusal: TCPRefusal) {
        switch refusal {
        case .invalidFlags: self = .invalidFlags
        case .invalidSequence: self = .invalidSequence
        case .invalidACK: self = .invalidACK
        case .packetOnClosedConnection: self = .packetOnClosedConnection
        case .internalStatesError: self = .internalStatesError
        }
    }
}
