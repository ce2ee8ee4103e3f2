// SPDX-License-Identifier: GPL-3.0-or-later

package import PacketWire

/// The direction of a packet relative to this host (DESIGN section 2: PREROUTING and INPUT are incoming, OUTPUT and
/// POSTROUTING outgoing, FORWARD by the inside interfaces).
package enum Direction: UInt8, Sendable, BitwiseCopyable, CaseIterable {
    case incoming, outgoing
    package var opposite: Direction { self == .incoming ? .outgoing : .incoming }
}

/// `engine.timeouts` of the policy file.
package struct Timeouts: Hashable, Sendable, BitwiseCopyable {
    package var synSent = Instant.Span.seconds(20)
    package var synReceived = Instant.Span.seconds(60)
    package var established = Instant.Span.hours(3)
    package var finWait1 = Instant.Span.minutes(2)
    package var finWait2 = Instant.Span.minutes(2)
    package var closeWait = Instant.Span.minutes(2)
    package var closing = Instant.Span.seconds(30)
    package var lastACK = Instant.Span.seconds(30)
    package var timeWait = Instant.Span.seconds(60)
    package var closed = Instant.Span.seconds(10)
    /// A refused connection is remembered this long after its last packet.
    package var error = Instant.Span.seconds(10)
    /// Before the first answer, and after it.
    package var udp = Instant.Span.seconds(20)
    package var udpStream = Instant.Span.minutes(3)
    package var icmp = Instant.Span.seconds(60)
    /// An incomplete datagram's record, and how long its fragments wait for the first one.
    package var fragment = Instant.Span.seconds(60)
    package var fragmentHold = Instant.Span.seconds(1)
    /// Grace for connections older than the agent, from the kernel's boot and from the agent's start.
    package var bootStart = Instant.Span.seconds(20)
    package var coldStart = Instant.Span.minutes(5)
    package var ackStorm = Instant.Span.seconds(1)

    package init() {}
}

/// What one row of the anti-evasion posture does with a packet that shows the trait.
package enum PostureAction: UInt8, Sendable, BitwiseCopyable, CaseIterable {
    /// Pass without a word.
    case allow
    /// Pass and write a log-only event.
    case log
    /// Drop with an event.
    case deny
    /// Drop, counted, without an event.
    case denySilent

    package var drops: Bool { self == .deny || self == .denySilent }
}

/// The anti-evasion rows (`engine.anti-evasion`); the initial values are the posture `normal` on Linux.
package struct AntiEvasion: Hashable, Sendable, BitwiseCopyable {
    package var invalidTimestamps = PostureAction.allow
    package var pawsZero = PostureAction.deny
    package var fragments = PostureAction.allow
    package var zeroFlags = PostureAction.deny
    package var congestionFlags = PostureAction.allow
    package var urgentFlags = PostureAction.allow
    package var synFin = PostureAction.deny
    package var synRst = PostureAction.deny
    package var rstFin = PostureAction.deny
    package var synData = PostureAction.deny
    package var splitHandshake = PostureAction.deny
    package var rstOutOfConnection = PostureAction.allow
    package var finOutOfConnection = PostureAction.allow
    package var outgoingOutOfConnection = PostureAction.allow
    package var evasiveRetransmit = PostureAction.allow
    package var checksum = PostureAction.allow
    /// Backward tolerance of the PAWS test (RFC 7323 section 5).
    package var pawsWindow = Instant.Span.seconds(1)

    package init() {}

    package static let normal = AntiEvasion()
    package static let strict: AntiEvasion = {
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

/// Per-computer limits of `stateful.tcp.limits`; `nil` is unlimited.
package struct ComputerLimits: Hashable, Sendable, BitwiseCopyable {
    package var incoming: UInt32?
    package var outgoing: UInt32?
    package var halfOpen: UInt32?
    package init() {}
    package var areUnlimited: Bool { incoming == nil && outgoing == nil && halfOpen == nil }
}

/// Table limits of `engine.limits`, totals over all workers.
package struct TableLimits: Hashable, Sendable, BitwiseCopyable {
    package var tcp: UInt32 = 1_000_000
    package var udp: UInt32 = 1_000_000
    package var icmp: UInt32 = 10_000
    package var fragmentedDatagrams: UInt32 = 1_000
    package init() {}
}

/// Fragment checks of `engine.sanity` and `stateful.ip`.
package struct FragmentSettings: Hashable, Sendable, BitwiseCopyable {
    /// What happens to every fragment: the stricter of `stateful.ip.fragments` and the anti-evasion row.
    package var all = PostureAction.allow
    /// Bytes of a first fragment's total length; 0 is off.
    package var minimumSize: UInt32 = 120
    /// Bytes of a later fragment's offset; 0 is off.
    package var minimumOffset: UInt32 = 60
    /// IPv6 fragments below 1,280 bytes that are not the last.
    package var smallIPv6Denied = true
    package init() {}
}
