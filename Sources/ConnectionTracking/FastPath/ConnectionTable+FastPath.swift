// SPDX-License-Identifier: GPL-3.0-or-later

import CFastPath
public import PacketWire

/// Connections whose plain segments pass in the kernel. The windows stand in shared memory then; before anything is made of a
/// connection here, it takes up what has passed there (`find` does so), and what the queue's packets teach is written there
/// before their verdict.
extension ConnectionTable {
    /// Whether the connection's key is still this one: its place may have another by now.
    public mutating func holds(_ key: ConnectionKey, at index: ConnectionIndex) -> Bool {
        let entries = entries.span
        return entries[Int(index)].stage != nil && entries[Int(index)].connection.key.isSame(as: key)
    }

    public mutating func isOnFastPath(_ index: ConnectionIndex) -> Bool {
        let place = entries[Int(index)].connection.fastPlace
        return place >= 0 && fastPath.isOpen(place)
    }

    /// Whether plain segments change nothing but bounds (`TCPState.isSteady`).
    public mutating func isSteady(_ index: ConnectionIndex) -> Bool {
        let entries = entries.span
        return entries[Int(index)].connection.tcp.isSteady
    }

    /// Takes up what has passed in the kernel since the last time.
    mutating func takeUp(_ index: ConnectionIndex) {
        let place = entries[Int(index)].connection.fastPlace
        guard place >= 0, let memory = fastPath.memory else { return }
        let state = memory.takeUp(place)
        let last = Instant(nanoseconds: Int64(truncatingIfNeeded: state.flow.last_passed))
        for side in [Side.low, .high] {
            let passed = state[side]
            if passed.has_gap != 0, !passed.gap.isAfter(state[side.opposite].acknowledged) {
                memory.closeGap(place, side)
            }
            guard passed.packets > 0 else { continue }
            fastPath.counts.packets &+= passed.packets
            fastPath.counts.bytes &+= passed.bytes
            kernelRules.add(
                decision(of: index, for: side), packets: passed.packets, bytes: passed.bytes, at: last)
        }
        var entries = entries.mutableSpan
        entries[Int(index)].connection.takeUp(state, at: last)
    }

    /// Writes what a packet from the queue has taught to where the kernel looks. To be called before its verdict.
    public mutating func writeBack(_ index: ConnectionIndex) {
        let place = entries[Int(index)].connection.fastPlace
        guard place >= 0, fastPath.isOpen(place) else { return }
        fastPath.memory?.raise(place, to: entries[Int(index)].connection.tcp.fastPathState)
    }

    /// Lets plain segments of this side pass in the kernel, that come by this interface (0: from this host), until the
    /// engine's generation changes. Returns whether there is room for it.
    public mutating func openFastPath(
        _ index: ConnectionIndex, _ side: Side, interface: UInt32, at now: Instant
    ) -> Bool {
        guard let memory = fastPath.memory else { return false }
        var place = entries[Int(index)].connection.fastPlace
        if place < 0 || !fastPath.isOpen(place) {
            // What a processor has in hand of the place that it left would be lost with that.
            guard place < 0 || fastPath.isSettled(place, at: now) else { return false }
            guard let free = takePlace(at: now) else { return false }
            if place >= 0 {
                takeUp(index)
                fastPath.setHolder(of: place, -1)
            }
            place = free
            let connection = entries[Int(index)].connection
            fastPath.begin(place, connection.fastPathState, connection.key, holder: index)
            fastPath.counts.admitted &+= 1
            entries[Int(index)].connection.fastPlace = place
        }
        memory.open(place, side, interface: interface, epoch: fastPath.epoch)
        return true
    }

    /// No packet of this connection passes in the kernel any more.
    public mutating func leaveFastPath(_ index: ConnectionIndex, at now: Instant) {
        let place = entries[Int(index)].connection.fastPlace
        guard place >= 0, fastPath.isOpen(place) else { return }
        fastPath.note(now)
        fastPath.end(place, entries[Int(index)].connection.key)
        takeUp(index)
    }

