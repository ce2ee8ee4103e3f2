// SPDX-License-Identifier: GPL-3.0-or-later

public import ConnectionTracking
import FirewallPolicy
public import PacketWire

/// Openings to a flooded listener of this host. While it is in cookie mode (`ListenerLoads`) no entry is kept for a SYN that the
/// rules admit: this host's own SYN cookies answer it. Who has got the answer comes back with an ACK. That passes and waits
/// (`PendingACKs`), for only this host can tell whether its cookie is right: if it says anything but RST, the connection is open,
/// and known from then on, with windows that are learnt (`TCPTracker+Adoption`).
extension Engine {
    /// What becomes of a packet that is none of the table's business; nothing of one to be refused.
    struct Passage { var finding: Finding? }

    /// Reserves what cookies need: when a policy comes into force, never for a packet.
    mutating func prepareCookies() {
        let isUsed = hot.synFlood.usesCookies && hasSYNCookies
        if isUsed {
            table.listeners.reserve()
            pendingACKs.reserve()
        }
        table.listeners.threshold = isUsed ? hot.synFlood.threshold : nil
        unansweredSYNs.prepare(isUsed: isUsed && hot.limits.halfOpen != nil)
    }

    /// An opening that everything but the limits admits: it gets an entry, or passes without one.
    mutating func insertOrPass(_ p: inout Inspection, _ opening: Connection, _ packet: KeyedPacket) -> Finding? {
        // While an ACK of the same endpoints waits, the older connection may be open; the opening could be forged.
        if let pending = pendingACKs.find(packet.key) {
            return passWithoutEntry(&p, opening, pendingACKs[pending].listener)
        }
        guard let listener = listener(&p) else { return insertWithinRate(&p, opening) }
        let lasting = hot.timeouts.synReceived
        if table.listeners.isFlooded(listener, at: p.now, lasting: lasting) {
            return passWithoutEntry(&p, opening, listener)
        }
        // Cookies need no place among the half-open connections.
        if table.listeners.threshold != nil, shared.hasNoMoreHalfOpen {
            if !p.leavesNoTrace { table.listeners.begin(listener, at: p.now, lasting: lasting) }
            return passWithoutEntry(&p, opening, listener)
        }
        return insertWithinRate(&p, opening, to: listener)
    }

    private mutating func passWithoutEntry(
        _ p: inout Inspection, _ opening: Connection, _ listener: ListenerLoads.Index
    ) -> Finding? {
        if let finding = excessOfRate(&p, mayRepeat: true) {
            rememberRefused(&p, opening, finding)
            return finding
        }
        var shortage = table.shortage(for: opening, replaces: true)
        shortage.remove(.halfOpenInAll)
        if let limit = hot.limits.halfOpen,
            !unansweredSYNs.admits(opening.key, opener: opening.opener, limit: limit, at: p.now)
        {
            shortage.insert(.halfOpen)
        }
        if let finding = finding(&p, of: shortage, opening) {
            giveBackToRate(&p)
            return finding
        }
        if records(&p) { record(.byCookies(.opening)) }
        guard !p.leavesNoTrace else { return nil }
        counters.admittedStateless &+= 1
        table.listeners.notePassed(listener)
        if hot.limits.halfOpen != nil {
            unansweredSYNs.note(opening.key, opener: opening.opener, at: p.now, lasting: hot.timeouts.synReceived)
        }
        return nil
    }

    /// The listener of this host that a SYN is to; nil: none, or it is not this host that would answer by a cookie.
    private mutating func listener(_ p: inout Inspection) -> ListenerLoads.Index? {
        guard hot.synFlood.usesCookies, hasSYNCookies, !p.isLoopback, !p.isAnnounced, !p.isOwnTraffic,
            p.metadata.hook == .prerouting || p.metadata.hook == .input,
            listeningPorts.contains(tcp: p.headers.destinationPort),
            hostAddresses.isOwn(p.headers.destination, on: p.metadata.inInterface)
        else { return nil }
        return table.listeners.take(p.headers.destination, p.headers.destinationPort, version: p.version)
    }

    /// What becomes of a packet that opens nothing, is of no known connection and goes to a listener that is or was flooded, or
    /// comes from one; nil: it is to be judged as any other.
    mutating func passage(_ p: inout Inspection, _ packet: KeyedPacket) -> Passage? {
        guard !p.isLoopback, !p.isOwnTraffic else { return nil }
        let pending = pendingACKs.find(packet.key)
        switch p.metadata.hook {
        case .prerouting, .input:
            if let pending { return goesOn(&p, pending) }
            return passageIn(&p, packet)
        case .output, .postrouting: return passageOut(&p, pending)
        case .forward, .none, .unknown: return nil
        }
    }

