// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

/// How many openings to each listening endpoint of this host are under way, and which of them are flooded.
///
/// A listener to which a threshold of half-open connections has come is in *cookie mode*: SYNs to it pass without an entry, and
/// this host's own SYN cookies answer them. What passes so is counted like the entries that there would be: those of the time that
/// a half-open connection lasts, less those that were completed. The mode ends when entries and count together have come down to
/// about half of the threshold (12 of 25, the proportion of pf's bounds). For some time after it the listener *lingers*: SYNs get
/// entries again, and what was opened without one still comes through.
///
/// Fixed memory, reserved when the policy first asks for it; an endpoint that finds no place in it is never in cookie mode.
public struct ListenerLoads: Sendable {
    /// The place of a listener. It stays while something is counted for the listener, or while it is in cookie mode or lingers. One
    /// byte, because each entry of the table has one; the two highest values are none.
    public typealias Index = UInt8
    /// No listener.
    public static let none: Index = 254
    /// No listener, and no connection that is half-open: for entries of the table.
    static let settled: Index = 255

    private static let ways = 4
    private static let sets = 63
    /// Places that one look goes over.
    private static let looksAtOnce = 256

    /// How a listener stands: `lingering` for some time after cookie mode.
    public enum Mode: UInt8, CaseIterable, BitwiseCopyable, Sendable { case ordinary, cookies, lingering }

    private struct Place: BitwiseCopyable {
        var address = IPAddress.zero
        var port: UInt16 = 0
        /// 4 or 6; 0: vacant.
        var version: UInt8 = 0
        var mode = Mode.ordinary
        /// SYNs to it may have passed unseen, before the queue, since it came into cookie mode.
        var isUnseen = false
        /// Entries of the table.
        var halfOpen: UInt32 = 0
        /// SYNs that passed without an entry, in this span of time and in the one before, less those that were completed.
        var passed: UInt32 = 0
        var passedBefore: UInt32 = 0
        /// When the span is over; while lingering, when that is.
        var end = Instant(nanoseconds: .min)

        var load: UInt32 { halfOpen &+ passed &+ passedBefore }
    }

    /// Bytes where it is used.
    public static var memory: Int { ways * sets * MemoryLayout<Place>.stride }

    private var places: [Place] = []
    private let seed: (UInt64, UInt64)
    private var position = 0
    /// How many are in cookie mode, and how many of the others linger.
    public private(set) var flooded = 0
    public private(set) var lingering = 0
    /// Half-open connections from which on a listener is flooded; nil: never, and what is flooded is so no longer.
    public var threshold: UInt32?

    public init(seed: (UInt64, UInt64)) { self.seed = seed }

    /// Reserves the memory. Once reserved it is kept, because entries of the table name places in it.
    public mutating func reserve() {
        if places.isEmpty { places = [Place](repeating: Place(), count: Self.ways * Self.sets) }
    }

    /// Whether anything may pass by cookies.
    @inline(__always)
    public var isActive: Bool { flooded + lingering > 0 }

    /// The place of a listener, or nil where it has none.
    public func find(_ address: IPAddress, _ port: UInt16, version: UInt8) -> Index? {
        guard !places.isEmpty else { return nil }
        let first = set(address, port, version)
        for i in first..<first + Self.ways where isPlace(i, of: address, port, version) { return Index(i) }
        return nil
    }

    /// The same; where it has none, it takes a vacant one, if there is one.
    public mutating func take(_ address: IPAddress, _ port: UInt16, version: UInt8) -> Index? {
        guard !places.isEmpty else { return nil }
        let first = set(address, port, version)
        var vacant: Int?
        for i in first..<first + Self.ways {
            if isPlace(i, of: address, port, version) { return Index(i) }
            if places[i].halfOpen == 0, places[i].mode == .ordinary { vacant = vacant ?? i }
        }
        guard let vacant else { return nil }
        places[vacant] = Place(address: address, port: port, version: version)
        return Index(vacant)
    }

    /// Whether the next SYN to it passes without an entry: it is in cookie mode, or comes into it now.
    public mutating func isFlooded(_ index: Index, at now: Instant, lasting span: Instant.Span) -> Bool {
        let i = Int(index)
        guard let threshold else { return false }
        if places[i].mode == .cookies { return true }
        guard places[i].halfOpen >= threshold else { return false }
        begin(index, at: now, lasting: span)
        return true
    }

    /// Puts it into cookie mode.
    public mutating func begin(_ index: Index, at now: Instant, lasting span: Instant.Span) {
        let i = Int(index)
        guard places[i].mode != .cookies else { return }
        if places[i].mode == .lingering { lingering -= 1 }
        flooded += 1
        places[i].mode = .cookies
        places[i].passed = 0
        places[i].passedBefore = 0
        places[i].end = now + span
    }

