// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

/// How a connection stands with the policy.
public struct ConnectionStanding: Sendable, BitwiseCopyable {
    /// `Connection.generation`.
    public var generation: UInt32
    public var refusal: Refusal
    public var isOwnTraffic: Bool
    public var isSenderUnknown: Bool
    public var openingMAC: MACAddress
}

/// What is done for every packet of a known connection: each is one call that copies only what it returns. They are mutating
/// although some only read, because the table's address is passed then; a borrowing call copies the whole of it.
extension ConnectionTable {
    public mutating func standing(of index: ConnectionIndex) -> ConnectionStanding {
        let entries = entries.span
        return ConnectionStanding(
            generation: entries[Int(index)].connection.generation, refusal: entries[Int(index)].connection.refusal,
            isOwnTraffic: entries[Int(index)].connection.isOwnTraffic,
            isSenderUnknown: entries[Int(index)].connection.isSenderUnknown,
            openingMAC: entries[Int(index)].connection.openingMAC)
    }

    /// The direction in which packets of this side go.
    public mutating func direction(of index: ConnectionIndex, from side: Side) -> Direction {
        let entries = entries.span
        return entries[Int(index)].connection.direction(of: side)
    }

    /// What the rules said about packets of this side.
    public mutating func decision(of index: ConnectionIndex, for side: Side) -> CachedRuleDecision {
        let entries = entries.span
        return side == .low
            ? entries[Int(index)].connection.decisionOfLow : entries[Int(index)].connection.decisionOfHigh
    }

    public mutating func keep(_ decision: CachedRuleDecision, of index: ConnectionIndex, for side: Side) {
        var entries = entries.mutableSpan
        entries[Int(index)].connection[decisionOf: side] = decision
    }

    /// One step of the TCP state machine (`TCPTracker.step`), in place.
    public mutating func stepTCP(
        _ index: ConnectionIndex, _ s: TCPFields, from side: Side, at now: Instant, _ posture: AntiEvasion,
        unseenBytes: UInt32
    ) -> TCPStep {
        var entries = entries.mutableSpan
        let idle = now - entries[Int(index)].connection.lastSeen
        return TCPTracker.step(
            &entries[Int(index)].connection.tcp, s, from: side, at: now, posture, unseenBytes: unseenBytes, idle: idle)
    }

    /// Notes a datagram of a pair of endpoints that is known.
    public mutating func stepUDP(_ index: ConnectionIndex, from side: Side, bytes: UInt32, at now: Instant) {
        var entries = entries.mutableSpan
        UDPTracker.step(&entries[Int(index)].connection, sender: side, at: now)
        entries[Int(index)].connection.count(bytes: bytes, from: side)
        recordChange(of: index)
    }

    /// Notes a packet that passed: the connection lives on from now, and what the tracker made of it is followed
    /// (`recordChange`). For TCP the opener is the one that its state names; `direction` is this packet's. Returns whether it has
    /// come into another stage.
    @discardableResult
    public mutating func noteSeen(
        _ index: ConnectionIndex, from side: Side, direction: Direction, bytes: UInt32, at now: Instant
    ) -> Bool {
        var entries = entries.mutableSpan
        entries[Int(index)].connection.noteSeen(from: side, direction: direction, bytes: bytes, at: now)
        return recordChange(of: index)
    }
}

extension Connection {
    @inline(__always)
    fileprivate mutating func noteSeen(from side: Side, direction: Direction, bytes: UInt32, at now: Instant) {
        if key.protocolNumber == IPProtocol.tcp, tcp.opener != opener {
            opener = tcp.opener
            openingDirection = opener == side ? direction : direction.opposite
        }
        lastSeen = now
        count(bytes: bytes, from: side)
    }
}