    /// An ACK to a listener, SYNs to which pass before the queue (`beginCookies`), that fits nothing which is known of its
    /// endpoints: a connection that is over, or an opening that was never answered. What is known gives way to it, as to the SYN
    /// that was not seen. nil: it is refused as any other.
    mutating func passageOfUnseenOpening(_ p: inout Inspection, _ i: ConnectionIndex, _ side: Side) -> Passage? {
        guard p.metadata.hook == .prerouting || p.metadata.hook == .input, !p.isLoopback,
            p.headers.tcp.flags.intersection([.syn, .ack, .rst, .fin]) == .ack,
            table[i].tcp.phase.isOver || table[i].tcp.isHalfOpen,
            let listener = table.listeners.find(
                p.headers.destination, p.headers.destinationPort, version: p.version),
            table.listeners.mayBeUnseen(listener)
        else { return nil }
        let packet = KeyedPacket(key: table[i].key, sender: side)
        guard let passage = passageIn(&p, packet) else { return nil }
        if passage.finding == nil { vacate(&p, i) }
        return passage
    }

    /// An ACK, or a first segment that comes in its place, may open a connection. A RST says that nobody wanted one, or no longer.
    private mutating func passageIn(_ p: inout Inspection, _ packet: KeyedPacket) -> Passage? {
        let flags = p.headers.tcp.flags.intersection([.syn, .ack, .rst, .fin])
        guard flags == .ack || flags.subtracting(.ack) == .rst,
            let listener = table.listeners.find(
                p.headers.destination, p.headers.destinationPort, version: p.version),
            table.listeners.mayHavePassed(listener), admitsOpening(&p, bySender: true)
        else { return nil }
        if let finding = flagTraits(&p) { return Passage(finding: finding) }
        if flags != .ack { return passes(&p, .answer) }
        guard !p.leavesNoTrace else { return passes(&p, .acknowledgement) }
        guard let place = pendingACKs.room(for: packet.key, at: p.now) else { return nil }
        if pendingACKs.isTaken(place) { endWaiting(place, at: p.now) }
        var connection = midstream(&p, packet, opener: packet.sender)
        connection.count(bytes: p.headers.length, from: packet.sender)
        let acknowledged = p.headers.tcp.acknowledgement
        pendingACKs.put(
            PendingACKs.Place(
                connection: connection, end: p.now + PendingACKs.lifetime, acknowledged: acknowledged,
                lastAcknowledged: acknowledged, listener: listener, headers: p.headers, metadata: p.metadata),
            at: place)
        return passes(&p, .acknowledgement)
    }

    /// What answers a SYN that has no entry, or says that an ACK was wrong.
    private mutating func passageOut(_ p: inout Inspection, _ pending: Int?) -> Passage? {
        let flags = p.headers.tcp.flags.intersection([.syn, .ack, .rst, .fin])
        let isRefusal = flags == .rst
        if let pending {
            if isRefusal { noteRefusal(&p, pending) }
            return flagTraits(&p).map { Passage(finding: $0) } ?? passes(&p, .answer)
        }
        guard isRefusal || flags == [.syn, .ack],
            let listener = table.listeners.find(p.headers.source, p.headers.sourcePort, version: p.version),
            table.listeners.mayHavePassed(listener), admitsOpening(&p, bySender: false)
        else { return nil }
        return flagTraits(&p).map { Passage(finding: $0) } ?? passes(&p, .answer)
    }

    /// More of one whose ACK waits.
    private mutating func goesOn(_ p: inout Inspection, _ pending: Int) -> Passage? {
        guard !p.headers.tcp.flags.contains(.syn) else { return nil }
        if let finding = flagTraits(&p) { return Passage(finding: finding) }
        let side = pendingACKs[pending].connection.opener
        var state = pendingACKs[pending].connection.tcp
        if p.headers.tcp.flags.contains(.rst) {
            if !p.leavesNoTrace, state.isEnd(p.headers.tcp.sequence, of: side) { pendingACKs.remove(pending) }
            return passes(&p, .answer)
        }
        let step = step(&p, &state, side, idle: .zero)
        if let refusal = step.refusal {
            let posture: PostureAction = step.isSilent ? .denySilent : .deny
            return Passage(finding: Finding(DropReason(refusal), Cause(step), posture: posture))
        }
        if !p.leavesNoTrace {
            pendingACKs[pending].connection.tcp = state
            pendingACKs[pending].connection.count(bytes: p.headers.length, from: side)
            pendingACKs[pending].lastAcknowledged = p.headers.tcp.acknowledgement
        }
        return passes(&p, .acknowledgement)
    }

