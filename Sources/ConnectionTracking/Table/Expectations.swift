// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

/// A connection that another one has announced: who is to open it, to whom, at which port.
public struct Expectation: Sendable, BitwiseCopyable {
    public var source: IPAddress
    public var destination: IPAddress
    public var port: UInt16
    /// 4 or 6.
    public var version: UInt8
    /// The direction in which its SYN goes.
    public var direction: Direction

    public init(source: IPAddress, destination: IPAddress, port: UInt16, version: UInt8, direction: Direction) {
        self.source = source
        self.destination = destination
        self.port = port
        self.version = version
        self.direction = direction
    }

    func isSame(as other: Expectation) -> Bool {
        port == other.port && version == other.version && source.isSame(as: other.source)
            && destination.isSame(as: other.destination) && direction == other.direction
    }
}

/// The connections that control connections have announced to one worker. Each admits one opening, within a minute. The kernel's
/// queue hash sends all packets between two addresses to one worker, so that this is the worker that the opening comes to.
///
/// Fixed memory, reserved when the policy first asks for it: a set of four places for each value of a keyed hash of the two
/// addresses and the port; where it is full, the oldest gives way.
public struct Expectations: Sendable {
    public static let lifetime = Instant.Span.minutes(1)
    private static let ways = 4
    private static let sets = 128

    private struct Place: BitwiseCopyable {
        var expectation: Expectation
        var end: Instant
    }

    private var places: [Place] = []
    private let seed: (UInt64, UInt64)
    /// When all of them are over.
    private var lastEnd = Instant(nanoseconds: .min)

    public init(seed: (UInt64, UInt64)) { self.seed = seed }

    /// Bytes, where it is used.
    public static var memory: Int { ways * sets * MemoryLayout<Place>.stride }

    /// Reserves the memory, or gives it back with all that is expected.
    public mutating func prepare(isUsed: Bool) {
        guard isUsed == places.isEmpty else { return }
        let none = Expectation(source: .zero, destination: .zero, port: 0, version: 0, direction: .incoming)
        let vacant = Place(expectation: none, end: Instant(nanoseconds: .min))
        places = isUsed ? [Place](repeating: vacant, count: Self.ways * Self.sets) : []
        lastEnd = Instant(nanoseconds: .min)
    }

    /// Expects a connection from now on.
    public mutating func expect(_ expectation: Expectation, at now: Instant) {
        guard !places.isEmpty else { return }
        let first = set(of: expectation)
        var chosen = first
        for i in first..<first + Self.ways {
            if places[i].expectation.isSame(as: expectation) {
                chosen = i
                break
            }
            if places[i].end < places[chosen].end { chosen = i }
        }
        lastEnd = now + Self.lifetime
        places[chosen] = Place(expectation: expectation, end: lastEnd)
    }

    /// Whether this connection is expected now.
    public func has(_ expectation: Expectation, at now: Instant) -> Bool { find(expectation, at: now) != nil }

    /// Expects it no more: it has come, or another was announced in its place.
    public mutating func remove(_ expectation: Expectation, at now: Instant) {
        if let i = find(expectation, at: now) { places[i].end = Instant(nanoseconds: .min) }
    }

    private func find(_ expectation: Expectation, at now: Instant) -> Int? {
        guard now < lastEnd else { return nil }
        let first = set(of: expectation)
        for i in first..<first + Self.ways
        where now < places[i].end && places[i].expectation.isSame(as: expectation) { return i }
        return nil
    }

    private func set(of expectation: Expectation) -> Int {
        var hash = SipHash(seed: seed)
        hash.absorb(expectation.source.high)
        hash.absorb(expectation.source.low)
        hash.absorb(expectation.destination.high)
        hash.absorb(expectation.destination.low)
        hash.absorb(UInt64(expectation.port))
        return Int(hash.finish() % UInt64(Self.sets)) * Self.ways
    }
}