    /// Whether it is in cookie mode, or was so not long ago.
    public func mayHavePassed(_ index: Index) -> Bool { places[Int(index)].mode != .ordinary }

    /// SYNs to it pass unseen from now on.
    public mutating func noteUnseen(_ index: Index) { places[Int(index)].isUnseen = true }

    /// Whether an opening to it may have passed unseen.
    public func mayBeUnseen(_ index: Index) -> Bool {
        places[Int(index)].isUnseen && places[Int(index)].mode != .ordinary
    }

    /// SYNs to it have passed without an entry.
    public mutating func notePassed(_ index: Index, _ count: UInt32 = 1) {
        let i = Int(index)
        places[i].passed = places[i].passed > .max / 4 - min(count, .max / 4) ? .max / 4 : places[i].passed + count
    }

    /// One of them has opened a connection.
    public mutating func noteCompleted(_ index: Index) {
        let i = Int(index)
        if places[i].passed > 0 {
            places[i].passed -= 1
        } else if places[i].passedBefore > 0 {
            places[i].passedBefore -= 1
        }
    }

    /// An entry that is half-open was made for it.
    mutating func noteHalfOpen(_ index: Index) { places[Int(index)].halfOpen += 1 }

    /// An entry is half-open no more.
    mutating func noteSettled(_ index: Index) {
        let i = Int(index)
        if places[i].halfOpen > 0 { places[i].halfOpen -= 1 }
    }

    /// Ends what is over, a part of all listeners per call; nothing is done while there is nothing to end. A half-open connection
    /// lasts for `span`, a listener lingers for `grace`.
    public mutating func tidy(at now: Instant, lasting span: Instant.Span, lingeringFor grace: Instant.Span) {
        guard isActive else { return }
        for _ in 0..<Self.looksAtOnce {
            position = (position + 1) % places.count
            switch places[position].mode {
            case .ordinary: break
            case .cookies: tidyFlooded(position, at: now, span, grace)
            case .lingering:
                guard now >= places[position].end else { break }
                places[position].mode = .ordinary
                places[position].isUnseen = false
                lingering -= 1
            }
        }
    }

    private mutating func tidyFlooded(_ i: Int, at now: Instant, _ span: Instant.Span, _ grace: Instant.Span) {
        if now >= places[i].end {
            places[i].passedBefore = places[i].passed
            places[i].passed = 0
            places[i].end = now + span
        }
        if let threshold, places[i].load > threshold / 25 * 12 + threshold % 25 * 12 / 25 { return }
        places[i].mode = .lingering
        places[i].end = now + grace
        flooded -= 1
        lingering += 1
    }

    func standing(at index: Index) -> ListenerStanding {
        let place = places[Int(index)]
        return ListenerStanding(
            address: place.address, port: place.port, version: place.version, mode: place.mode,
            isUnseen: place.isUnseen, halfOpen: place.halfOpen)
    }

    mutating func assume(_ standing: ListenerStanding, at index: Index, end: Instant) {
        let i = Int(index)
        guard places[i].mode == .ordinary, places[i].halfOpen == 0 else { return }
        places[i].mode = standing.mode
        places[i].isUnseen = standing.isUnseen
        places[i].halfOpen = standing.halfOpen
        places[i].end = end
        flooded += standing.mode == .cookies ? 1 : 0
        lingering += standing.mode == .lingering ? 1 : 0
    }

    private func isPlace(_ i: Int, of address: IPAddress, _ port: UInt16, _ version: UInt8) -> Bool {
        places[i].port == port && places[i].version == version && places[i].address.isSame(as: address)
    }

    private func set(_ address: IPAddress, _ port: UInt16, _ version: UInt8) -> Int {
        var hash = SipHash(seed: seed)
        hash.absorb(address.high)
        hash.absorb(address.low)
        hash.absorb(UInt64(port) << 8 | UInt64(version))
        return Int(hash.finish() % UInt64(Self.sets)) * Self.ways
    }
}

/// What is told of a listener in cookie mode.
public struct FloodedListener: Hashable, Sendable {
    public var address: IPAddress
    public var port: UInt16
    /// 4 or 6.
    public var version: UInt8
    /// Its half-open connections that have an entry.
    public var halfOpen: UInt32
    /// SYNs that passed without one, and opened nothing yet.
    public var passed: UInt32
}

extension ListenerLoads {
    /// Appends those in cookie mode; a walk over all places where there is one.
    public func appendFlooded(to list: inout [(index: Index, listener: FloodedListener)]) {
        guard flooded > 0 else { return }
        for (i, place) in places.enumerated() where place.mode == .cookies {
            let listener = FloodedListener(
                address: place.address, port: place.port, version: place.version, halfOpen: place.halfOpen,
                passed: place.passed &+ place.passedBefore)
            list.append((Index(i), listener))
        }
    }
}