    /// The kernel has no room for it.
    public mutating func refuseFastPath(_ index: ConnectionIndex, at now: Instant) {
        fastPath.counts.full &+= 1
        leaveFastPath(index, at: now)
    }

    /// A place for another flow, of which whoever held it has taken up everything; nil where there is none to be had now.
    mutating func takePlace(at now: Instant) -> Int32? {
        guard let place = fastPath.take(at: now) else {
            fastPath.counts.full &+= 1
            return nil
        }
        release(place)
        return place
    }

    /// The place is given to another.
    private mutating func release(_ place: Int32) {
        if let flow = bypass(holding: place) { return forgetBypass(flow) }
        guard let index = holder(of: place) else { return }
        takeUp(index)
        entries[Int(index)].connection.fastPlace = -1
    }

    /// The connection that reads a place, as its entry says too.
    private func holder(of place: Int32) -> ConnectionIndex? {
        let index = fastPath.holder(of: place)
        guard index >= 0, Int(index) < entries.count, entries[Int(index)].stage != nil,
            entries[Int(index)].connection.fastPlace == place
        else { return nil }
        return index
    }

    /// A connection is removed, or what is known of it begins anew: its place is nobody's.
    public mutating func abandonPlace(of index: ConnectionIndex) {
        let place = entries[Int(index)].connection.fastPlace
        guard place >= 0 else { return }
        takeUp(index)
        fastPath.end(place, entries[Int(index)].connection.key)
        fastPath.setHolder(of: place, -1)
        entries[Int(index)].connection.fastPlace = -1
    }

    /// Takes up what has passed, of so many connections that each has its turn once a second.
    mutating func walkFastPath(at now: Instant) {
        fastPath.note(now)
        let used = Int64(fastPath.used)
        let elapsed = min(max(0, (now - fastPath.walkedAt).nanoseconds), 1_000_000_000)
        let share = used * elapsed / 1_000_000_000
        guard share > 0 else { return }
        fastPath.walkedAt = now
        for _ in 0..<share {
            fastPath.walkPosition = fastPath.walkPosition + 1 < fastPath.used ? fastPath.walkPosition + 1 : 0
            if let index = holder(of: fastPath.walkPosition) {
                takeUp(index)
            } else if let flow = bypass(holding: fastPath.walkPosition) {
                visitBypass(flow, at: now)
            }
        }
    }

    /// Takes every connection off the fast path: another run goes on with them, or the kernel's maps are gone.
    public mutating func endFastPath(at now: Instant) {
        guard fastPath.isOn else { return }
        for place in 0..<fastPath.used {
            if let index = holder(of: place) {
                leaveFastPath(index, at: now)
                takeUp(index)
            } else if let flow = bypass(holding: place) {
                closeBypass(flow, at: now)
            }
        }
    }

    /// Ends the use of these maps for good.
    public mutating func detachFastPath(at now: Instant) {
        endFastPath(at: now)
        for place in 0..<fastPath.used {
            release(place)
        }
        fastPath = FastPathPlaces()
        bypassed = BypassedFlows()
    }

    /// Begins to use these maps. The places' generations go on from `generation`.
    public mutating func attachFastPath(_ memory: FastPathMemory, generation: UInt32) {
        fastPath = FastPathPlaces(memory, generation: generation)
        bypassed = BypassedFlows(places: memory.count)
    }

    /// The kernel was told of the changes.
    public mutating func removeFastPathChanges() { fastPath.removeChanges() }

    /// The engine's generation: flows opened in an earlier one come to the queue.
    public mutating func setFastPathEpoch(_ epoch: UInt32, timestampWindow: Instant.Span) {
        fastPath.epoch = epoch
        let ticks = min(max(0, timestampWindow.nanoseconds / 1_000_000), Int64(Int32.max))
        fastPath.memory?.setEpoch(epoch, timestampWindow: UInt32(ticks))
    }

    /// Nothing passes in the kernel after this instant, unless it is put off.
    public mutating func setFastPathLease(until end: Instant) {
        fastPath.memory?.setLease(until: UInt64(max(0, end.nanoseconds)))
    }
}
