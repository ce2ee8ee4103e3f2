// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking

/// What the trackers say of a refusal, as causes.
extension Cause {
    /// The row of a flag trait.
    init(_ trait: FlagTraits) {
        switch trait {
        case .zeroFlags: self = .zeroFlagsRow
        case .synFin: self = .synFinRow
        case .synRst: self = .synRstRow
        case .rstFin: self = .rstFinRow
        case .synData: self = .synDataRow
        case .urgent: self = .urgentRow
        case .congestion: self = .congestionRow
        default: self = .malformed
        }
    }

    init(_ row: TCPPostureRow) {
        switch row {
        case .invalidTimestamps: self = .invalidTimestampsRow
        case .pawsZero: self = .pawsZeroRow
        case .synData: self = .synDataRow
        case .splitHandshake: self = .splitHandshakeRow
        case .tcpAuthOption: self = .tcpAuthOptionRow
        }
    }

    init(_ fault: TCPFault) {
        switch fault {
        case .belowReach: self = .belowReach
        case .aboveCeiling: self = .aboveCeiling
        case .pastFIN: self = .pastFIN
        case .acknowledgesUnsent: self = .acknowledgesUnsent
        case .acknowledgesTooOld: self = .acknowledgesTooOld
        case .selectivelyAcknowledgesUnsent: self = .selectivelyAcknowledgesUnsent
        case .resetOutsideWindow: self = .resetOutsideWindow
        case .noAcknowledgement: self = .noAcknowledgement
        case .outsideOpening: self = .outsideOpening
        case .closed: self = .closedConnection
        case .inconsistent: self = .inconsistentEntry
        }
    }

    /// A refused step has a row or a fault.
    init(_ step: TCPStep) {
        if let row = step.row {
            self.init(row)
        } else if let fault = step.fault {
            self.init(fault)
        } else {
            self = .none
        }
    }

    init(_ refusal: FragmentRefusal) {
        switch refusal {
        case .fragmented: self = .fragmentsSetting
        case .fragmentedByRow: self = .fragmentsRow
        case .invalidOffset: self = .fragmentFlags
        case .unevenLength: self = .fragmentLength
        case .firstTooSmall: self = .minimumFragmentSize
        case .outOfBounds: self = .fragmentBeyondDatagram
        case .offsetTooSmall: self = .minimumFragmentOffset
        case .overlapping: self = .fragmentOverlap
        case .ipv6TooSmall: self = .smallIPv6Fragment
        case .holdOver: self = .fragmentHold
        case .recordOver: self = .fragmentTimeout
        case .tooManyHeld: self = .fragmentsHeld
        case .noRecord: self = .fragmentedDatagrams
        case .superseded: self = .datagramSuperseded
        }
    }

    init(_ refusal: OpeningRefusal) {
        switch refusal {
        case .tableFull(let kind): self.init(tableOf: kind)
        case .memoryFull: self = .memoryLimit
        case .incomingPerComputer: self = .incomingPerComputer
        case .outgoingPerComputer: self = .outgoingPerComputer
        case .halfOpenPerComputer: self = .halfOpenPerComputer
        case .halfOpenInAll: self = .halfOpenInAll
        }
    }

    init(tableOf kind: TrackedProtocol) {
        switch kind {
        case .tcp: self = .tcpTable
        case .udp: self = .udpTable
        case .icmp: self = .icmpTable
        }
    }

    /// That the time of a connection in this stage was over.
    init(timeoutOf stage: ConnectionStage) {
        switch stage {
        case .synSent: self = .synSentTimeout
        case .synReceived: self = .synReceivedTimeout
        case .established: self = .establishedTimeout
        case .finWait1: self = .finWait1Timeout
        case .finWait2: self = .finWait2Timeout
        case .closeWait: self = .closeWaitTimeout
        case .closing: self = .closingTimeout
        case .lastACK: self = .lastACKTimeout
        case .timeWait: self = .timeWaitTimeout
        case .closed: self = .closedTimeout
        case .udp, .udpAnswered: self = .udpTimeout
        case .udpStream: self = .udpStreamTimeout
        case .icmp: self = .icmpTimeout
        case .refused: self = .none
        }
    }
}

extension Finding {
    /// An opening that found no room.
    init(_ refusal: OpeningRefusal) { self.init(DropReason(refusal), Cause(refusal)) }

    init(_ refusal: FragmentRefusal, posture: PostureAction = .deny) {
        self.init(DropReason(refusal), Cause(refusal), posture: posture)
    }
}
