// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

/// What is remembered of a pair of UDP endpoints.
public struct UDPState: Hashable, Sendable, BitwiseCopyable {
    /// The side that did not open has answered: `timeouts.udpStream` holds instead of `timeouts.udp`.
    public var hasAnswer = false
    public init() {}
}

/// UDP pseudo-state: whatever either endpoint sends to the other within the timeout belongs.
public enum UDPTracker {
    /// Notes a datagram of `sender`; every one renews the pair.
    public static func step(_ connection: inout Connection, sender: Side, at now: Instant) {
        if sender != connection.opener { connection.udp.hasAnswer = true }
        connection.lastSeen = now
    }
}
