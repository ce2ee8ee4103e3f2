// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import PacketWire
import TestSupport
import Testing

@Suite("Openings that pass before the queue", .loadsPrograms)
struct FastPathOpeningTests {
    private static func syn(
        _ source: IPAddress, _ destination: IPAddress, _ port: UInt16 = 80, _ flags: TCPFlags = .syn
    ) -> PacketBuilder {
        PacketBuilder.ip(from: source, to: destination)
            .tcp(1_024, port, flags, seq: 1, options: [.mss(1460), .sackPermitted, .windowScale(7)])
    }

    private static func answer(_ source: IPAddress, _ destination: IPAddress) -> PacketBuilder {
        PacketBuilder.ip(from: source, to: destination).tcp(80, 1_024, [.syn, .ack], seq: 1, ack: 2)
    }

    private static let ends: [(peer: IPAddress, host: IPAddress, version: UInt8)] = [
        (.peer, .host, 4), (.peer6, .host6, 6), ("2600:1:2::3", .host6, 6),
    ]

    @Test("SYNs to an open listener and what it answers pass, each SYN is counted", arguments: 0..<3)
    func open(_ place: Int) throws {
        let lab = try FastPathLab()
        let (peer, host, version) = Self.ends[place]
        #expect(try !lab.passes(Self.syn(peer, host), by: 2))
        let listener = lab.open(host, 80, version: version)
        for _ in 0..<3 { #expect(try lab.passes(Self.syn(peer, host), by: 2)) }
        #expect(try lab.passes(Self.answer(host, peer), by: 0))
        #expect(lab.openings(listener) == 3)
        lab.close(listener)
        #expect(try !lab.passes(Self.syn(peer, host), by: 2))
        #expect(lab.openings(listener) == nil)
    }

    @Test("Not after the lease, not in another epoch, not when all is cleared", arguments: 0..<2)
    func ends(_ place: Int) throws {
        let lab = try FastPathLab()
        let (peer, host, version) = Self.ends[place]
        _ = lab.open(host, 80, version: version)
        lab.setListenerLease(0)
        #expect(try !lab.passes(Self.syn(peer, host), by: 2))
        lab.setListenerLease(.max)
        #expect(try lab.passes(Self.syn(peer, host), by: 2))
        lab.beginListeners(epoch: 4)
        lab.setListenerLease(.max)
        #expect(try !lab.passes(Self.syn(peer, host), by: 2) && !lab.passes(Self.answer(host, peer), by: 0))
        _ = lab.open(host, 80, version: version)
        #expect(try lab.passes(Self.syn(peer, host), by: 2))
        try lab.clear()
        lab.setListenerLease(.max)
        #expect(try !lab.passes(Self.syn(peer, host), by: 2))
    }

    @Test("Nothing else does", arguments: 0..<2)
    func others(_ place: Int) throws {
        let lab = try FastPathLab()
        let (peer, host, version) = Self.ends[place]
        _ = lab.open(host, 80, version: version)
        let flags: [TCPFlags] = [
            .ack, .rst, .fin, [.syn, .ack], [.syn, .fin], [.syn, .rst], [.syn, .psh], [.syn, .urg], [.syn, .ece, .cwr],
        ]
        for other in flags {
            #expect(try !lab.passes(Self.syn(peer, host, 80, other), by: 2), "\(other)")
        }
        for other: TCPFlags in [.syn, .ack, .rst, [.syn, .ack, .fin]] {
            let packet = PacketBuilder.ip(from: host, to: peer).tcp(80, 1_024, other, seq: 1, ack: 2)
            #expect(try !lab.passes(packet, by: 0), "\(other) from the host")
        }
        #expect(try !lab.passes(Self.syn(peer, host, 81), by: 2), "another port")
        #expect(try !lab.passes(Self.syn(peer, host), by: 1), "by the loopback interface")
        #expect(try !lab.passes(Self.syn(peer, host), by: 0), "a SYN of this host")
        #expect(try !lab.passes(Self.answer(host, peer), by: 2), "what claims to be an answer")
        #expect(try !lab.passes(Self.syn(peer, host).payload("early"), by: 2), "data")
        #expect(try !lab.passes(Self.syn(host, host), by: 2), "to itself")
        let elsewhere: IPAddress = version == 4 ? "192.0.2.11" : "fd00:0:0:1::11"
        #expect(try !lab.passes(Self.syn(peer, elsewhere), by: 2))
        if version == 4 {
            #expect(try !lab.passes(Self.syn(peer, host).ipOptions([1, 1, 1, 1]), by: 2))
            #expect(try !lab.passes(Self.syn(peer, host).fragmentFields(offset: 0, more: true), by: 2))
        } else {
            #expect(try !lab.passes(Self.syn(peer, host).destinationOptions(), by: 2))
        }
    }

    @Test("No source that stage V refuses under any setting of addresses")
    func sources() throws {
        let lab = try FastPathLab()
        let strict = """
            engine: { sanity: { allow-null-ip: false, link-local: deny, reserved-addresses: deny,
                                ipv6: { reserved: deny, bogon: deny, site-local: deny, 6to4-bogon: deny } } }
            """
        let engine = try EngineUnderTest(strict + "\nstateful: { tcp: { enabled: false } }")
        var random = SeededRandom(seed: 15)
        _ = lab.open(.host, 80, version: 4)
        var passed = 0
        for n in 0..<4_000 {
            let bits = n < 1_024 ? UInt32(n) << 22 | UInt32(n) & 1 : UInt32(truncatingIfNeeded: random.next())
            let packet = Self.syn(IPAddress(v4: bits), .host)
            guard try lab.passes(packet, by: 2) else { continue }
            passed += 1
            #expect(engine.receives(packet) == .pass, "\(IPAddress(v4: bits))")
        }
        #expect(passed > 2_500)
        _ = lab.open(.host6, 80, version: 6)
        passed = 0
        let prefixes: [UInt64] = [0x2001, 0x2002, 0x3ffe, 0xfd00, 0xfe80, 0xfec0, 0x0064, 0]
        for n in 0..<6_000 {
            var high = random.next()
            if n % 2 == 0 { high = high & 0x0000_ffff_ffff_ffff | prefixes[n / 2 % prefixes.count] << 48 }
            if n % 4 == 1 { high = high >> 3 | 1 << 61 }
            let source = IPAddress(high: high, low: random.next())
            let packet = Self.syn(source, .host6)
            guard try lab.passes(packet, by: 2) else { continue }
            passed += 1
            #expect(engine.receives(packet) == .pass, "\(source)")
        }
        #expect(passed > 1_000)
        for source: IPAddress in [
            "2001:db8::1", "2002:a00::1", "3ffe::1", "::1", "fe80::1", "fec0::1", "ff02::1", "2001::1",
        ] {
            #expect(try !lab.passes(Self.syn(source, .host6), by: 2), "\(source)")
        }
    }
}

@Suite("A listener to which openings pass unseen")
struct UnseenOpeningTests {
    private func open(_ engine: EngineUnderTest) {
        let isKnown = engine.engine.beginCookies(to: .host, 80, version: 4, passed: 1_000_000, at: engine.clock.now)
        #expect(isKnown)
    }