    private mutating func passes(_ p: inout Inspection, _ what: Step.Cookies) -> Passage {
        if records(&p) { record(.byCookies(what)) }
        if !p.leavesNoTrace { counters.admittedStateless &+= 1 }
        return Passage()
    }

    /// This host has refused the ACK, as the RST says that begins where it acknowledges: SYN Cookie Error, of the ACK.
    private mutating func noteRefusal(_ p: inout Inspection, _ pending: Int) {
        let place = pendingACKs[pending]
        let sequence = p.headers.tcp.sequence
        guard !p.leavesNoTrace, sequence == place.acknowledged || sequence == place.lastAcknowledged else { return }
        pendingACKs.remove(pending)
        guard !isSilenced(Finding(.synCookieError, .none)) else { return }
        var event = Event(
            reason: .synCookieError, action: .notice, instant: p.now, metadata: place.metadata, headers: place.headers)
        event.policyEpoch = hot.policyEpoch
        if !outbox.append(event) { counters.mergedOfPassed[Int(DropReason.synCookieError.rawValue)] &+= 1 }
    }

    /// This host goes on with a connection whose ACK waits: from now on it is known. nil: it is not that, or there is no room,
    /// and the connection goes on waiting.
    mutating func openByAnswer(_ p: inout Inspection, _ packet: KeyedPacket) -> ConnectionIndex? {
        let flags = p.headers.tcp.flags.intersection([.syn, .ack, .rst])
        guard !p.leavesNoTrace, p.metadata.hook == .output || p.metadata.hook == .postrouting,
            !flags.contains(.syn), flags.contains(.ack), let pending = pendingACKs.find(packet.key)
        else { return nil }
        return openPending(pending, at: p.now)
    }

    private mutating func openPending(_ pending: Int, at now: Instant) -> ConnectionIndex? {
        let place = pendingACKs[pending]
        var connection = place.connection
        connection.lastSeen = now
        guard let i = try? table.insert(connection, at: now) else { return nil }
        pendingACKs.remove(pending)
        counters.openedByCookies &+= 1
        if hot.keepsLog { noteOpened(i, place.headers, place.metadata, at: now) }
        noteOpenedByCookie(connection)
        table.listeners.noteCompleted(place.listener)
        unansweredSYNs.noteCompleted(connection.key, opener: connection.opener, at: now)
        return i
    }

    /// This host has said nothing for so long, so the ACK was right, and the connection is open without a word. It has not been
    /// heard from both sides, and gives way to others as an opening does.
    private mutating func endWaiting(_ pending: Int, at now: Instant) {
        if table.find(pendingACKs[pending].connection.key, at: now) == nil { _ = openPending(pending, at: now) }
        pendingACKs.remove(pending)
    }

    private static var mostLookedAt: Int { 256 }

    /// Between batches: ACKs that have waited long enough, and floods that are over.
    mutating func tidyCookies(at now: Instant) {
        var looks = Self.mostLookedAt
        while let pending = pendingACKs.nextOver(at: now, lookingAt: &looks) { endWaiting(pending, at: now) }
        table.listeners.tidy(
            at: now, lasting: hot.timeouts.synReceived,
            lingeringFor: max(hot.timeouts.coldStart, hot.timeouts.synReceived))
    }

    /// Puts a listener into cookie mode, or keeps it there, because SYNs to it pass before the queue: whichever worker had them.
    /// `passed` says how many have lately. False where there is no room for another listener.
    public mutating func beginCookies(
        to address: IPAddress, _ port: UInt16, version: UInt8, passed: UInt32, at now: Instant
    ) -> Bool {
        guard table.listeners.threshold != nil,
            let listener = table.listeners.take(address, port, version: version)
        else { return false }
        table.listeners.begin(listener, at: now, lasting: hot.timeouts.synReceived)
        table.listeners.noteUnseen(listener)
        table.listeners.notePassed(listener, passed)
        return true
    }

    /// The listeners of this host that are in cookie mode.
    public var floodedListeners: [FloodedListener] {
        var list: [(index: ListenerLoads.Index, listener: FloodedListener)] = []
        table.listeners.appendFlooded(to: &list)
        return list.map(\.listener)
    }
}

extension Inspection {
    fileprivate var version: UInt8 { headers.network == .ipv6 ? 6 : 4 }
}
