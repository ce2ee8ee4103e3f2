// SPDX-License-Identifier: GPL-3.0-or-later

/// What decided that a packet is refused: one setting, posture row, bound, timeout, limit or rule. A reason says what is wrong
/// with the packet; its cause says which of several tests found it, and so what an administrator would have to change.
///
/// One byte, so that findings, steps and events carry it. Words and setting stand in `Cause.row`.
public enum Cause: UInt8, CaseIterable, Sendable, BitwiseCopyable {
    /// Nothing is known of the cause: what the agent reports of itself, and what is no refusal.
    case none

    // Stage V
    /// The packet cannot be read, or says of itself what no packet may.
    case malformed
    /// The checksum of its IPv4 header is wrong.
    case headerChecksum
    /// The copy range cut off what a check needs.
    case copyRange
    case invalidSource
    case reservedAddress
    case nullAddress
    case sourceRoute
    case recordRoute
    case linkLocal
    case ipv6Blocked
    case routingHeader0
    case multicastSource
    case ipv6Reserved
    case ipv6Bogon
    case ipv6SiteLocal
    case ipv6SixToFour
    case sameAddresses
    case ownSource
    case broadcastSource
    case reversePath
    case zeroPayload
    case checksumSetting
    case checksumRow

    // Stage F
    case fragmentsSetting
    case fragmentsRow
    case fragmentFlags
    case fragmentLength
    case minimumFragmentSize
    case fragmentBeyondDatagram
    case minimumFragmentOffset
    case fragmentOverlap
    case smallIPv6Fragment
    /// The first fragment did not come in time.
    case fragmentHold
    /// The datagram was not complete in time.
    case fragmentTimeout
    /// A datagram of the same identification has begun.
    case datagramSuperseded
    /// Too many fragments wait for their first one.
    case fragmentsHeld
    /// No record of another fragmented datagram is kept.
    case fragmentedDatagrams

    // Stage R
    /// An administrator, or a program that names itself in its `block`, has blocked the source.
    case administratorBlock
    /// Reconnaissance detection has blocked it.
    case scannerBlock
    /// A Deny rule: the one that the finding names.
    case denyRule
    /// No Allow or Force Allow rule matches where one is needed.
    case noAllowRule

    // Stage T, by the flags alone
    case zeroFlagsRow
    case synFinRow
    case synRstRow
    case rstFinRow
    case synDataRow
    case urgentRow
    case congestionSetting
    case congestionRow

    // Stage T, by the state
    case splitHandshakeRow
    case invalidTimestampsRow
    case pawsZeroRow
    case rstOutOfConnectionRow
    case finOutOfConnectionRow
    case outgoingOutOfConnectionRow
    /// No connection is known, and the time in which older ones are admitted is over.
    case coldStart
    /// No connection is known and none can be meant.
    case noConnection
    /// A segment after the SYN without ACK.
    case noAcknowledgement
    case belowReach
    case aboveCeiling
    case pastFIN
    case acknowledgesUnsent
    case acknowledgesTooOld
    case selectivelyAcknowledgesUnsent
    case resetOutsideWindow
    /// Before the opening is complete: the numbers are none of its.
    case outsideOpening
    case closedConnection
    case inconsistentEntry
    /// What a control connection announced was refused, and it is read for this setting.
    case ftpIncomingActive
    case ftpOutgoingActive
    case ftpIncomingPassive
    case ftpOutgoingPassive
    case evasiveRetransmitRow
    case tcpAuthOptionRow
    case ackStorm

    // Timeouts: the connection was known, and forgotten.
    case synSentTimeout
    case synReceivedTimeout
    case establishedTimeout
    case finWait1Timeout
    case finWait2Timeout
    case closeWaitTimeout
    case closingTimeout
    case lastACKTimeout
    case timeWaitTimeout
    case closedTimeout
    case udpTimeout
    case udpStreamTimeout
    case icmpTimeout

    // Stage U
    case udpAdmit
    case icmpAdmit

    // Stage C
    case incomingPerComputer
    case outgoingPerComputer
    case halfOpenPerComputer
    case tcpTable
    case udpTable
    case icmpTable
    case memoryLimit
    case halfOpenInAll
    /// The rate of the rule that admits: the one that the finding names.
    case ruleRate
}

/// A set of causes, one bit each. Fixed size, no references.
public struct CauseSet: Hashable, Sendable, BitwiseCopyable {
    /// Bit n stands for the cause with the raw value n.
    public var rawValue: UInt128

    public init(rawValue: UInt128 = 0) { self.rawValue = rawValue }

    public var isEmpty: Bool { rawValue == 0 }

    public mutating func insert(_ cause: Cause) { rawValue |= 1 << UInt128(cause.rawValue) }

    public mutating func remove(_ cause: Cause) { rawValue &= ~(1 << UInt128(cause.rawValue)) }

    public mutating func formUnion(_ other: CauseSet) { rawValue |= other.rawValue }

    public func contains(_ cause: Cause) -> Bool { rawValue >> UInt128(cause.rawValue) & 1 != 0 }

    /// In the order of the packet's way.
    public var causes: [Cause] { Cause.allCases.filter(contains) }

    /// The first member after this one, in the order of the packet's way; the first of all after `none`.
    public func next(after cause: Cause) -> Cause? {
        let rest = (rawValue >> UInt128(cause.rawValue)) >> 1
        return rest == 0 ? nil : Cause(rawValue: cause.rawValue + 1 + UInt8(rest.trailingZeroBitCount))
    }
}
