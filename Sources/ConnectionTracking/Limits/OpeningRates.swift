// SPDX-License-Identifier: GPL-3.0-or-later

import Locking
public import PacketWire

/// How many connections one rule may admit from one source in a time, as a token bucket has it: `count` at once, and one more for
/// each `span / count` that passes.
public struct OpeningRate: Hashable, Sendable, BitwiseCopyable {
    public var count: UInt32
    public var span: Instant.Span

    /// More in one time are as good as no rate; a longer time is a ban.
    public static let counts: ClosedRange<UInt32> = 1...1_000_000
    public static let spans: ClosedRange<Instant.Span> = .seconds(1)...(.hours(24))

    public init(count: UInt32, span: Instant.Span) {
        self.count = count
        self.span = span
    }

    /// For how long one opening keeps a part of the bucket.
    var interval: Instant.Span { Instant.Span(nanoseconds: span.nanoseconds / Int64(count)) }
}

/// One opening, as a rule's rate counts it.
public struct RatedOpening: BitwiseCopyable {
    /// Of the rule; the same over reloads that leave the rule as it is.
    public var rule: UInt64
    public var rate: OpeningRate
    public var source: IPAddress
    /// 4 or 6.
    public var version: UInt8
    /// Tells it from other openings of its source: what its sender repeats is counted once.
    public var digest: UInt64

    public init(rule: UInt64, rate: OpeningRate, source: IPAddress, version: UInt8, digest: UInt64) {
        self.rule = rule
        self.rate = rate
        self.source = source
        self.version = version
        self.digest = digest
    }
}

/// What one bucket holds, for an engine that is to judge as another one does.
public struct RateStanding: Hashable, Sendable {
    public var rule: UInt64
    public var source: IPAddress
    public var version: UInt8
    /// When the bucket is full again.
    public var full: Instant
    public var digest: UInt64

    public init(rule: UInt64, source: IPAddress, version: UInt8, full: Instant, digest: UInt64) {
        self.rule = rule
        self.source = source
        self.version = version
        self.full = full
        self.digest = digest
    }
}

/// What a rate says of an opening.
public enum RateVerdict: BitwiseCopyable {
    case refused
    /// Admitted, and counted by this: what something else refuses then may be given back.
    case counted
    /// Admitted, and nothing was counted: it was before, or is only asked about, or there is no room.
    case uncounted
}

/// The token buckets of all rules with a rate, for all workers: a source's openings are counted whichever queues they come to.
///
/// A bucket is one instant, at which it is full again (the generic cell rate algorithm, ITU-T I.371); one that is full is no bucket.
/// The memory is fixed: sets of eight buckets, the set chosen by a keyed hash that nobody outside can know. Where a set is full the
/// bucket of which the least part is used gives way, whatever its rule's time, but never one of a source that is at its rate. So a
/// flood of sources that ask once each, as forged ones do, refuses nobody and frees nobody who is at his rate; and a source that finds
/// no place is admitted. At a rate of one, who has asked once is at his rate: as many sources as there are buckets take them all.
public final class OpeningRates: Sendable {
    private struct Bucket: BitwiseCopyable {
        /// Of rule and source; 0 is nobody's.
        var tag: UInt64 = 0
        var full = Instant(nanoseconds: .min)
        /// Of the opening that was counted last.
        var digest: UInt64 = 0
        /// Of the rate: 0 is of one that is not known.
        var count: UInt32 = 0
        /// Of the rate, in milliseconds.
        var span: UInt32 = 0

        init() {}

        init(tag: UInt64, full: Instant, digest: UInt64, rate: OpeningRate) {
            self.tag = tag
            self.full = full
            self.digest = digest
            count = rate.count
            span = UInt32(clamping: max(1, rate.span.nanoseconds / 1_000_000))
        }

        /// Which part of it is used, 0 to 1; nil: so much that the next opening would be refused.
        func use(at now: Instant) -> Double? {
            guard full > now else { return 0 }
            guard count > 0 else { return nil }
            let use = Double((full - now).nanoseconds) / (Double(span) * 1_000_000)
            return use * Double(count) > Double(count - 1) ? nil : use
        }
    }

    private struct Shard {
        var buckets: [Bucket] = []
    }

    private static var shardCount: Int { 16 }
    private static var setsPerShard: Int { 512 }
    private static var ways: Int { 8 }

    /// Guards the buckets whose tag begins with the shard's number.
    private let shards = InlineArray<16, Guarded<Shard>> { _ in Guarded(Shard()) }
    private let seed: (UInt64, UInt64)

    init(seed: (UInt64, UInt64)) { self.seed = (seed.0 ^ 0x7261_7465, seed.1) }

    /// Bytes, where a rule has a rate; the workers share them.
    public static var memory: Int { shardCount * setsPerShard * ways * MemoryLayout<Bucket>.stride }

