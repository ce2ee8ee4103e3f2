// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

extension ConnectionTable {
    /// Collects connections whose timeout has passed, and goes on with bringing the entries up to date after a change of
    /// timeouts or limits. Looks at no more than `limit` entries; to be called between batches and when idle.
    public mutating func expire(at now: Instant, atMost limit: Int) {
        wheel.catchUp(to: now)
        var budget = limit
        while wheel.isBehind(now), empty(wheel.dueSlot, at: now, &budget) { wheel.advance() }
        sweep(at: now, &budget)
        if fastPath.isOn { walkFastPath(at: now) }
        giveWay(atMost: limit)
    }

    /// When this connection ends if no packet renews it.
    public mutating func deadline(of index: ConnectionIndex) -> Instant {
        let entries = entries.span
        let span = spans[Int(entries[Int(index)].connection.stage.rawValue)]
        return Instant(nanoseconds: entries[Int(index)].connection.lastSeen.nanoseconds &+ span)
    }

    /// False when the budget ran out first.
    private mutating func empty(_ slot: UInt16, at now: Instant, _ budget: inout Int) -> Bool {
        while wheel[slot] >= 0 {
            guard budget > 0 else { return false }
            budget -= 1
            let index = wheel[slot]
            if fastPath.isOn { takeUp(index) }
            if isExpired(index, at: now) {
                forget(index)
            } else {
                unlinkFromWheel(index)
                linkIntoWheel(index, noEarlierThan: 2)
            }
        }
        return true
    }

    /// Of what is due, and of what may be so before the tick is over. Everything due is collected once, so that this is no more
    /// work than entries were opened.
    private static var mostCollected: Int { 1024 }
    private static var mostLookedAt: Int { 64 }

    /// Collects what an insertion that would otherwise fail may count on: everything due, as far as a bounded look at
    /// the wheel reaches, including the tick that has not passed yet.
    mutating func collectDue(at now: Instant) {
        wheel.catchUp(to: now)
        var budget = Self.mostCollected
        while wheel.isBehind(now), empty(wheel.dueSlot, at: now, &budget) { wheel.advance() }
        guard !wheel.isBehind(now) else { return }
        var index = wheel[wheel.dueSlot]
        for _ in 0..<Self.mostLookedAt where index >= 0 {
            let next = entries[Int(index)].nextInSlot
            if fastPath.isOn { takeUp(index) }
            if isExpired(index, at: now) { forget(index) }
            index = next
        }
    }

    /// A walk over all entries, a part of it per call: deadlines may have become earlier than the wheel knows, and
    /// connections opened while no per-computer limit was set have to be counted now that one is.
    private mutating func sweep(at now: Instant, _ budget: inout Int) {
        if sweptGeneration != shared.generation {
            sweptGeneration = shared.generation
            sweepPosition = 0
        }
        guard sweepPosition >= 0 else { return }
        while budget > 0, Int(sweepPosition) < entries.count {
            budget -= 1
            if entries[Int(sweepPosition)].stage != nil {
                updateCounts(of: sweepPosition)
                rescheduleIfEarlier(sweepPosition)
            }
            sweepPosition += 1
        }
        if Int(sweepPosition) >= entries.count { sweepPosition = -1 }
    }

    mutating func rescheduleIfEarlier(_ index: Int32) {
        let distance = wheel.distance(to: deadline(of: index))
        guard distance < wheel.distance(toSlot: entries[Int(index)].slot) else { return }
        unlinkFromWheel(index)
        linkIntoWheel(index)
    }

    mutating func linkIntoWheel(_ index: Int32, noEarlierThan least: Int64 = 1) {
        let slot = wheel.slot(at: max(least, wheel.distance(to: deadline(of: index))))
        let first = wheel[slot]
        entries[Int(index)].slot = slot
        entries[Int(index)].nextInSlot = first
        entries[Int(index)].previousInSlot = -1
        if first >= 0 { entries[Int(first)].previousInSlot = index }
        wheel[slot] = index
    }

    mutating func unlinkFromWheel(_ index: Int32) {
        let (previous, next) = (entries[Int(index)].previousInSlot, entries[Int(index)].nextInSlot)
        if previous >= 0 {
            entries[Int(previous)].nextInSlot = next
        } else {
            wheel[entries[Int(index)].slot] = next
        }
        if next >= 0 { entries[Int(next)].previousInSlot = previous }
    }
}
