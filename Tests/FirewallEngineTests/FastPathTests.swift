// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import PacketWire
import TestSupport
import Testing

@Suite("The fast path in the kernel", .loadsPrograms)
struct FastPathTests {
    private static let allow = "rules: [{name: web, action: allow, direction: incoming, protocol: tcp}]\n"
    private static let parties = [TCPTalk.Party.host, .peer]

    /// A connection with both directions on the fast path.
    private static func established(
        _ yaml: String = allow, peer: IPAddress = .peer, timestamps: UInt32? = nil
    ) throws -> TCPTalk {
        let talk = TCPTalk(try .withProgram(yaml), peer: peer)
        talk.host.timestamp = timestamps
        talk.peer.timestamp = timestamps
        talk.open()
        talk.exchange()
        talk.exchange()
        return talk
    }

    @Test("passes plain segments both ways", arguments: [IPAddress.peer, .peer6])
    func plain(peer: IPAddress) throws {
        let talk = try Self.established(peer: peer)
        for party in Self.parties {
            #expect(talk.passesInKernel(talk.segment(party), from: party))
            #expect(talk.passesInKernel(talk.segment(party, data: 1000), from: party))
            #expect(talk.passesInKernel(talk.segment(party, [.psh, .ack], data: 1), from: party))
        }
    }

    @Test("leaves the opening, and the first plain segment of each direction, to the engine")
    func opening() throws {
        let talk = TCPTalk(try .withProgram(Self.allow))
        talk.open()
        #expect(talk.engine.engine.counters.inspected == 3)
        #expect(talk.passesInKernel(talk.segment(.peer, data: 10), from: .peer))
        #expect(!talk.passesInKernel(talk.segment(.host, data: 10), from: .host))
        #expect(talk.passesInKernel(talk.segment(.host, data: 10), from: .host))
    }

    @Test("takes a connection that began before the agent, once both have spoken, but nothing far from what was seen")
    func takenOver() throws {
        let talk = TCPTalk(try .withProgram(Self.allow, startsNow: true))
        talk.host.expected = talk.peer.next
        talk.peer.expected = talk.host.next
        talk.exchange()
        talk.exchange()
        for party in Self.parties {
            #expect(talk.passesInKernel(talk.segment(party), from: party))
            #expect(talk.passesInKernel(talk.segment(party, data: 1000), from: party))
            // Within the window that the scale is guessed to give.
            #expect(!talk.passesInKernel(talk.segment(party, data: 10, by: 17 << 20), from: party))
            #expect(!talk.passesInKernel(talk.segment(party, by: 5000), from: party), "an empty one ahead")
            #expect(talk.deliver(talk.segment(party, data: 10, by: 1 << 30), from: party) == .drop(.invalidSequence))
        }
    }

    /// What goes on to the queue, however good it is there.
    private static let oddPackets: [(name: String, make: @Sendable (TCPTalk) -> PacketBuilder)] = [
        ("SYN", { $0.segment(.peer, .syn, by: 70_000) }),
        ("SYN+ACK", { $0.segment(.peer, [.syn, .ack]) }),
        ("FIN", { $0.segment(.peer, [.fin, .ack]) }),
        ("RST", { $0.segment(.peer, [.rst, .ack]) }),
        ("URG", { $0.segment(.peer, [.ack, .urg], data: 5) }),
        ("ECE", { $0.segment(.peer, [.ack, .ece], data: 5) }),
        ("CWR", { $0.segment(.peer, [.ack, .cwr], data: 5) }),
        ("no ACK", { $0.segment(.peer, .psh, data: 5) }),
        ("IP options", { $0.segment(.peer).ipOptions([1, 1, 1, 1]) }),
        ("first fragment", { $0.segment(.peer, data: 64).fragment(0..<40) }),
        ("last fragment", { $0.segment(.peer, data: 64).fragment(40..<84) }),
        ("more fragments to come, and none", { $0.segment(.peer, data: 64).fragmentFields(offset: 0, more: true) }),
        ("length beyond the packet", { $0.segment(.peer, data: 64).totalLength(200) }),
        ("length within the packet", { $0.segment(.peer, data: 64).totalLength(80) }),
        ("header beyond the packet", { $0.segment(.peer, data: 2).dataOffset(words: 10) }),
        ("header below its own size", { $0.segment(.peer, data: 40).dataOffset(words: 4) }),
        ("unknown option", { $0.segmentWith(.peer, options: [.bytes([253, 4, 0, 0])]) }),
        (
            "option in the place of time stamps",
            { $0.segmentWith(.peer, options: [.bytes([1, 1, 19, 10] + [0, 0, 0, 0, 0, 0, 0, 0])]) }
        ),
        (
            "time stamps without padding before",
            { $0.segmentWith(.peer, options: [.bytes([8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 1])]) }
        ),
        (
            "SACK with a length of its own",
            { $0.segmentWith(.peer, options: [.bytes([1, 1, 5, 9, 0, 0, 0, 1, 0, 0, 0, 2])]) }
        ),
        ("other addresses", { _ in PacketBuilder.ip(from: .other, to: .host).tcp(40_000, 80, .ack, seq: 1, ack: 1) }),
        ("other port", { $0.segmentOfOtherPort() }),
        ("UDP between the same ports", { _ in PacketBuilder.toHost.udp(40_000, 80).payload(count: 20) }),
        ("another protocol", { _ in PacketBuilder.toHost.upperLayer(47).payload(count: 40) }),
    ]

