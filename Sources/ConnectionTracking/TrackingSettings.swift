// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

/// The direction of a packet relative to this host (docs/design.md 2: PREROUTING and INPUT are incoming, OUTPUT and
/// POSTROUTING outgoing, FORWARD by the inside interfaces).
public enum Direction: UInt8, Sendable, BitwiseCopyable, CaseIterable {
    case incoming, outgoing
    public var opposite: Direction { self == .incoming ? .outgoing : .incoming }
}

/// `engine.timeouts` of the policy file.
public struct Timeouts: Hashable, Sendable, BitwiseCopyable {
    public var synSent = Instant.Span.seconds(20)
    public var synReceived = Instant.Span.seconds(60)
    public var established = Instant.Span.hours(3)
    public var finWait1 = Instant.Span.minutes(2)
    public var finWait2 = Instant.Span.minutes(2)
    public var closeWait = Instant.Span.minutes(2)
    public var closing = Instant.Span.seconds(30)
    public var lastACK = Instant.Span.seconds(30)
    public var timeWait = Instant.Span.seconds(60)
    public var closed = Instant.Span.seconds(10)
    /// A refused connection is remembered this long after its last packet.
    public var error = Instant.Span.seconds(10)
    /// Before the first answer, and after it.
    public var udp = Instant.Span.seconds(20)
    public var udpStream = Instant.Span.minutes(3)
    public var icmp = Instant.Span.seconds(60)
    /// An incomplete datagram's record, and how long its fragments wait for the first one.
    public var fragment = Instant.Span.seconds(60)
    public var fragmentHold = Instant.Span.seconds(1)
    /// Grace for connections older than the agent, from the kernel's boot and from the agent's start.
    public var bootStart = Instant.Span.seconds(20)
    public var coldStart = Instant.Span.minutes(5)
    /// Equal acknowledgements that are further apart are not in a row.
    public var ackStorm = Instant.Span.seconds(1)

    /// The most that any of them can be.
    public static let longest = Instant.Span.hours(30 * 24)

    public init() {}
}

/// What one row of the anti-evasion posture does with a packet that shows the trait.
public enum PostureAction: UInt8, Sendable, BitwiseCopyable, CaseIterable {
    /// Pass without a word.
    case allow
    /// Pass and write a log-only event.
    case log
    /// Drop with an event.
    case deny
    /// Drop, counted, without an event.
    case denySilent

    public var drops: Bool { self == .deny || self == .denySilent }
}

/// The anti-evasion rows (`engine.anti-evasion`); the initial values are the posture `normal` on Linux.
public struct AntiEvasion: Hashable, Sendable, BitwiseCopyable {
    public var invalidTimestamps = PostureAction.allow
    public var pawsZero = PostureAction.deny
    public var fragments = PostureAction.allow
    public var zeroFlags = PostureAction.deny
    public var congestionFlags = PostureAction.allow
    public var urgentFlags = PostureAction.allow
    public var synFin = PostureAction.deny
    public var synRst = PostureAction.deny
    public var rstFin = PostureAction.deny
    public var synData = PostureAction.deny
    public var splitHandshake = PostureAction.deny
    public var rstOutOfConnection = PostureAction.allow
    public var finOutOfConnection = PostureAction.allow
    public var outgoingOutOfConnection = PostureAction.allow
    public var evasiveRetransmit = PostureAction.allow
    public var checksum = PostureAction.allow
    public var tcpAuthOption = PostureAction.deny
    /// Backward tolerance of the PAWS test (RFC 7323 section 5).
    public var pawsWindow = Instant.Span.seconds(1)

    public init() {}

    public static let normal = AntiEvasion()
    public static let strict: AntiEvasion = {
        var rows = AntiEvasion()
        rows.invalidTimestamps = .deny
        rows.urgentFlags = .deny
        rows.rstOutOfConnection = .deny
        rows.finOutOfConnection = .deny
        rows.outgoingOutOfConnection = .deny
        rows.evasiveRetransmit = .deny
        rows.checksum = .deny
        return rows
    }()
}

/// The limits of `stateful.tcp.limits`, of each computer and of all; `nil` is unlimited.
public struct ComputerLimits: Hashable, Sendable, BitwiseCopyable {
    public var incoming: UInt32?
    public var outgoing: UInt32?
    public var halfOpen: UInt32?
    /// Of all computers together.
    public var halfOpenInAll: UInt32?
    public init() {}
    /// Whether nothing is to be counted for each computer.
    public var areUnlimited: Bool { incoming == nil && outgoing == nil && halfOpen == nil }
}

/// Table limits of `engine.limits`, totals over all workers.
public struct TableLimits: Hashable, Sendable, BitwiseCopyable {
    public var tcp: UInt32 = 1_000_000
    public var udp: UInt32 = 1_000_000
    public var icmp: UInt32 = 10_000
    public var fragmentedDatagrams: UInt32 = 1_000
    /// Bytes of all tables of all workers together; nil is without a bound.
    public var memory: UInt64? = 1 << 30
    public init() {}
}

/// Fragment checks of `engine.sanity` and `stateful.ip`.
public struct FragmentSettings: Hashable, Sendable, BitwiseCopyable {
    /// `stateful.ip.fragments: deny`.
    public var isDenied = false
    /// The anti-evasion row; of it and the setting the stricter one holds.
    public var row = PostureAction.allow
    /// Bytes of a first fragment's total length; 0 is off.
    public var minimumSize: UInt32 = 120
    /// Bytes of a later fragment's offset; 0 is off.
    public var minimumOffset: UInt32 = 60
    /// IPv4 fragments that say they must not be fragmented. RFC 6864 section 4 lets a sender do so, and real ones do.
    public var dontFragmentDenied = false
    /// IPv6 fragments below 1,280 bytes that are not the last.
    public var smallIPv6Denied = true
    public init() {}
}
