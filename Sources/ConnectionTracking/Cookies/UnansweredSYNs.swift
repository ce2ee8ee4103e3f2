// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

/// How many SYNs of each computer passed without an entry and opened nothing yet: what `half-open-per-computer` counts while a
/// listener is in cookie mode.
///
/// It never counts too much, so that nobody is refused for others. A SYN that is sent again is no further one: each pair of
/// ports sets one bit of the computer's thousand, and only a bit that was not set counts. What finds its bit set by another pair
/// of ports is not counted, nor is a computer that finds no place: where all are taken, the one with the fewest SYNs gives way,
/// so that spoofed sources, of which each sends one, do not drive out who sends many.
///
/// Fixed memory, reserved while the policy has that limit beside cookies.
public struct UnansweredSYNs: Sendable {
    private static let ways = 4
    private static let sets = 256
    private static let words = 16

    private struct Place: BitwiseCopyable {
        var address = IPAddress.zero
        /// 4 or 6; 0: vacant.
        var version: UInt8 = 0
        var count: UInt32 = 0
        /// When all that is counted is over.
        var end = Instant(nanoseconds: .min)
    }

    /// Bytes where it is used.
    public static var memory: Int { ways * sets * (MemoryLayout<Place>.stride + words * MemoryLayout<UInt64>.stride) }

    private var places: [Place] = []
    private var bits: [UInt64] = []
    private let seed: (UInt64, UInt64)

    public init(seed: (UInt64, UInt64)) { self.seed = seed }

    /// Reserves the memory, or gives it back with all that is counted.
    public mutating func prepare(isUsed: Bool) {
        guard isUsed == places.isEmpty else { return }
        places = isUsed ? [Place](repeating: Place(), count: Self.ways * Self.sets) : []
        bits = isUsed ? [UInt64](repeating: 0, count: places.count * Self.words) : []
    }

    /// Whether the computer may have one more; `opener` is the side of the key that sends the SYN.
    public func admits(_ key: ConnectionKey, opener: Side, limit: UInt32, at now: Instant) -> Bool {
        guard let place = find(key, opener, at: now) else { return true }
        return places[place].count < limit || isSet(bit(of: key), of: place)
    }

    /// Counts a SYN that passes. The counts of a computer are dropped after the time that a half-open connection lasts, `span`,
    /// from the first on.
    public mutating func note(_ key: ConnectionKey, opener: Side, at now: Instant, lasting span: Instant.Span) {
        guard !places.isEmpty else { return }
        let place = find(key, opener, at: now) ?? make(key, opener, at: now, span)
        let bit = bit(of: key)
        guard !isSet(bit, of: place) else { return }
        bits[place * Self.words + bit / 64] |= 1 << UInt64(bit % 64)
        places[place].count += 1
    }

    /// It has opened a connection.
    public mutating func noteCompleted(_ key: ConnectionKey, opener: Side, at now: Instant) {
        guard let place = find(key, opener, at: now) else { return }
        let bit = bit(of: key)
        guard isSet(bit, of: place) else { return }
        bits[place * Self.words + bit / 64] &= ~(1 << UInt64(bit % 64))
        places[place].count -= 1
    }

    /// What is counted for a computer, and whether one SYN is among it.
    public struct Standing: Hashable, Sendable {
        public var count: UInt32
        public var isCounted: Bool

        public init(count: UInt32, isCounted: Bool) {
            self.count = count
            self.isCounted = isCounted
        }
    }

    /// nil where nothing is counted for the computer that sends such a SYN.
    public func standing(of key: ConnectionKey, opener: Side, at now: Instant) -> Standing? {
        find(key, opener, at: now).map {
            Standing(count: places[$0].count, isCounted: isSet(bit(of: key), of: $0))
        }
    }

    /// Counts so much for a computer, for counts of one's own.
    public mutating func assume(
        _ standing: Standing, of key: ConnectionKey, opener: Side, at now: Instant, lasting span: Instant.Span
    ) {
        guard !places.isEmpty else { return }
        if standing.isCounted { note(key, opener: opener, at: now, lasting: span) }
        let place = find(key, opener, at: now) ?? make(key, opener, at: now, span)
        places[place].count = standing.count
    }

    private func isSet(_ bit: Int, of place: Int) -> Bool {
        bits[place * Self.words + bit / 64] >> UInt64(bit % 64) & 1 != 0
    }

    private func find(_ key: ConnectionKey, _ opener: Side, at now: Instant) -> Int? {
        guard !places.isEmpty else { return nil }
        let address = key.address(of: opener)
        let first = set(address, key.version)
        for i in first..<first + Self.ways
        where places[i].version == key.version && now < places[i].end && places[i].address.isSame(as: address) {
            return i
        }
        return nil
    }

    private mutating func make(_ key: ConnectionKey, _ opener: Side, at now: Instant, _ span: Instant.Span) -> Int {
        let address = key.address(of: opener)
        let first = set(address, key.version)
        var chosen = first
        for i in first..<first + Self.ways {
            if now >= places[i].end {
                chosen = i
                break
            }
            if places[i].count < places[chosen].count { chosen = i }
        }
        places[chosen] = Place(address: address, version: key.version, end: now + span)
        for word in 0..<Self.words { bits[chosen * Self.words + word] = 0 }
        return chosen
    }

    private func set(_ address: IPAddress, _ version: UInt8) -> Int {
        var hash = SipHash(seed: seed)
        hash.absorb(address.high)
        hash.absorb(address.low)
        hash.absorb(UInt64(version))
        return Int(hash.finish() % UInt64(Self.sets)) * Self.ways
    }

    private func bit(of key: ConnectionKey) -> Int {
        Int(key.hash(seed: (seed.1, seed.0)) % UInt32(Self.words * 64))
    }
}
