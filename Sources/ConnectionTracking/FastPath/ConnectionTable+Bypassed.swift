// SPDX-License-Identifier: GPL-3.0-or-later

import CFastPath
public import PacketWire

/// Flows without a connection that pass in the kernel, by the same places and the same hash. A key leads to one place: a connection
/// leaves the fast path before a bypassed flow of its key comes there, and the other way round.
extension ConnectionTable {
    /// A flow of which nothing passes for this long gives its place back; sooner where a side has begun the end.
    private static let idle = Instant.Span.seconds(60)
    private static let idleAtTheEnd = Instant.Span.seconds(5)

    /// What becomes of packets of a flow that a Bypass rule lets by.
    public enum BypassStanding: Sendable {
        /// They pass in the kernel.
        case open
        /// Too little was seen of it yet.
        case early
        case noRoom
    }

    /// Lets packets of this side pass in the kernel, that come by this interface (0: from this host), until the engine's generation
    /// changes; `decision` is whose they are.
    public mutating func openBypass(
        _ packet: KeyedPacket, interface: UInt32, decision: CachedRuleDecision, at now: Instant
    ) -> BypassStanding {
        guard let memory = fastPath.memory else { return .noRoom }
        let hash = packet.key.hash(seed: seed)
        var known = bypassed.find(packet.key, hash: hash)
        if let flow = known, !fastPath.isOpen(bypassed[flow].place) {
            // What a processor has in hand of the place that it left would be lost with that.
            guard fastPath.isSettled(bypassed[flow].place, at: now) else { return .early }
            forgetBypass(flow)
            known = nil
        }
        if known == nil {
            guard bypassed.isSeenAgain(hash, packet.sender) else { return .early }
            known = beginBypass(packet.key, hash: hash, at: now)
        }
        guard let flow = known else { return .noRoom }
        takeUpBypass(flow)
        bypassed[flow].lastSeen = now
        bypassed[flow][decisionOf: packet.sender] = decision
        memory.open(bypassed[flow].place, packet.sender, interface: interface, epoch: fastPath.epoch)
        return .open
    }

    /// A side of a bypassed flow has begun its end; `isOver`: the flow is over.
    public mutating func noteEndOfBypass(_ key: ConnectionKey, isOver: Bool, at now: Instant) {
        guard let flow = bypassed.find(key, hash: key.hash(seed: seed)) else { return }
        bypassed[flow].isEnding = true
        if isOver { endBypass(flow, at: now) }
    }

    /// Whether a bypassed flow with a connection's key stands on the fast path by what holds now. One of an earlier generation leaves it.
    public mutating func isBypassed(_ index: ConnectionIndex, at now: Instant) -> Bool {
        guard bypassed.count > 0,
            let flow = bypassed.find(entries[Int(index)].connection.key, hash: entries[Int(index)].hash)
        else { return false }
        if bypassed[flow].isDecided(in: fastPath.epoch) { return fastPath.isOpen(bypassed[flow].place) }
        endBypass(flow, at: now)
        return false
    }

    /// The kernel has no room for the flow; false where it is none of these.
    public mutating func refuseBypass(_ key: ConnectionKey, at now: Instant) -> Bool {
        guard let flow = bypassed.find(key, hash: key.hash(seed: seed)), fastPath.isOpen(bypassed[flow].place) else {
            return false
        }
        fastPath.counts.full &+= 1
        endBypass(flow, at: now)
        return true
    }

    private mutating func beginBypass(_ key: ConnectionKey, hash: UInt32, at now: Instant) -> Int32? {
        guard !bypassed.isFull else {
            fastPath.counts.full &+= 1
            return nil
        }
        guard let place = takePlace(at: now), let flow = bypassed.insert(key, hash: hash, place: place, at: now) else {
            return nil
        }
        if let connection = find(key, at: now) { leaveFastPath(connection, at: now) }
        fastPath.begin(place, .ofBypassed, key, holder: BypassedFlows.holder(of: flow))
        fastPath.counts.admitted &+= 1
        fastPath.counts.bypassed &+= 1
        return flow
    }

    private mutating func endBypass(_ flow: Int32, at now: Instant) {
        guard fastPath.isOpen(bypassed[flow].place) else { return }
        fastPath.note(now)
        fastPath.end(bypassed[flow].place, bypassed[flow].key)
        fastPath.counts.bypassed &-= 1
        takeUpBypass(flow)
    }

    /// Takes up what has passed since the last time; returns whether anything has.
    @discardableResult
    mutating func takeUpBypass(_ flow: Int32) -> Bool {
        guard let memory = fastPath.memory else { return false }
        let state = memory.takeUp(bypassed[flow].place)
        let last = Instant(nanoseconds: Int64(truncatingIfNeeded: state.flow.last_passed))
        for side in [Side.low, .high] {
            let passed = state[side]
            guard passed.packets > 0 else { continue }
            fastPath.counts.packets &+= passed.packets
            fastPath.counts.bytes &+= passed.bytes
            kernelRules.add(
                bypassed[flow][decisionOf: side], packets: passed.packets, bytes: passed.bytes, at: last)
        }
        return state[.low].packets > 0 || state[.high].packets > 0
    }

    /// The walk comes by: what is idle leaves its place, and what has left it long enough is forgotten.
    mutating func visitBypass(_ flow: Int32, at now: Instant) {
        if takeUpBypass(flow) { bypassed[flow].lastSeen = now }
        let place = bypassed[flow].place
        if fastPath.isOpen(place) {
            let idle = now - bypassed[flow].lastSeen
            if idle >= (bypassed[flow].isEnding ? Self.idleAtTheEnd : Self.idle) { endBypass(flow, at: now) }
        } else if fastPath.isSettled(place, at: now) {
            forgetBypass(flow)
        }
    }

    /// Its place is given to another, or the walk has come to it: what has passed is counted, and nothing more is known of it.
    mutating func forgetBypass(_ flow: Int32) {
        takeUpBypass(flow)
        fastPath.setHolder(of: bypassed[flow].place, -1)
        bypassed.remove(flow)
    }

    /// The flow that reads a place, as its entry says too.
    mutating func bypass(holding place: Int32) -> Int32? {
        bypassed.flow(heldBy: fastPath.holder(of: place), place: place)
    }

    /// Takes it off the fast path, of whose maps nothing is used any more.
    mutating func closeBypass(_ flow: Int32, at now: Instant) {
        endBypass(flow, at: now)
        takeUpBypass(flow)
    }
}

extension FastPathState {
    /// What the program has to know of a flow without windows.
    fileprivate static var ofBypassed: FastPathState {
        var state = FastPathState()
        state[.low].is_bypassed = 1
        state[.high].is_bypassed = 1
        return state
    }
}
