// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire

/// Connections that begin: stage C, and what is remembered of the refused ones.
extension Engine {
    /// A new entry for the connection that this packet opens.
    mutating func newConnection(_ p: inout Inspection, _ packet: KeyedPacket) -> Connection {
        var c = Connection(
            key: packet.key, opener: packet.sender, openingDirection: p.direction, at: p.now,
            openingInterface: p.interface, openingMAC: p.headers.sourceMAC)
        c.generation = generation
        c.isOwnTraffic = p.isOwnTraffic
        c.isAnnounced = p.isAnnounced
        return c
    }

    /// Puts an admitted opening into the table, with what the rules said of it, and counts it for the listener that it is to.
    mutating func insert(
        _ p: inout Inspection, _ opening: Connection, to listener: ListenerLoads.Index? = nil
    ) -> Finding? {
        if p.leavesNoTrace { return shortage(&p, opening, replaces: false) }
        do {
            let i = try table.insert(opening, at: p.now)
            if let listener { table.assign(i, to: listener) }
            if hot.readsPayload { forgetPayload(of: opening.key) }
            cache(&p, i, opening.opener)
            table[i].count(bytes: p.headers.length, from: opening.opener)
            if hot.keepsLog { noteInserted(&p, i) }
            if records(&p) { record(.opened) }
            if opening.isAnnounced { expectNoMore(&p) }
            return nil
        } catch {
            let finding = Finding(error)
            giveBackToRate(&p)
            rememberRefused(&p, opening, finding)
            return finding
        }
    }

    /// Opens a connection anew that is over: the limits are asked as for another one.
    mutating func reopen(_ p: inout Inspection, _ i: ConnectionIndex, _ side: Side) -> Finding? {
        if p.leavesNoTrace {
            var opening = newConnection(&p, KeyedPacket(key: table[i].key, sender: side))
            opening.tcp = TCPTracker.open(p.headers.tcp, from: side, at: p.now)
            return shortage(&p, opening, replaces: true)
        }
        do {
            try table.reopen(i, opener: side, direction: p.direction, at: p.now)
        } catch {
            giveBackToRate(&p)
            return Finding(error)
        }
        table[i].openingDirection = p.direction
        table[i].openingInterface = p.interface
        table[i].openingMAC = p.headers.sourceMAC
        table[i].isSenderUnknown = false
        table[i].isOwnTraffic = p.isOwnTraffic
        table[i].isAnnounced = p.isAnnounced
        if p.isAnnounced { expectNoMore(&p) }
        if hot.keepsLog { noteOpened(&p, i) }
        return nil
    }

    /// The first limit that still keeps an opening out, where others are taken as turned.
    private mutating func shortage(_ p: inout Inspection, _ opening: Connection, replaces: Bool) -> Finding? {
        finding(&p, of: table.shortage(for: opening, replaces: replaces), opening)
    }

    mutating func finding(_ p: inout Inspection, of shortage: OpeningShortage, _ opening: Connection) -> Finding? {
        if shortage.isEmpty { return nil }
        if shortage.contains(.incoming), p.isSubject(to: .incomingPerComputer) { return Finding(.incomingPerComputer) }
        if shortage.contains(.outgoing), p.isSubject(to: .outgoingPerComputer) { return Finding(.outgoingPerComputer) }
        if shortage.contains(.halfOpen), p.isSubject(to: .halfOpenPerComputer) { return Finding(.halfOpenPerComputer) }
        if shortage.contains(.memory), p.isSubject(to: .memoryLimit) { return Finding(.memoryFull) }
        if shortage.contains(.halfOpenInAll), p.isSubject(to: .halfOpenInAll) { return Finding(.halfOpenInAll) }
        let kind = opening.key.trackedProtocol
        return shortage.contains(.room) && p.isSubject(to: Cause(tableOf: kind)) ? Finding(.tableFull(kind)) : nil
    }

    /// Where the table is full and that is to stop nothing, a packet of no known connection may be one of those that found no
    /// room: it is refused for that, and passes. Not where every new one would find room in the place of an older one:
    /// otherwise a flood to an open port would open the others.
    mutating func lackOfRoom(_ p: inout Inspection, _ kind: TrackedProtocol) -> Finding? {
        if hot.engineFailsOpen, table.lacksMemory, table.isWithoutSpare, p.isSubject(to: .memoryLimit) {
            return Finding(.memoryFull)
        }
        guard hot.engineFailsOpen, shared.total(of: kind) >= shared.limit(of: kind), !table.canMakeRoom(for: kind),
            p.isSubject(to: Cause(tableOf: kind))
        else { return nil }
        return Finding(.tableFull(kind))
    }

    /// Remembers a connection whose refused opening passed all the same (tap, failure open), so that its later packets
    /// report the same reason instead of a new Out Of Connection each. What would let it pass is asked first: afterwards it
    /// is a known one.
    mutating func rememberRefused(_ p: inout Inspection, _ opening: Connection, _ finding: Finding) {
        guard !p.leavesNoTrace, overrides(finding) != nil else { return }
        explain(&p, finding)
        var refused = opening
        refused.refusal = Refusal(finding, remedy: p.remedy)
        _ = try? table.insert(refused, at: p.now)
    }

    /// Gives an entry up for an opening of its own that takes its place.
    mutating func vacate(_ p: inout Inspection, _ i: ConnectionIndex) {
        if !p.leavesNoTrace { table.remove(i) }
    }
}

extension Refusal {
    /// What later packets of a refused connection are told. Of more than three causes the others are lost, and what they are
    /// told is that nothing helps.
    init(_ finding: Finding, remedy: CauseSet = CauseSet()) {
        self.init(reason: finding.reason.rawValue, rule: finding.rule)
        firstCause = finding.cause.rawValue
        var others = remedy
        others.remove(finding.cause)
        guard let second = others.next(after: .none) else { return }
        secondCause = second.rawValue
        thirdCause = others.next(after: second)?.rawValue ?? 0
    }

    /// The first cause that still holds where others are taken as turned; nil: none, the connection goes on.
    func cause(for p: inout Inspection) -> Cause? {
        let first = Cause(rawValue: firstCause) ?? .none
        if p.isSubject(to: first) { return first }
        if let second = Cause(rawValue: secondCause), second != .none, p.isSubject(to: second) { return second }
        if let third = Cause(rawValue: thirdCause), third != .none, p.isSubject(to: third) { return third }
        return nil
    }
}
