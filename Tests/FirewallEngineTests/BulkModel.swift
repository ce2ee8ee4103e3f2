// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import PacketWire
import TestSupport

/// Two ends that send each other streams of bytes over a path that loses, doubles and reorders, with a whole engine on it. Each
/// connection begins close to where its sequence numbers wrap; the next one is between the same ports.
struct BulkModel {
    /// One end.
    struct End {
        var initial: UInt32 = 0
        /// The first that is not acknowledged, the next to send, the end of the stream.
        var unacknowledged: UInt32 = 0
        var next: UInt32 = 0
        var limit: UInt32 = 0
        /// What it expects of the other, and what of that has come out of order.
        var expected: UInt32 = 0
        var islands: [(start: UInt32, end: UInt32)] = []
        var finAt: UInt32?
        var duplicates = 0
        /// It has had the other's SYN.
        var hasPeer = false
        var isOpen = false
        var deadline: Int64 = 0
        /// Bytes that came in order, all of them right.
        var received = 0

        var hasSentAll: Bool { unacknowledged == limit &+ 1 }
    }

    struct Segment {
        var flags: TCPFlags
        var sequence: UInt32
        var acknowledgement: UInt32
        var length: UInt32
        var stamp: UInt32
        var block: (UInt32, UInt32)?
    }

    enum Event {
        case passes(Int, Segment)
        case arrives(Int, Segment)
        case timer(Int)
    }

    static let bytesEachWay: UInt32 = 60_000
    private static let window: UInt32 = 60_000
    private static let congestion: UInt32 = 9_000

    var random: SeededRandom
    let host: EngineUnderTest
    let isIPv6: Bool
    var ends = [End(), End()]
    var queue = ModelQueue<Event>()
    /// Microseconds.
    var now: Int64 = 1_000_000_000_000
    var segments = 0
    var connections = 0
    var repeated = 0
    /// What was refused, or came out wrong.
    var failure: String?

    init(_ host: EngineUnderTest, seed: UInt64, isIPv6: Bool) {
        self.host = host
        self.isIPv6 = isIPv6
        random = SeededRandom(seed: seed)
    }

    /// Plays connections until so many segments have come to the engine.
    mutating func run(_ count: Int) {
        while segments < count, failure == nil {
            connect()
            while let (time, event) = queue.next(), failure == nil {
                now = time
                handle(event)
            }
            if failure == nil, !ends.allSatisfy({ $0.received == Int(Self.bytesEachWay) }) {
                failure = "connection \(connections) ended with \(ends.map(\.received)) bytes"
            }
            now += 61_000_000
            host.engine.tidy(at: Instant(nanoseconds: now * 1_000))
        }
    }

    private mutating func connect() {
        connections += 1
        for place in 0..<2 {
            var end = End()
            end.initial = 0 &- UInt32.random(in: 0...2 * Self.bytesEachWay, using: &random)
            end.unacknowledged = end.initial
            end.next = end.initial &+ 1
            end.limit = end.next &+ Self.bytesEachWay
            ends[place] = end
        }
        send(0, Segment(flags: .syn, sequence: ends[0].initial, acknowledgement: 0, length: 0, stamp: stamp))
        arm(0)
    }

    private mutating func handle(_ event: Event) {
        switch event {
        case .passes(let place, let s): observe(place, s)
        case .arrives(let place, let s): receive(place, s)
        case .timer(let place): wake(place)
        }
    }

    var stamp: UInt32 { UInt32(truncatingIfNeeded: now / 1_000) }

    /// A byte of a stream.
    static func byte(_ end: End, at sequence: UInt32) -> UInt8 {
        UInt8(truncatingIfNeeded: (sequence &- end.initial) &* 2_654_435_761 >> 13)
    }
}

// MARK: - The path

extension BulkModel {
    /// A leg before the engine or behind it.
    private mutating func travel(_ event: Event) {
        if Int.random(in: 0..<40, using: &random) == 0 { return }
        for _ in 0..<(Int.random(in: 0..<50, using: &random) == 0 ? 2 : 1) {
            let detour = Int.random(in: 0..<12, using: &random) == 0 ? Int64.random(in: 0...15_000, using: &random) : 0
            queue.add(event, at: now + 5_000 + detour)
        }
    }

    mutating func send(_ place: Int, _ s: Segment) { travel(.passes(place, s)) }

    private mutating func observe(_ place: Int, _ s: Segment) {
        segments += 1
        let packet = packet(place, s)
        var metadata = PacketMetadata()
        metadata.direction = place == 0 ? .incoming : .outgoing
        metadata.hook = place == 0 ? .prerouting : .output
        metadata.inInterface = place == 0 ? 2 : 0
        metadata.outInterface = place == 0 ? 0 : 2
        metadata.fullLength = UInt32(packet.bytes.count)
        metadata.etherType = packet.etherType
        let bytes = packet.bytes
        let decision = unsafe host.engine.inspect(bytes.span.bytes, metadata, at: Instant(nanoseconds: now * 1_000))
        guard decision.verdict == .pass, decision.reason == nil, host.engine.outbox.events.isEmpty else {
            failure = "segment \(segments), of connection \(connections), \(s) of \(place): \(decision)\n\(ends)"
            return
        }
        travel(.arrives(1 - place, s))
    }

