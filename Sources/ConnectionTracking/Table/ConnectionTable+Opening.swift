// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

/// Why a connection could not be opened (stage C).
public enum OpeningRefusal: Error, Hashable, Sendable, BitwiseCopyable {
    /// The memory of all tables is in use, and nothing in this one can be given up (150).
    case memoryFull
    /// The table of this protocol is full and nothing in it can be given up (151, 152, 902).
    case tableFull(TrackedProtocol)
    /// The remote computer is at its limit of incoming, of outgoing, of half-open connections (114, 115, 116).
    case incomingPerComputer
    case outgoingPerComputer
    case halfOpenPerComputer
    /// As many connections are half-open as may be in all (116).
    case halfOpenInAll
}

/// The protocols that have a table limit of their own.
public enum TrackedProtocol: UInt8, Sendable, BitwiseCopyable, CaseIterable {
    case tcp, udp, icmp
}

extension ConnectionKey {
    public var trackedProtocol: TrackedProtocol {
        switch protocolNumber {
        case IPProtocol.tcp: .tcp
        case IPProtocol.udp: .udp
        default: .icmp
        }
    }
}

extension ConnectionTable {
    /// Takes in a connection whose key `find` does not know.
    ///
    /// A half-open TCP connection has to keep within the per-computer limits; one that is already further (cold start) is
    /// counted but not refused by them, and one that the policy refuses (`refusal`) is not counted.
    public mutating func insert(
        _ connection: Connection, at now: Instant
    ) throws(OpeningRefusal) -> ConnectionIndex {
        if census.total == 0 { wheel.start(at: now) }
        let generation = shared.generation
        let counts = try admit(connection, generation: generation, at: now)
        let kind = connection.key.trackedProtocol
        let isHalfOpen = connection.countsHalfOpen
        do {
            if isHalfOpen { try reserveHalfOpen(connection, at: now) }
        } catch {
            shared.release(counts, of: connection.computer, generation: generation)
            throw error
        }
        do { try makeRoom(for: kind, at: now) } catch {
            if isHalfOpen { shared.releaseHalfOpen() }
            shared.release(counts, of: connection.computer, generation: generation)
            throw error
        }
        let index = place(connection, counts: counts, generation: generation)
        if log.isOn { noteOpening(index, at: now) }
        return index
    }

    /// Counts a half-open connection in the total. One that is further than its opening packet (taken over) is counted and not
    /// refused.
    private mutating func reserveHalfOpen(_ connection: Connection, at now: Instant) throws(OpeningRefusal) {
        guard connection.tcp.phase.isHalfOpen else { return shared.countHalfOpen() }
        if shared.reserveHalfOpen() { return }
        collectDue(at: now)
        if !shared.reserveHalfOpen() { throw .halfOpenInAll }
    }

    /// Says for which listener a connection that was just inserted is half-open.
    public mutating func assign(_ index: ConnectionIndex, to listener: ListenerLoads.Index) {
        guard entries[Int(index)].listener == ListenerLoads.none else { return }
        entries[Int(index)].listener = listener
        listeners.noteHalfOpen(listener)
    }

    /// Admits a further opening packet on a connection that is over: the per-computer limits are asked as for a new one,
    /// and a place in them is taken. To be called before the tracker takes the packet in; `recordChange(of:)` gives the
    /// place back if the connection does not become what was announced here.
    public mutating func reopen(
        _ index: ConnectionIndex, opener: Side, direction: Direction, at now: Instant
    ) throws(OpeningRefusal) {
        var opening = Connection(
            key: entries[Int(index)].connection.key, opener: opener, openingDirection: direction, at: now)
        opening.tcp.phase = .synSent
        let generation = shared.generation
        let counts = try admit(opening, generation: generation, at: now)
        do {
            if direction == .incoming { try reserveHalfOpen(opening, at: now) }
        } catch {
            shared.release(counts, of: opening.computer, generation: generation)
            throw error
        }
        releaseCounts(of: index)
        if log.isOn { noteReopening(index) }
        if direction == .incoming {
            settle(index)
            entries[Int(index)].listener = ListenerLoads.none
        }
        entries[Int(index)].counts = counts
        entries[Int(index)].countGeneration = generation
        entries[Int(index)].opener = opener
        move(index, to: .synSent)
        if log.isOn { beginAgain(index, at: now) }
    }

