// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

/// The ends of connections, for who logs them. A connection's end is told once, when it comes into a stage in which it is over, or
/// leaves the table before; that of one whose RST its receiver may have ignored only with its entry.
extension ConnectionTable {
    /// Bytes that a log takes before the first end.
    public static var memoryOfLog: Int { ConnectionLog.capacity * MemoryLayout<EndedConnection>.stride }

    /// Has the ends of connections kept: all of these protocols, and of others those that a rule wants logged. When a policy
    /// comes into force, never for a packet.
    public mutating func logEnds(of protocols: TrackedProtocols, isOn: Bool) {
        log.protocols = protocols
        guard isOn != log.isOn else { return }
        log.isOn = isOn
        log.openings = []
        defer { repay() }
        guard isOn else { return }
        log.reserve()
        log.openings.reserveCapacity(capacity)
        for entry in entries { log.openings.append(Self.opening(ofKnown: entry.connection)) }
    }

    /// Of one that was open before anybody asked.
    private static func opening(ofKnown connection: Connection) -> ConnectionLog.Opening {
        let decision = connection[decisionOf: connection.opener]
        return ConnectionLog.Opening(
            opened: connection.openedAt, rule: decision.rule, generation: decision.generation)
    }

    /// Says what admitted a connection, and whether that wants it logged.
    public mutating func noteAdmission(
        of index: ConnectionIndex, rule: Int32, generation: UInt32, isLogged: Bool
    ) {
        guard log.isOn else { return }
        log.openings[Int(index)].rule = rule
        log.openings[Int(index)].generation = generation
        entries[Int(index)].connection.isLogged = isLogged
    }

    /// The ports were opened anew over a connection that nothing had ended: that one has ended so, and another begins.
    public mutating func noteReplaced(_ index: ConnectionIndex, at now: Instant) {
        guard log.isOn else { return }
        if !entries[Int(index)].connection.isEndTold { tell(index, .replaced) }
        beginAgain(index, at: now)
    }

    /// Whether ends, or a number of them, wait.
    public var hasEnded: Bool { !log.isEmpty }

    /// Whether ends wait.
    public var hasMoreEnded: Bool { log.isWaiting }

    /// The oldest end that was not taken yet.
    public mutating func takeEnded() -> EndedConnection? { log.take() }

    /// How many ends found no room since this was asked last.
    public mutating func takeLostEnds() -> UInt64 { log.takeLost() }

    /// Tells the end of every connection from an index on, `limit` places at a time: nobody goes on with them. Returns where to go
    /// on, or nil at the end of the table.
    public mutating func endAll(
        as ending: ConnectionEnding, from index: ConnectionIndex, atMost limit: Int
    ) -> ConnectionIndex? {
        guard log.isOn else { return nil }
        let end = min(entries.count, Int(index) + limit)
        for place in Int(index)..<max(Int(index), end) where entries[place].stage != nil {
            if fastPath.isOn { takeUp(Int32(place)) }
            noteRemoval(of: Int32(place), as: ending)
        }
        return end < entries.count ? Int32(end) : nil
    }

    /// Tells the end of a connection that came into no table.
    public mutating func noteEnd(of connection: Connection, as ending: ConnectionEnding) {
        guard log.isOn, !connection.refusal.isRefused, isToBeTold(connection) else { return }
        let stage = connection.stage
        log.append(
            EndedConnection(
                connection, Self.opening(ofKnown: connection), stage.isOver ? connection.endingOfState : ending))
    }
}

extension ConnectionTable {
    /// A connection has come into the table.
    mutating func noteOpening(_ index: Int32, at now: Instant) {
        let connection = entries[Int(index)].connection
        let isNew = (now - connection.openedAt).nanoseconds < 1_000_000_000
        log.openings[Int(index)] = ConnectionLog.Opening(opened: isNew ? now : connection.openedAt)
    }

