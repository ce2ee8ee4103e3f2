// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// What this host has sent to groups a moment ago, by digest, until its copy has come back.
///
/// Bounded in number and in age: sets of four entries, in which the oldest makes room. More than fit are on their way only where
/// the queue is nearly full, and a copy whose entry is gone is judged as any datagram from outside.
struct OwnGroupPackets {
    private struct Entry: BitwiseCopyable {
        var digest: UInt64 = 0
        var sentAt = Instant(nanoseconds: .min)
        /// Copies that may still come back, or their bytes; 0 in an entry that is free.
        var amount: UInt32 = 0
    }

    private static let sets = 2048
    private static let ways = 4
    /// Longer than a copy waits in a queue behind an agent that judges.
    static let lifetime = Instant.Span.seconds(10)
    /// Nothing below it is fragmented (RFC 8200 section 5).
    static let leastLinkMTU: UInt32 = 1280
    /// So many bytes stand for the whole where only the first fragment is seen.
    static let beginning = 64

    let seed: (UInt64, UInt64)
    private var entries = [Entry](repeating: Entry(), count: OwnGroupPackets.sets * OwnGroupPackets.ways)

    init(seed: (UInt64, UInt64)) { self.seed = seed }

    mutating func note(_ digest: UInt64, amount: UInt32, at now: Instant) {
        let known = find(digest, at: now)
        // One whose copy never came makes room for the same again, or it would stand before it.
        let place = known >= 0 ? known : expired(digest) ?? oldest(of: digest)
        if known < 0 { entries[place] = Entry(digest: digest) }
        entries[place].amount = entries[place].amount.addingReportingOverflow(amount).partialValue
        entries[place].sentAt = now
    }

    /// Takes so much of an entry, or all of it for nil, and says how much; nil where there is none, or less of it.
    mutating func take(_ digest: UInt64, _ wanted: UInt32?, at now: Instant) -> UInt32? {
        let place = find(digest, at: now)
        guard place >= 0 else { return nil }
        let amount = wanted ?? entries[place].amount
        guard entries[place].amount >= amount else { return nil }
        entries[place].amount -= amount
        return amount
    }

    private func first(of digest: UInt64) -> Int {
        Int(digest & UInt64(OwnGroupPackets.sets - 1)) * OwnGroupPackets.ways
    }

    private func expired(_ digest: UInt64) -> Int? {
        let first = first(of: digest)
        return (first..<first + OwnGroupPackets.ways).first { entries[$0].digest == digest && entries[$0].amount > 0 }
    }

    private func find(_ digest: UInt64, at now: Instant) -> Int {
        let first = first(of: digest)
        for place in first..<first + OwnGroupPackets.ways
        where entries[place].digest == digest && entries[place].amount > 0 {
            return now < entries[place].sentAt + OwnGroupPackets.lifetime ? place : -1
        }
        return -1
    }

    /// A free entry of its set, or the one that was noted first.
    private func oldest(of digest: UInt64) -> Int {
        let first = first(of: digest)
        var oldest = first
        for place in first..<first + OwnGroupPackets.ways {
            if entries[place].amount == 0 { return place }
            if entries[place].sentAt < entries[oldest].sentAt { oldest = place }
        }
        return oldest
    }
}
