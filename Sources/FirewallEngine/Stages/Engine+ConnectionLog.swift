// SPDX-License-Identifier: GPL-3.0-or-later

public import ConnectionTracking
import FirewallPolicy
public import PacketWire

/// The log of connections: notices beside the verdicts, where the policy or a rule asks for them.
extension Engine {
    /// When a policy comes into force.
    mutating func prepareLog() { table.logEnds(of: hot.closingsLogged, isOn: hot.keepsLog) }

    /// Whether the rule that admitted wants to be heard of.
    private mutating func isLogged(_ ruling: RuleDecision) -> Bool {
        guard hot.hasLoggingRules, ruling.rule >= 0, ruling.outcome == .allow || ruling.outcome == .forceAllow else {
            return false
        }
        return policy.rules[Int(ruling.rule)].log
    }

    /// A packet has opened a connection. To be asked only while a log is kept.
    mutating func noteOpened(_ p: inout Inspection, _ i: ConnectionIndex) {
        let isLogged = isLogged(p.ruling)
        table.noteAdmission(of: i, rule: p.ruling.rule, generation: generation, isLogged: isLogged)
        guard !p.isOwnTraffic else { return }
        let kind = TrackedProtocols(table[i].key.trackedProtocol)
        if isLogged || hot.openingsLogged.contains(kind) { p.notices.insert(.newConnection) }
    }

    /// A packet has brought a connection into the table: as its opening, or as one of those that began before.
    mutating func noteInserted(_ p: inout Inspection, _ i: ConnectionIndex) {
        if p.headers.transport == .tcp, !TCPTracker.isOpening(p.headers.tcp) {
            noteAdmitted(i, ruling(on: openingSubject(table[i])))
        } else {
            noteOpened(&p, i)
        }
    }

    /// A connection is there without a packet that is judged now: its opening, with what the kernel said of it, is told.
    mutating func noteOpened(
        _ i: ConnectionIndex, _ headers: PacketHeaders, _ metadata: PacketMetadata, at now: Instant
    ) {
        let ruling = ruling(on: openingSubject(table[i]))
        noteAdmitted(i, ruling)
        let kind = TrackedProtocols(table[i].key.trackedProtocol)
        guard table[i].isLogged || hot.openingsLogged.contains(kind) else { return }
        var event = Event(
            reason: .newConnection, action: .notice, instant: now, metadata: metadata, headers: headers)
        event.rule = ruling.rule
        event.policyEpoch = hot.policyEpoch
        tell(event)
    }

    /// A policy, or what it depends on, has changed, and the connection is admitted still.
    mutating func noteAdmitted(_ i: ConnectionIndex, _ ruling: RuleDecision) {
        table.noteAdmission(of: i, rule: ruling.rule, generation: generation, isLogged: isLogged(ruling))
    }

    /// Both sides have opened the ports of a connection anew that nothing had ended.
    mutating func noteReplaced(_ p: inout Inspection, _ i: ConnectionIndex) {
        table.noteReplaced(i, at: p.now)
        let kind = TrackedProtocols(table[i].key.trackedProtocol)
        guard !table[i].isOwnTraffic, table[i].isLogged || hot.openingsLogged.contains(kind) else { return }
        p.notices.insert(.newConnection)
    }

    /// What has no connection and passes by a rule that wants to be heard of is told packet by packet, as a Log Only rule tells.
    mutating func logAdmitted(_ p: inout Inspection) {
        if p.ruling.logOnlyRule < 0, isLogged(p.ruling) { p.ruling.logOnlyRule = p.ruling.rule }
    }

    private mutating func tell(_ event: Event) {
        counters.noticed[Int(event.reason.rawValue)] &+= 1
        if hot.silenced.contains(event.reason) || outbox.append(event) { return }
        counters.mergedOfPassed[Int(event.reason.rawValue)] &+= 1
    }
}

/// Ends, on their way to the outbox.
extension Engine {
    /// Whether ends wait, or were lost.
    public var hasEnds: Bool { table.hasEnded }
    /// Whether ends wait.
    public var hasMoreEnds: Bool { table.hasMoreEnded }

    /// How many ends found no room since this was asked last.
    public mutating func takeLostEnds() -> UInt64 {
        let lost = table.takeLostEnds()
        counters.noticed[Int(DropReason.connectionClosed.rawValue)] &+= lost
        return lost
    }

    /// Puts ends into the outbox, as many as it has room for; `hasEnds` says whether others are left. To be called after a batch.
    public mutating func reportEnds(at now: Instant) {
        while outbox.events.count < Outbox.capacity, let ended = table.takeEnded() { tell(event(of: ended, at: now)) }
    }

    /// Tells of ends in another table.
    public mutating func report(_ ended: EndedConnection, at now: Instant) { tell(event(of: ended, at: now)) }

    /// Tells the end of a connection that came into no table.
    public mutating func noteEnd(of connection: Connection, as ending: ConnectionEnding) {
        table.noteEnd(of: connection, as: ending)
    }

    /// As `ConnectionTable.endAll`.
    public mutating func endAll(
        as ending: ConnectionEnding, from index: ConnectionIndex, atMost limit: Int
    ) -> ConnectionIndex? { table.endAll(as: ending, from: index, atMost: limit) }

    private mutating func event(of ended: EndedConnection, at now: Instant) -> Event {
        var metadata = PacketMetadata()
        metadata.direction = ended.openingDirection
        if ended.openingDirection == .incoming {
            metadata.inInterface = ended.openingInterface
        } else {
            metadata.outInterface = ended.openingInterface
        }
        var event = Event(
            reason: .connectionClosed, action: .notice, instant: min(now, hot.timeouts.end(of: ended) ?? now),
            metadata: metadata, headers: PacketHeaders(openingOf: ended.key, by: ended.opener))
        event.rule = ended.generation == 0 ? -1 : ended.rule
        event.policyEpoch = epochs[generation: ended.generation] ?? hot.policyEpoch
        event.account = ConnectionAccount(
            ending: ended.ending, stage: ended.stage, opened: ended.opened, lastPacket: ended.lastSeen,
            ofOriginator: ended.ofOpener, ofResponder: ended.ofResponder)
        return event
    }
}

extension Timeouts {
    /// When a connection ended; nil: when that was noticed.
    fileprivate func end(of ended: EndedConnection) -> Instant? {
        switch ended.ending {
        case .fin, .resetByOriginator, .resetByResponder, .replaced: ended.lastSeen
        case .idle: ended.lastSeen + span(of: ended.stage)
        case .policy, .evicted, .limit, .agent: nil
        }
    }
}