    private func packet(_ place: Int, _ s: Segment) -> PacketBuilder {
        let addresses: [IPAddress] = isIPv6 ? [.peer6, .host6] : [.peer, .host]
        let ports: [UInt16] = [40_000, 80]
        var options: [TCPOption] = s.flags.contains(.syn) ? [.mss(1460), .sackPermitted, .windowScale(3)] : []
        options.append(.timestamps(s.stamp, echo: 0))
        if let block = s.block { options.append(.sack([block])) }
        let window = s.flags.contains(.syn) ? Self.window : Self.window >> 3
        return PacketBuilder.ip(from: addresses[place], to: addresses[1 - place])
            .tcp(
                ports[place], ports[1 - place], s.flags, seq: s.sequence, ack: s.acknowledgement,
                window: UInt16(window), options: options
            )
            .payload((0..<s.length).map { Self.byte(ends[place], at: s.sequence &+ $0) })
    }
}

// MARK: - The ends

extension BulkModel {
    private func make(_ place: Int, _ flags: TCPFlags, at sequence: UInt32, length: UInt32 = 0) -> Segment {
        Segment(
            flags: flags, sequence: sequence, acknowledgement: ends[place].expected, length: length, stamp: stamp,
            block: flags.contains(.syn) ? nil : ends[place].islands.last)
    }

    private mutating func acknowledge(_ place: Int) { send(place, make(place, .ack, at: ends[place].next)) }

    private mutating func arm(_ place: Int) {
        ends[place].deadline = now + 250_000
        queue.add(.timer(place), at: ends[place].deadline)
    }

    private mutating func receive(_ place: Int, _ s: Segment) {
        if s.flags.contains(.syn) { return receiveSYN(place, s) }
        guard ends[place].hasPeer else { return }
        ends[place].isOpen = true
        let advance = s.acknowledgement &- ends[place].unacknowledged
        if advance > 0, advance <= ends[place].next &- ends[place].unacknowledged {
            ends[place].unacknowledged = s.acknowledgement
            ends[place].duplicates = 0
            arm(place)
        } else if advance == 0, s.length == 0 {
            ends[place].duplicates += 1
            if ends[place].duplicates == 3 { resend(place) }
        }
        if s.length > 0 || s.flags.contains(.fin) {
            take(place, s)
            acknowledge(place)
        }
        transmit(place)
    }

    private mutating func receiveSYN(_ place: Int, _ s: Segment) {
        if place == 1 {
            if !ends[1].hasPeer { ends[1].expected = s.sequence &+ 1 }
            ends[1].hasPeer = true
            send(1, make(1, [.syn, .ack], at: ends[1].initial))
            if !ends[1].isOpen { arm(1) }
        } else {
            if !ends[0].hasPeer { ends[0].expected = s.sequence &+ 1 }
            (ends[0].hasPeer, ends[0].isOpen) = (true, true)
            ends[0].unacknowledged = max(ends[0].unacknowledged &- ends[0].initial, 1) &+ ends[0].initial
            acknowledge(0)
            transmit(0)
        }
    }

    private mutating func take(_ place: Int, _ s: Segment) {
        let end = s.sequence &+ s.length
        if s.flags.contains(.fin) { ends[place].finAt = end }
        ends[place].islands.append((s.sequence, end))
        let before = ends[place].expected
        while let index = ends[place].islands.firstIndex(where: {
            Int32(bitPattern: $0.start &- ends[place].expected) <= 0
        }) {
            let island = ends[place].islands.remove(at: index)
            if Int32(bitPattern: island.end &- ends[place].expected) > 0 { ends[place].expected = island.end }
        }
        ends[place].received += Int(ends[place].expected &- before)
        if let fin = ends[place].finAt, fin == ends[place].expected { ends[place].expected = fin &+ 1 }
    }

    private mutating func transmit(_ place: Int) {
        guard ends[place].isOpen, ends[place].unacknowledged != ends[place].initial else { return }
        while true {
            let end = ends[place]
            let flight = end.next &- end.unacknowledged
            let left = end.limit &- end.next
            guard Int32(bitPattern: left) >= 0, flight < Self.congestion else { return }
            let length = min(left, UInt32.random(in: 1...400, using: &random))
            let isLast = length == left
            send(place, make(place, isLast ? [.ack, .psh, .fin] : .ack, at: end.next, length: length))
            ends[place].next = end.next &+ length &+ (isLast ? 1 : 0)
        }
    }

    /// From the first that is not acknowledged on, cut in another way.
    private mutating func resend(_ place: Int) {
        let end = ends[place]
        guard end.next != end.unacknowledged else { return }
        repeated += 1
        let data = min(end.limit &- end.unacknowledged, end.next &- end.unacknowledged)
        guard Int32(bitPattern: end.limit &- end.unacknowledged) >= 0 else { return }
        let length = min(data, UInt32.random(in: 1...1_200, using: &random))
        let isLast = end.unacknowledged &+ length == end.limit && end.next == end.limit &+ 1
        send(place, make(place, isLast ? [.ack, .fin] : .ack, at: end.unacknowledged, length: length))
    }

    private mutating func wake(_ place: Int) {
        guard now >= ends[place].deadline, !ends[place].hasSentAll else { return }
        if ends[place].unacknowledged == ends[place].initial {
            send(place, make(place, place == 0 ? .syn : [.syn, .ack], at: ends[place].initial))
        } else {
            resend(place)
        }
        arm(place)
    }
}