    @Test("sends everything else on to the queue", arguments: oddPackets.indices)
    func odd(row: Int) throws {
        let (name, make) = Self.oddPackets[row]
        let talk = try Self.established()
        let packet = make(talk)
        #expect(try !talk.isPassedByProgram(packet), "\(name)")
        #expect(
            talk.passesInKernel(talk.segment(.peer, data: 64), from: .peer), "the nearest good packet, beside \(name)")
    }

    @Test("knows a side by the interface that its packets come by")
    func interface() throws {
        let talk = try Self.established()
        #expect(try !talk.isPassedByProgram(talk.segment(.peer), interface: 3))
        #expect(try !talk.isPassedByProgram(talk.segment(.host), interface: 2), "this host's own address, from outside")
        #expect(try !talk.isPassedByProgram(talk.segment(.peer), interface: 0))
        #expect(try talk.isPassedByProgram(talk.segment(.peer), interface: 2))
    }

    /// Shifts of the two numbers of a segment from what the peer would send next, that lie just within a bound, and what is said
    /// of those just outside.
    private static let edgeRows: [(name: String, data: Int, by: Int, ack: Int, outwards: Int, reason: DropReason)] = [
        // The window is 8,000 << 7.
        ("highest byte in the window", 10, 1_023_990, 0, 1, .invalidSequence),
        ("lowest, the SYN", 0, -1_001, 0, -1, .invalidSequence),
        ("highest acknowledgement", 10, 0, 0, 1, .invalidACK),
        ("lowest acknowledgement, the SYN", 10, 0, -1_001, -1, .invalidACK),
    ]

    @Test("holds each number against both its bounds", arguments: edgeRows.indices)
    func edge(row: Int) throws {
        let (name, data, by, ack, outwards, reason) = Self.edgeRows[row]
        let talk = try Self.established()
        let isOfSequence = reason == .invalidSequence
        // Long after anything was sent: a segment that is merely late passes in the engine.
        talk.engine.waits(.seconds(5))
        let (further, furtherACK) = isOfSequence ? (by + outwards, ack) : (by, ack + outwards)
        let beyond = talk.segment(.peer, data: data, by: further, acknowledging: furtherACK)
        #expect(try !talk.isPassedByProgram(beyond), "\(name)")
        #expect(talk.deliver(beyond, from: .peer) == .drop(reason), "\(name)")
        #expect(
            talk.passesInKernel(talk.segment(.peer, data: data, by: by, acknowledging: ack), from: .peer), "\(name)")
    }

    @Test("holds selective acknowledgements against what was sent", arguments: 1...4)
    func selective(count: Int) throws {
        let talk = try Self.established()
        let end = talk.host.next
        func segment(_ last: UInt32) -> PacketBuilder {
            let blocks: [(UInt32, UInt32)] = (1..<count).map { block in
                let left = end &- 900 &+ UInt32(block) * 20
                return (left, left &+ 10)
            }
            return talk.segmentWith(
                .peer, options: [.noOperation, .noOperation, .sack(blocks + [(end &- 10, last)])], acknowledging: -1_000
            )
        }
        #expect(try talk.isPassedByProgram(segment(end)))
        #expect(try !talk.isPassedByProgram(segment(end &+ 1)))
    }

    @Test("leaves to the posture rows a time stamp that they would judge")
    func timestamps() throws {
        let talk = try Self.established(timestamps: 100_000)
        // `paws-window` is 1 s.
        for (value, passes) in [(UInt32(100_000), true), (100_500, true), (99_500, true), (99_499, false), (0, false)] {
            talk.peer.timestamp = value
            #expect(try talk.isPassedByProgram(talk.segmentWithPadding(.peer)) == passes, "\(value)")
        }
    }

    @Test("ends with the first segment that begins the end, and its windows are the engine's then")
    func end() throws {
        let talk = try Self.established()
        for _ in 0..<500 {
            #expect(talk.send(.peer, data: 1_400) == .pass)
            #expect(talk.send(.host) == .pass)
        }
        #expect(talk.engine.engine.counters.inspected < 10)
        #expect(talk.engine.engine.fastPath.counts.flows == 1)
        talk.close()
        #expect(talk.engine.events.isEmpty)
        #expect(talk.engine.engine.fastPath.counts.flows == 0)
        #expect(try !talk.isPassedByProgram(talk.segment(.host)))
    }

    @Test("is left by a RST, which the engine judges by what has passed")
    func reset() throws {
        let talk = try Self.established()
        for _ in 0..<100 { #expect(talk.send(.peer, data: 1_400) == .pass) }
        #expect(talk.send(.peer, .rst) == .pass)
        #expect(talk.engine.engine.fastPath.counts.flows == 0)
        #expect(talk.send(.peer, data: 10) == .drop(.packetOnClosedConnection))
    }

    @Test("is left by a connection that is opened anew, whose windows are its own")
    func reopening() throws {
        let talk = try Self.established()
        for _ in 0..<20 { #expect(talk.send(.peer, data: 1_400) == .pass) }
        talk.close()
        talk.peer.next &+= 0x4000_0000
        talk.host.next &-= 0x4000_0000
        talk.open()
        talk.exchange()
        #expect(!talk.passesInKernel(talk.segment(.peer), from: .peer), "a processor may still have it in hand")
        talk.engine.waits(.seconds(2))
        talk.exchange()
        #expect(talk.passesInKernel(talk.segment(.peer, data: 10), from: .peer))
        #expect(talk.engine.events.isEmpty)
    }

    @Test("is left at once where the policy changes, and come back to where the new one allows it")
    func epoch() throws {
        let talk = try Self.established()
        try talk.engine.reloads("rules: [{name: no, action: deny, direction: incoming, protocol: tcp}]\n")
        #expect(try !talk.isPassedByProgram(talk.segment(.peer)))
        #expect(try !talk.isPassedByProgram(talk.segment(.host)))
        #expect(talk.send(.peer, data: 10) == .drop(.deny))
        try talk.engine.reloads(Self.allow)
        #expect(!talk.passesInKernel(talk.segment(.peer), from: .peer))
        #expect(talk.passesInKernel(talk.segment(.peer), from: .peer))
        #expect(!talk.passesInKernel(talk.segment(.host), from: .host), "each direction by itself")
    }

    @Test("is closed to everything once the worker's lease is over")
    func lease() throws {
        let talk = try Self.established()
        try #require(talk.engine.program).clear()
        #expect(try !talk.isPassedByProgram(talk.segment(.peer)))
    }

    /// Policies that keep connections in the queue.
    private static let obstacleRows: [(yaml: String, why: FastPathObstacle)] = [
        (allow + "engine: {sanity: {verify-tcp-checksum: true}}", .checksums),
        (allow.dropLast(2) + ", {name: tell, action: log-only, direction: incoming, protocol: tcp}]", .rule),
        (
            "rules: [{name: by, action: bypass, direction: incoming, protocol: tcp, flags: {clear: [syn]}},"
                + " {name: back, action: bypass, direction: outgoing, protocol: tcp, flags: {clear: [syn]}}]", .unasked
        ),
        (
            "rules: [{name: web, action: allow, direction: incoming, protocol: tcp, source: {macs: \"02:00:00:00:00:01\"}},"
                + " {name: all, action: allow, direction: incoming, protocol: tcp}]", .unseenByProgram
        ),
    ]

    @Test("is not for flows whose packets a rule or a setting needs", arguments: obstacleRows.indices)
    func obstacle(row: Int) throws {
        let (yaml, why) = Self.obstacleRows[row]
        let talk = TCPTalk(try .withProgram(yaml))
        for (party, flags) in [(TCPTalk.Party.peer, TCPFlags.syn), (.host, [.syn, .ack]), (.peer, .ack)] {
            #expect(talk.send(party, flags) == .pass)
        }
        talk.exchange()
        talk.exchange()
        #expect(!talk.passesInKernel(talk.segment(.peer), from: .peer))
        guard why != .unasked else { return }
        #expect(try FastPathObstacle(rawValue: talk.engine.onlyConnection().fastPathObstacle) == why)
    }

    @Test("leaves a flow in the queue for which there is no room")
    func full() throws {
        let engine = try EngineUnderTest.withProgram(Self.allow, flows: 2)
        let talks = (0..<3).map { TCPTalk(engine, peerPort: 40_000 + $0) }
        for talk in talks {
            talk.open()
            talk.exchange()
        }
        #expect(engine.engine.fastPath.counts.flows == 2)
        #expect(engine.engine.fastPath.counts.full > 0)
        #expect(!talks[2].passesInKernel(talks[2].segment(.peer), from: .peer))
        talks[0].close()
        talks[2].exchange()
        #expect(!talks[2].passesInKernel(talks[2].segment(.peer), from: .peer), "a place is left alone for a while")
        engine.waits(.seconds(3))
        talks[2].exchange()
        #expect(talks[2].passesInKernel(talks[2].segment(.peer), from: .peer))
        #expect(try !talks[0].isPassedByProgram(talks[0].segment(.peer)))
    }

    @Test("counts what passes there with its connection")
    func counts() throws {
        let talk = try Self.established()
        talk.engine.waits(.seconds(2))
        let before = try talk.engine.onlyConnection()
        for _ in 0..<10 { #expect(talk.send(.peer, data: 100) == .pass) }
        talk.engine.waits(.seconds(2))
        let after = try talk.engine.onlyConnection()
        let packets = after.trafficOfLow.packets + after.trafficOfHigh.packets
        #expect(packets - before.trafficOfLow.packets - before.trafficOfHigh.packets == 10)
        let bytes = after.trafficOfLow.bytes + after.trafficOfHigh.bytes
        #expect(bytes - before.trafficOfLow.bytes - before.trafficOfHigh.bytes == 10 * 140)
        #expect(talk.engine.engine.fastPath.counts.packets >= 10)
    }
}

extension TCPTalk {
    /// Delivers a packet that has to pass; whether the engine has not seen it.
    func passesInKernel(
        _ packet: PacketBuilder, from party: Party, at location: SourceLocation = #_sourceLocation
    ) -> Bool {
        let (judged, passed) = (engine.engine.counters.inspected, engine.program?.passed ?? 0)
        #expect(deliver(packet, from: party, at: location) == .pass, sourceLocation: location)
        let isPassed = engine.program?.passed == passed + 1
        #expect(engine.engine.counters.inspected == judged + (isPassed ? 0 : 1), sourceLocation: location)
        return isPassed
    }

    /// What the program says of a packet that comes by this interface; where none is said, by the one of its sender.
    func isPassedByProgram(_ packet: PacketBuilder, interface: UInt32? = nil) throws -> Bool {
        let isOwn = packet.isSent(by: host.address)
        var metadata = PacketMetadata()
        metadata.hook = .prerouting
        metadata.inInterface = interface ?? (isOwn ? 0 : 2)
        return try #require(engine.program).passes(packet.bytes, metadata)
    }

    func segmentOfOtherPort() -> PacketBuilder {
        PacketBuilder.ip(from: peer.address, to: host.address)
            .tcp(peer.port + 1, host.port, .ack, seq: peer.next, ack: peer.expected, window: peer.window)
    }

    func segmentWith(_ party: Party, options: [TCPOption], acknowledging: Int = 0) -> PacketBuilder {
        let (from, to) = party == .host ? (host, peer) : (peer, host)
        return PacketBuilder.ip(from: from.address, to: to.address)
            .tcp(
                from.port, to.port, .ack, seq: from.next,
                ack: from.expected &+ UInt32(truncatingIfNeeded: acknowledging), window: from.window, options: options)
    }

    /// Time stamps as every stack lays them out.
    func segmentWithPadding(_ party: Party) -> PacketBuilder {
        let value = (party == .host ? host : peer).timestamp ?? 0
        return segmentWith(party, options: [.noOperation, .noOperation, .timestamps(value, echo: 0)])
    }
}

extension PacketBuilder {
    fileprivate func isSent(by address: IPAddress) -> Bool {
        var headers = PacketHeaders()
        unsafe try? headers.decodePacket(bytes.span.bytes, etherType: 0, PacketTraits(fullLength: UInt32(bytes.count)))
        return headers.source == address
    }
}