    /// The handshake, of which the engine sees the last segment only.
    private func opensUnseen(_ talk: TCPTalk) {
        talk.peer.next &+= 1
        talk.host.expected = talk.peer.next
        talk.host.next &+= 1
        talk.peer.expected = talk.host.next
        #expect(talk.send(.peer) == .pass)
    }

    @Test("The ACK alone opens a connection")
    func fresh() throws {
        let engine = try EngineUnderTest.withCookies(threshold: 1_000)
        open(engine)
        let talk = TCPTalk(engine)
        opensUnseen(talk)
        talk.exchange()
        talk.close()
        #expect(engine.events.isEmpty)
    }

    @Test("On the ports of one that is over, or was never completed", arguments: ["time-wait", "reset", "half-open"])
    func reused(_ before: String) throws {
        let engine = try EngineUnderTest.withCookies(threshold: 1_000)
        let old = TCPTalk(engine)
        switch before {
        case "time-wait":
            old.open()
            old.exchange()
            old.close()
        case "reset":
            old.open()
            old.exchange()
            old.send(.peer, .rst)
        default: old.send(.peer, .syn)
        }
        open(engine)
        let talk = TCPTalk(engine)
        if before != "half-open" {
            talk.peer.next = old.peer.next &+ 300_000
            talk.host.next = old.host.next &+ 900_000_000
        }
        opensUnseen(talk)
        talk.exchange()
        talk.exchange()
        #expect(try engine.onlyConnection().tcp.phase == .established)
        #expect(engine.events.isEmpty)
    }

    @Test("A connection that is open stays as it is, and a listener that is not open unseen keeps what it knows")
    func untouched() throws {
        let engine = try EngineUnderTest.withCookies(threshold: 1_000)
        let talk = TCPTalk(engine)
        talk.open()
        talk.exchange()
        open(engine)
        let forged = talk.segment(.peer, by: 0x4000_0000)
        #expect(talk.deliver(forged, from: .peer) == .drop(.invalidSequence))
        talk.exchange()
        let other = try EngineUnderTest.withCookies(threshold: 1)
        other.flood(5)
        let closed = TCPTalk(other)
        closed.open()
        closed.exchange()
        closed.send(.peer, .rst)
        let late = closed.segment(.peer, by: 300_000, acknowledging: 900_000)
        #expect(closed.deliver(late, from: .peer) == .drop(.packetOnClosedConnection))
    }
}