    /// Its ports are opened anew, after its end.
    mutating func beginAgain(_ index: Int32, at now: Instant) {
        let connection = entries[Int(index)].connection
        log.openings[Int(index)] = ConnectionLog.Opening(
            opened: now, rule: log.openings[Int(index)].rule, generation: log.openings[Int(index)].generation,
            earlierOfLow: connection.trafficOfLow, earlierOfHigh: connection.trafficOfHigh)
        entries[Int(index)].connection.isEndTold = false
    }

    /// To be called before the ports of what is over are opened anew: a RST that was in doubt has ended it after all.
    mutating func noteReopening(_ index: Int32) {
        if !entries[Int(index)].connection.isEndTold { tell(index, entries[Int(index)].connection.endingOfState) }
    }

    /// A connection has come from one stage into another.
    mutating func noteMove(of index: Int32, from old: ConnectionStage, to stage: ConnectionStage) {
        if stage == .refused {
            if !old.isOver { tell(index, .policy) }
        } else if stage.isOver {
            let connection = entries[Int(index)].connection
            if !old.isOver, old != .refused, !connection.tcp.isResetInDoubt { tell(index, connection.endingOfState) }
        } else if old.isOver || old == .refused {
            entries[Int(index)].connection.isEndTold = false
        }
    }

    /// An entry leaves the table: `ending` is why, where it was not over before; nil: it lives on elsewhere, or never lived.
    mutating func noteRemoval(of index: Int32, as ending: ConnectionEnding?) {
        let connection = entries[Int(index)].connection
        guard !connection.isEndTold, !connection.refusal.isRefused else { return }
        if connection.stage.isOver {
            tell(index, connection.endingOfState)
        } else if let ending {
            tell(index, ending)
        }
    }

    private mutating func tell(_ index: Int32, _ ending: ConnectionEnding) {
        let connection = entries[Int(index)].connection
        entries[Int(index)].connection.isEndTold = true
        guard isToBeTold(connection) else { return }
        log.append(EndedConnection(connection, log.openings[Int(index)], ending))
    }

    /// The agent's own are not: what is told of them over the network would open others.
    private func isToBeTold(_ connection: Connection) -> Bool {
        !connection.isOwnTraffic && !connection.isEndTold
            && (connection.isLogged || log.protocols.contains(TrackedProtocols(connection.key.trackedProtocol)))
    }
}

extension EndedConnection {
    fileprivate init(_ c: Connection, _ opening: ConnectionLog.Opening, _ ending: ConnectionEnding) {
        let low = c.trafficOfLow.since(opening.earlierOfLow)
        let high = c.trafficOfHigh.since(opening.earlierOfHigh)
        self.init(
            key: c.key, opener: c.opener, openingDirection: c.openingDirection, openingInterface: c.openingInterface,
            opened: opening.opened, lastSeen: c.lastSeen, ofOpener: c.opener == .low ? low : high,
            ofResponder: c.opener == .low ? high : low, rule: opening.rule, generation: opening.generation,
            ending: ending, stage: c.stage)
    }
}

extension Traffic {
    fileprivate func since(_ earlier: Traffic) -> Traffic {
        var rest = self
        rest.packets &-= earlier.packets
        rest.bytes &-= earlier.bytes
        return rest
    }
}

extension Connection {
    /// What ended a TCP connection that is over.
    var endingOfState: ConnectionEnding {
        let (originator, responder) = (tcp[opener].marks.contains(.reset), tcp[opener.opposite].marks.contains(.reset))
        if tcp.phase == .timeWait { return .fin }
        // Nobody resets both: it is the policy that had the connection dropped (`close`).
        if originator && responder { return .policy }
        return originator ? .resetByOriginator : responder ? .resetByResponder : .fin
    }
}

extension TCPState {
    /// Closes the connection of a port with itself, where each side is the other.
    public mutating func closeOfOneEndpoint(isReset: Bool) {
        phase = .closed
        if isReset { self[opener].marks.insert(.reset) }
    }
}
