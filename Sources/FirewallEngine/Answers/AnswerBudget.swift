// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import PacketWire

/// How many answers there may be: so many a second of all workers together, and of those so many to one computer, so that neither
/// an address that others forge is flooded nor one that floods takes the answers of all.
///
/// Token buckets, each kept as the instant at which it is full again. Computers share a fixed number of them, by a keyed hash of
/// the address (IPv6: of its /64, which one computer may have whole).
struct AnswerBudget {
    /// Answers a second, all workers together; as Linux bounds its ICMP errors (icmp_msgs_per_sec).
    static let perSecond = 1_000
    /// Answers a second to one computer, by one worker.
    static let perComputer = 100
    /// So many may come at once after a pause.
    private static let burst = 100
    private static let computers = 1_024

    private let seed: (UInt64, UInt64)
    private let interval: Int64
    private var fullAt = Instant(nanoseconds: .min)
    private var fullAtOfComputers = [Instant](
        repeating: Instant(nanoseconds: .min), count: AnswerBudget.computers)

    static var memory: Int { computers * MemoryLayout<Instant>.stride }

    init(workers: Int, seed: (UInt64, UInt64)) {
        self.seed = seed
        interval = 1_000_000_000 / Int64(AnswerBudget.perSecond) * Int64(max(1, workers))
    }

    /// Takes an answer to this address out of the budget; false where there is none left.
    mutating func take(for address: IPAddress, at now: Instant) -> Bool {
        var sip = SipHash(seed: seed)
        sip.absorb(address.high)
        sip.absorb(address.isMappedV4 ? address.low : 0)
        let place = Int(sip.finish() & UInt64(AnswerBudget.computers - 1))
        let all = AnswerBudget.refilled(fullAt, every: interval, at: now)
        let computer = AnswerBudget.refilled(
            fullAtOfComputers[place], every: 1_000_000_000 / Int64(AnswerBudget.perComputer), at: now)
        guard let all, let computer else { return false }
        fullAt = all
        fullAtOfComputers[place] = computer
        return true
    }

    /// When a bucket is full again after one more is taken; nil where it is empty.
    private static func refilled(_ fullAt: Instant, every interval: Int64, at now: Instant) -> Instant? {
        let next = max(fullAt, now) + Instant.Span(nanoseconds: interval)
        return next - now <= Instant.Span(nanoseconds: interval * Int64(burst)) ? next : nil
    }
}
