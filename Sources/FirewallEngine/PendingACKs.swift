// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import PacketWire

/// ACKs to flooded listeners, of which no opening has an entry. Each was passed, and waits for what this host makes of it: a RST
/// says that its cookie is wrong, anything else that a connection is open.
///
/// Fixed memory, reserved when the policy first asks for it. Places in sets of eight, by a keyed hash of the endpoints; in a set
/// that is full nothing gives way.
struct PendingACKs: Sendable {
    /// How long they wait. This host answers a wrong ACK in the moment in which it gets it.
    static let lifetime = Instant.Span.seconds(2)
    private static let ways = 8
    private static let sets = 128

    struct Place: BitwiseCopyable {
        /// The connection that it has opened, if it has.
        var connection: Connection
        var end: Instant
        /// What the first of its segments acknowledges, and the last.
        var acknowledged: UInt32
        var lastAcknowledged: UInt32
        var listener: ListenerLoads.Index
        /// The first segment, for the event.
        var headers: PacketHeaders
        var metadata: PacketMetadata
    }

    /// Bytes where it is used.
    static var memory: Int { ways * sets * (MemoryLayout<Place>.stride + MemoryLayout<UInt32>.stride) }

    /// The hash of what stands in each place; 0: nothing.
    private var hashes: [UInt32] = []
    private var places: [Place] = []
    private let seed: (UInt64, UInt64)
    private var position = 0
    /// Nothing more may wait: for an engine that was told so.
    private var isClosed = false
    private(set) var count = 0

    init(seed: (UInt64, UInt64)) { self.seed = seed }

    /// Reserves the memory. Once reserved it is kept: what waits is to be answered, also when the policy changes.
    mutating func reserve() {
        guard places.isEmpty else { return }
        hashes = [UInt32](repeating: 0, count: Self.ways * Self.sets)
        places = []
        places.reserveCapacity(hashes.count)
        let none = ConnectionKey(
            lowAddress: .zero, highAddress: .zero, lowPortOrIdentifier: 0, highPortOrIdentifier: 0, protocolNumber: 0,
            version: 0, queryType: 0)
        let start = Instant(nanoseconds: 0)
        let vacant = Place(
            connection: Connection(key: none, opener: .low, openingDirection: .incoming, at: start), end: start,
            acknowledged: 0, lastAcknowledged: 0, listener: ListenerLoads.none, headers: PacketHeaders(),
            metadata: PacketMetadata())
        for _ in 0..<hashes.count { places.append(vacant) }
    }

    subscript(index: Int) -> Place {
        get { places[index] }
        _modify { yield &places[index] }
    }

    /// The place of one that still waits, or has waited and was not looked at since.
    func find(_ key: ConnectionKey) -> Int? {
        guard count > 0 else { return nil }
        let hash = hash(of: key)
        let first = Int(hash) % Self.sets * Self.ways
        for i in first..<first + Self.ways where hashes[i] == hash && places[i].connection.key == key { return i }
        return nil
    }

    /// Where one may wait whose key `find` does not know: a vacant place, or that of one whose time is over; nil: nowhere.
    func room(for key: ConnectionKey, at now: Instant) -> Int? {
        guard !places.isEmpty, !isClosed else { return nil }
        let first = Int(hash(of: key)) % Self.sets * Self.ways
        var over: Int?
        for i in first..<first + Self.ways {
            if hashes[i] == 0 { return i }
            if now >= places[i].end { over = over ?? i }
        }
        return over
    }

    /// Whether one would find no place, where any may wait.
    func lacksRoom(for key: ConnectionKey, at now: Instant) -> Bool {
        !places.isEmpty && find(key) == nil && room(for: key, at: now) == nil
    }

    /// Leaves no room.
    mutating func close() { isClosed = true }

    /// Has one wait in a vacant place.
    mutating func put(_ place: Place, at index: Int) {
        hashes[index] = hash(of: place.connection.key)
        places[index] = place
        count += 1
    }

    mutating func remove(_ index: Int) {
        guard hashes[index] != 0 else { return }
        hashes[index] = 0
        count -= 1
    }

    /// Whether something stands there.
    func isTaken(_ index: Int) -> Bool { hashes[index] != 0 }

    /// The next place, of at most so many, in which something has waited long enough.
    mutating func nextOver(at now: Instant, lookingAt limit: inout Int) -> Int? {
        guard count > 0 else { return nil }
        while limit > 0 {
            limit -= 1
            position = (position + 1) % places.count
            if hashes[position] != 0, now >= places[position].end { return position }
        }
        return nil
    }

    private func hash(of key: ConnectionKey) -> UInt32 {
        var sip = SipHash(seed: seed)
        sip.absorb(key.lowAddress.high)
        sip.absorb(key.lowAddress.low)
        sip.absorb(key.highAddress.high)
        sip.absorb(key.highAddress.low)
        sip.absorb(
            UInt64(key.lowPortOrIdentifier) | UInt64(key.highPortOrIdentifier) << 16 | UInt64(key.version) << 32)
        return UInt32(truncatingIfNeeded: sip.finish()) | 1 << 31
    }
}
