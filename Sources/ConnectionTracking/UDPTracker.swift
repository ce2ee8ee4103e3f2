// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

/// What is remembered of a pair of UDP endpoints.
public struct UDPState: Hashable, Sendable, BitwiseCopyable {
    /// Both in one byte, so that a connection has no gaps.
    private var marks: UInt8 = 0
    public init() {}

    /// The side that did not open has answered.
    public var hasAnswer: Bool {
        get { marks & 1 != 0 }
        set { marks = marks & ~1 | (newValue ? 1 : 0) }
    }

    /// More than a question and its answer were exchanged: `timeouts.udpStream` holds instead of `timeouts.udp`.
    public var isStream: Bool {
        get { marks & 2 != 0 }
        set { marks = marks & ~2 | (newValue ? 2 : 0) }
    }

    var stage: ConnectionStage { isStream ? .udpStream : hasAnswer ? .udpAnswered : .udp }
}

/// UDP pseudo-state: whatever either endpoint sends to the other within the timeout belongs.
public enum UDPTracker {
    /// From then on what goes on is no late answer.
    private static let streamAfter = Instant.Span.seconds(2)

    /// Notes a datagram of `sender`; every one renews the pair.
    ///
    /// A pair becomes a stream when its opener goes on after an answer, or either side two seconds after the first datagram. One
    /// question with its answers, as of a resolver, does not: it is over soon, and there may be very many of them.
    public static func step(_ connection: inout Connection, sender: Side, at now: Instant) {
        if connection.udp.hasAnswer {
            let goesOn = sender == connection.opener || now - connection.openedAt >= streamAfter
            if goesOn { connection.udp.isStream = true }
        } else if sender != connection.opener {
            connection.udp.hasAnswer = true
        }
        connection.lastSeen = now
    }
}