    /// Counts a new connection for its computer, or throws. Expired entries that were not collected yet do not count
    /// against it.
    private mutating func admit(
        _ connection: Connection, generation: UInt16, at now: Instant
    ) throws(OpeningRefusal) -> ComputerCounts.Kinds {
        let kinds = connection.counted(in: connection.stage)
        guard generation != 0, !kinds.isEmpty else { return [] }
        guard connection.tcp.phase.isHalfOpen else {
            return shared.count(kinds, of: connection.computer, generation: generation) ? kinds : []
        }
        if shared.admit(kinds, of: connection.computer, generation: generation) == nil { return kinds }
        collectDue(at: now)
        if let refusal = shared.admit(kinds, of: connection.computer, generation: generation) { throw refusal }
        return kinds
    }

    /// What one packet may take the place of: more than one is wanting only after a limit was lowered.
    private static var mostReclaimed: Int { 16 }

    /// Leaves one vacancy here and one reserved place in the total of this protocol.
    private mutating func makeRoom(for kind: TrackedProtocol, at now: Instant) throws(OpeningRefusal) {
        if kind == .tcp, shared.isNearlyFull(holding: held[0]) { _ = reclaim(for: kind) }
        if takePlace(for: kind) { return }
        collectDue(at: now)
        if takePlace(for: kind) { return }
        for _ in 0..<Self.mostReclaimed {
            guard reclaim(for: kind) || (lacksMemory && reclaimOfAnyKind()) else { break }
            if takePlace(for: kind) { return }
        }
        throw lacksMemory ? .memoryFull : .tableFull(kind)
    }

    private mutating func takePlace(for kind: TrackedProtocol) -> Bool {
        payForPlaces() && hasPlace && shared.reserve(kind, holding: held[Int(kind.rawValue)])
    }

    /// Where memory is short, what one protocol can spare makes room for another: datagrams that came in before TCP's half-open
    /// connections.
    private mutating func reclaimOfAnyKind() -> Bool {
        let victim = expendable()
        guard victim >= 0 else { return false }
        remove(victim, as: .evicted)
        return true
    }

    /// Gives up what this worker holds beyond its share where others have no room, a bounded number at a time.
    mutating func giveWay(atMost limit: Int) {
        for kind in TrackedProtocol.allCases {
            for _ in 0..<limit {
                guard shared.mustGiveWay(kind, holding: held[Int(kind.rawValue)]), reclaim(for: kind, as: .limit)
                else { break }
            }
        }
    }

    /// Gives up what can best be spared: of TCP the oldest connection that is over, or else the oldest half-open one; of
    /// datagrams the oldest exchange that came in.
    private mutating func reclaim(for kind: TrackedProtocol, as ending: ConnectionEnding = .evicted) -> Bool {
        let victim = expendable(for: kind)
        guard victim >= 0 else { return false }
        remove(victim, as: ending)
        return true
    }

    private mutating func place(
        _ connection: Connection, counts: ComputerCounts.Kinds, generation: UInt16
    ) -> ConnectionIndex {
        let stage = connection.stage
        let entry = Entry(
            hash: connection.key.hash(seed: seed), connection: connection, countGeneration: generation, counts: counts,
            stage: stage, opener: connection.opener,
            listener: connection.countsHalfOpen ? ListenerLoads.none : ListenerLoads.settled)
        let index = store(entry)
        linkIntoBucket(index)
        linkIntoWheel(index)
        linkIntoList(index, stage)
        held[Int(connection.key.trackedProtocol.rawValue)] += 1
        census[stage] += 1
        growBuckets()
        return index
    }

    private mutating func store(_ entry: Entry) -> ConnectionIndex {
        guard vacant >= 0 else {
            entries.append(entry)
            if countsACKs { acknowledgements.append(ConnectionACKs()) }
            if log.isOn { log.openings.append(ConnectionLog.Opening(opened: entry.connection.lastSeen)) }
            return Int32(truncatingIfNeeded: entries.count - 1)
        }
        let index = vacant
        vacant = entries[Int(index)].nextInBucket
        if vacant >= 0 { entries[Int(vacant)].previousInSlot = -1 }
        entries[Int(index)] = entry
        if countsACKs { acknowledgements[Int(index)] = ConnectionACKs() }
        return index
    }
}