    /// Reserves the memory, or gives it back: when a policy comes into force, never for a packet. What is counted stays.
    public func prepare(isUsed: Bool) {
        for place in 0..<shards.count {
            shards[place].withLock { shard in
                if !isUsed { shard.buckets = [] }
                if isUsed, shard.buckets.isEmpty {
                    shard.buckets = [Bucket](repeating: Bucket(), count: Self.setsPerShard * Self.ways)
                }
            }
        }
    }

    /// Whether the rate allows an opening, which is counted where `counts` says so. What is refused is never counted.
    /// `mayRepeat`: nothing is remembered of the opening but here, so that the same one again is none of its own.
    public func judge(_ opening: RatedOpening, at now: Instant, counts: Bool, mayRepeat: Bool) -> RateVerdict {
        let tag = tag(opening.rule, opening.source, opening.version)
        return shards[Int(tag >> 60)].withLock { shard in
            guard !shard.buckets.isEmpty, let place = Self.place(of: tag, in: shard, at: now) else { return .uncounted }
            let known = shard.buckets[place].tag == tag && shard.buckets[place].full > now
            let full = known ? shard.buckets[place].full : now
            if known, mayRepeat, shard.buckets[place].digest == opening.digest { return .uncounted }
            let interval = opening.rate.interval
            // Full for the first of `count`, and empty after the last.
            guard full - now <= Instant.Span(nanoseconds: interval.nanoseconds * Int64(opening.rate.count - 1)) else {
                return .refused
            }
            guard counts else { return .uncounted }
            shard.buckets[place] = Bucket(
                tag: tag, full: full + interval, digest: opening.digest, rate: opening.rate)
            return .counted
        }
    }

    /// Takes back what was counted for an opening that something else has refused.
    public func giveBack(_ opening: RatedOpening) {
        let tag = tag(opening.rule, opening.source, opening.version)
        shards[Int(tag >> 60)].withLock { shard in
            guard !shard.buckets.isEmpty, let place = Self.place(of: tag, in: shard) else { return }
            shard.buckets[place].full = Instant(
                nanoseconds: shard.buckets[place].full.nanoseconds - opening.rate.interval.nanoseconds)
            shard.buckets[place].digest = 0
        }
    }

    /// What is counted for a source under a rule; nil: nothing.
    public func standing(rule: UInt64, source: IPAddress, version: UInt8, at now: Instant) -> RateStanding? {
        let tag = tag(rule, source, version)
        return shards[Int(tag >> 60)].withLock { shard in
            guard !shard.buckets.isEmpty, let place = Self.place(of: tag, in: shard) else { return nil }
            let bucket = shard.buckets[place]
            guard bucket.full > now else { return nil }
            return RateStanding(rule: rule, source: source, version: version, full: bucket.full, digest: bucket.digest)
        }
    }

    /// Takes it for what is counted here; it never gives way.
    public func assume(_ standing: RateStanding) {
        let tag = tag(standing.rule, standing.source, standing.version)
        shards[Int(tag >> 60)].withLock { shard in
            guard !shard.buckets.isEmpty,
                let place = Self.place(of: tag, in: shard, at: Instant(nanoseconds: 0))
            else { return }
            var bucket = Bucket()
            bucket.tag = tag
            bucket.full = standing.full
            bucket.digest = standing.digest
            shard.buckets[place] = bucket
        }
    }

    private func tag(_ rule: UInt64, _ source: IPAddress, _ version: UInt8) -> UInt64 {
        var hash = SipHash(seed: seed)
        hash.absorb(rule)
        hash.absorb(source.high)
        hash.absorb(source.low)
        hash.absorb(UInt64(version))
        return hash.finish() | 1
    }

    /// The bucket of a tag; nil: it has none.
    private static func place(of tag: UInt64, in shard: borrowing Shard) -> Int? {
        let first = firstPlace(of: tag)
        for place in first..<(first + ways) where shard.buckets[place].tag == tag { return place }
        return nil
    }

    /// The bucket of a tag, or the one of its set that would give way to it: the one of which the least part is used. Nil: none does.
    private static func place(of tag: UInt64, in shard: borrowing Shard, at now: Instant) -> Int? {
        if let place = place(of: tag, in: shard) { return place }
        let first = firstPlace(of: tag)
        var least: (place: Int, use: Double)?
        for place in first..<(first + ways) {
            guard let use = shard.buckets[place].use(at: now) else { continue }
            if use == 0 { return place }
            if use < least?.use ?? .infinity { least = (place, use) }
        }
        return least?.place
    }

    private static func firstPlace(of tag: UInt64) -> Int { Int(tag >> 32 & UInt64(setsPerShard - 1)) * ways }
}
