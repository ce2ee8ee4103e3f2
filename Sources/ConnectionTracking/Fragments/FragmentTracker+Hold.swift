// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

extension FragmentTracker {
    /// Undertakes to name this fragment's ticket in a release: with the verdict of its datagram, or as incomplete after
    /// `timeouts.fragmentHold`, or before where newer ones need the room. nil: releases have to be taken first; the
    /// fragment is to be refused as one too many.
    public mutating func hold(_ record: DatagramRecord, at now: Instant) -> UInt32? {
        guard isCurrent(record), held.count < Self.heldCapacity else { return nil }
        makeRoomToWait()
        lastTicket = lastTicket == .max ? 1 : lastTicket + 1
        held.append(Held(ticket: lastTicket, record: record, since: now))
        return lastTicket
    }

    /// Where all places are taken, the datagram that has waited longest gives way with all that is held of it: a first
    /// fragment that was merely overtaken comes within moments, and a sender of fragments without one holds nobody up.
    private mutating func makeRoomToWait() {
        var waiting = 0
        var oldest = 0
        for position in held.indices.reversed() where held[position].outcome == nil {
            waiting += 1
            oldest = position
        }
        if waiting >= Self.maximumWaiting { release(heldOf: held[oldest].record, .refused(.tooManyHeld)) }
    }

    /// Packets that are held, including those that `takeRelease` would name now. While there is one its queue has to settle
    /// packets singly.
    public var heldCount: Int { held.count }

    /// The next fragment that can be settled; each is named once, those of one datagram in the order in which they were held.
    public mutating func takeRelease() -> FragmentRelease? {
        for position in held.indices {
            if let outcome = held[position].outcome {
                return FragmentRelease(ticket: held.remove(at: position).ticket, outcome: outcome)
            }
        }
        return nil
    }

    /// Ends what was held too long, and collects a bounded number of records whose time has passed.
    public mutating func expire(at now: Instant) {
        for position in held.indices
        where held[position].outcome == nil && now - held[position].since >= timeouts.fragmentHold {
            held[position].outcome = .refused(.holdOver)
        }
        for _ in 0..<64 where complete.oldest >= 0 && isOver(complete.oldest, at: now) {
            discard(complete.oldest, .recordOver)
        }
        for _ in 0..<64 where incomplete.oldest >= 0 && isOver(incomplete.oldest, at: now) {
            discard(incomplete.oldest, .recordOver)
        }
    }

    mutating func release(heldOf record: DatagramRecord, _ outcome: FragmentOutcome) {
        for position in held.indices where held[position].outcome == nil && held[position].record == record {
            held[position].outcome = outcome
        }
    }
}
