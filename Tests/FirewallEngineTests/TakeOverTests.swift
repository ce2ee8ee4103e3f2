// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import PacketWire
import TestSupport
import Testing

/// Somebody who sees nothing of a connection and knows only its addresses and ports.
@Suite("Forged segments take over no connection that is met in its midst")
struct TakeOverTests {
    private static let web = """
        rules: [{ name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }]
        """
    static let kinds: [TCPFlags] = [.ack, [.ack, .psh], [.fin, .ack], .rst, [.rst, .ack], [.syn, .ack]]

    /// A connection that both ends know, and the engine does not.
    private func older(_ engine: EngineUnderTest, peerPort: UInt16 = 40_000) -> TCPTalk {
        let talk = TCPTalk(engine, peerPort: peerPort)
        talk.host.expected = talk.peer.next
        talk.peer.expected = talk.host.next
        return talk
    }

    private func forge(_ talk: TCPTalk, _ flags: TCPFlags, _ random: inout SeededRandom) {
        let packet = PacketBuilder.toHost.tcp(
            talk.peer.port, talk.host.port, flags, seq: .random(in: 0 ... .max, using: &random),
            ack: .random(in: 0 ... .max, using: &random)
        ).payload(count: flags.contains(.psh) ? 100 : 0)
        talk.deliver(packet, from: .peer)
    }

    @Test("In the cold start, before the first genuine one and between the others", arguments: kinds)
    func coldStart(_ flags: TCPFlags) throws {
        var random = SeededRandom(seed: .random(in: 0 ... .max))
        let engine = try EngineUnderTest(TakeOverTests.web, startsNow: true)
        for port in UInt16(1)...20 {
            let talk = older(engine, peerPort: port)
            forge(talk, flags, &random)
            #expect(talk.send(.host, data: 700) == .pass)
            forge(talk, flags, &random)
            #expect(talk.send(.peer) == .pass)
            talk.exchange()
            talk.exchange()
        }
        #expect(engine.events.isEmpty)
        #expect(engine.engine.census[.established] == 20)
    }

    @Test("Once both sides have spoken it is as good as any: what is forged is refused", arguments: kinds.dropLast())
    func afterwards(_ flags: TCPFlags) throws {
        let engine = try EngineUnderTest(TakeOverTests.web, startsNow: true)
        let talk = older(engine)
        talk.exchange()
        for shift in [1 << 29, -(1 << 29)] {
            let forged = talk.segment(.peer, flags, data: flags.contains(.psh) ? 10 : 0, by: shift)
            #expect(talk.deliver(forged, from: .peer) != .pass)
        }
        talk.exchange()
        talk.close()
    }

    @Test("After a restart from an outline, also while nobody speaks for hours", arguments: kinds)
    func outline(_ flags: TCPFlags) throws {
        var random = SeededRandom(seed: .random(in: 0 ... .max))
        let before = try EngineUnderTest(TakeOverTests.web)
        let known = TCPTalk(before)
        known.open()
        var connection = try before.onlyConnection()
        let engine = try EngineUnderTest(TakeOverTests.web, startsNow: true)
        connection.forgetWindows(at: engine.clock.now)
        connection.lastSeen = engine.clock.now
        let restored = engine.engine.restore(connection, at: engine.clock.now)
        #expect(restored)
        let talk = TCPTalk(engine)
        (talk.host, talk.peer) = (known.host, known.peer)
        forge(talk, flags, &random)
        #expect(talk.send(.host, data: 10) == .pass)
        forge(talk, flags, &random)
        engine.waits(.minutes(120))
        talk.exchange()
        talk.close()
        #expect(engine.events.isEmpty)
    }

    @Test(
        "While a known connection may have moved on unseen, which ends no earlier for it", arguments: kinds.dropLast())
    func unseen(_ flags: TCPFlags) throws {
        var random = SeededRandom(seed: .random(in: 0 ... .max))
        let engine = try EngineUnderTest(TakeOverTests.web)
        let talk = TCPTalk(engine)
        talk.open()
        talk.exchange()
        engine.engine.notePassedUnseen(at: engine.clock.now)
        for _ in 0..<10 { forge(talk, flags, &random) }
        engine.waits(.minutes(100))
        talk.exchange()
        talk.exchange()
        talk.close()
        #expect(engine.events.isEmpty)
    }

    @Test("A RST alone begins nothing")
    func resetAlone() throws {
        let engine = try EngineUnderTest(TakeOverTests.web, startsNow: true)
        #expect(engine.receives(.toHost.tcp(40_000, 80, .rst, seq: 7)) == .pass)
        #expect(engine.connections == 0)
    }

    @Test("What only a forgery has begun is forgotten as soon as an opening that nobody answers")
    func unanswered() throws {
        var random = SeededRandom(seed: .random(in: 0 ... .max))
        let engine = try EngineUnderTest(TakeOverTests.web, startsNow: true)
        forge(older(engine), .ack, &random)
        #expect(engine.connections == 1)
        engine.waits(.seconds(61))
        #expect(engine.connections == 0)
    }

    @Test("A router learns nothing of a side inside from what comes in from outside in its name")
    func bothSidesForged() throws {
        let engine = try EngineUnderTest(
            "interfaces: { inside: [eth1] }\n" + TakeOverTests.web, startsNow: true)
        func goes(
            _ from: IPAddress, _ port: UInt16, _ to: IPAddress, _ toPort: UInt16, _ seq: UInt32, _ ack: UInt32
        ) -> PacketBuilder {
            .ipv4(from: from, to: to).tcp(port, toPort, .ack, seq: seq, ack: ack).payload(count: 1)
        }
        let inner: IPAddress = "10.0.0.1"
        for _ in 0..<3 {
            #expect(engine.forwards(goes(.peer, 1, inner, 80, 7_000_000, 9_000_000), from: 2, to: 3) == .pass)
            #expect(engine.forwards(goes(inner, 80, .peer, 1, 9_000_000, 7_000_001), from: 2, to: 2) == .pass)
        }
        #expect(engine.forwards(goes(.peer, 1, inner, 80, 5, 0x8000_0000), from: 2, to: 3) == .pass)
        #expect(engine.forwards(goes(inner, 80, .peer, 1, 0x8000_0000, 6), from: 3, to: 2) == .pass)
        #expect(engine.forwards(goes(.peer, 1, inner, 80, 6, 0x8000_0001), from: 2, to: 3) == .pass)
        #expect(try engine.onlyConnection().stage == .established)
        #expect(engine.forwards(goes(.peer, 1, inner, 80, 7_000_000, 9_000_000), from: 2, to: 3) != .pass)
    }
}
