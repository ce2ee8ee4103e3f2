// SPDX-License-Identifier: GPL-3.0-or-later

public import ConnectionTracking
import FirewallPolicy
import PacketWire

/// What judging one packet reads of openings without entries (`Engine+Cookies`).
public struct CookieCircumstances: Sendable {
    /// Whether the host sends SYN cookies.
    public var hasSYNCookies = false
    /// Connections that are half-open, of all workers.
    public var halfOpen: UInt32 = 0
    /// Of the packet's ends, those that are listeners for which something is counted.
    public var listeners: [ListenerStanding] = []
    /// The ACK of the packet's endpoints that waits for this host's word.
    public var waiting: WaitingACK?
    /// Whether no other could wait.
    public var lacksRoomToWait = false
    /// What the packet's source has sent that passed without an entry.
    public var unanswered: UnansweredSYNs.Standing?

    public init() {}
}

/// An ACK that has passed and waits.
public struct WaitingACK: Sendable {
    /// The connection that it has opened, if it has.
    public var connection: Connection
    /// What the first of its segments acknowledges, and the last.
    public var acknowledged: UInt32
    public var lastAcknowledged: UInt32

    public init(connection: Connection, acknowledged: UInt32, lastAcknowledged: UInt32) {
        self.connection = connection
        self.acknowledged = acknowledged
        self.lastAcknowledged = lastAcknowledged
    }
}

extension Engine {
    /// Adds what this engine has. Of what several workers count for a listener, or for a computer, the most is told.
    mutating func tell(of packet: PacketIdentity, into told: inout CookieCircumstances, at now: Instant) {
        guard hot.synFlood.usesCookies, let key = packet.keys.first else { return }
        for (address, port) in [(packet.destination, packet.destinationPort), (packet.source, packet.sourcePort)] {
            guard let standing = table.listeners.standing(of: address, port, version: packet.version) else { continue }
            told.note(standing)
        }
        if let place = pendingACKs.find(key) {
            let place = pendingACKs[place]
            told.waiting = WaitingACK(
                connection: place.connection, acknowledged: place.acknowledged,
                lastAcknowledged: place.lastAcknowledged)
        }
        if pendingACKs.lacksRoom(for: key, at: now) { told.lacksRoomToWait = true }
        let standing = unansweredSYNs.standing(of: key, opener: packet.opener(of: key), at: now)
        if let standing, standing.count > told.unanswered?.count ?? 0 { told.unanswered = standing }
    }

    /// Takes them for its own, after the connections.
    mutating func assume(_ told: CookieCircumstances, of packet: PacketIdentity, at now: Instant) {
        hasSYNCookies = told.hasSYNCookies
        shared.assume(halfOpen: told.halfOpen)
        guard hot.synFlood.usesCookies, hasSYNCookies, let key = packet.keys.first else { return }
        let span = hot.timeouts.synReceived
        for standing in told.listeners { table.listeners.assume(standing, at: now, lasting: span) }
        if let unanswered = told.unanswered {
            unansweredSYNs.assume(unanswered, of: key, opener: packet.opener(of: key), at: now, lasting: span)
        }
        if let waiting = told.waiting { assume(waiting, at: now) }
        if told.lacksRoomToWait { pendingACKs.close() }
    }

    private mutating func assume(_ waiting: WaitingACK, at now: Instant) {
        let connection = waiting.connection
        let listener = connection.opener.opposite
        guard
            let listener = table.listeners.take(
                connection.key.address(of: listener), connection.key.portOrIdentifier(of: listener),
                version: connection.key.version),
            pendingACKs.find(connection.key) == nil, let place = pendingACKs.room(for: connection.key, at: now)
        else { return }
        pendingACKs.put(
            PendingACKs.Place(
                connection: connection, end: now + PendingACKs.lifetime, acknowledged: waiting.acknowledged,
                lastAcknowledged: waiting.lastAcknowledged, listener: listener, headers: PacketHeaders(),
                metadata: PacketMetadata()),
            at: place)
    }
}

extension CookieCircumstances {
    fileprivate mutating func note(_ standing: ListenerStanding) {
        let place = listeners.firstIndex {
            $0.address == standing.address && $0.port == standing.port && $0.version == standing.version
        }
        guard let place else { return listeners.append(standing) }
        if standing.mode == .cookies || listeners[place].mode == .ordinary { listeners[place].mode = standing.mode }
        listeners[place].isUnseen = listeners[place].isUnseen || standing.isUnseen
        listeners[place].halfOpen = max(listeners[place].halfOpen, standing.halfOpen)
    }
}

extension PacketIdentity {
    /// The side of its key from which it comes.
    fileprivate func opener(of key: ConnectionKey) -> Side {
        key.address(of: .low) == source && key.portOrIdentifier(of: .low) == sourcePort ? .low : .high
    }
}
