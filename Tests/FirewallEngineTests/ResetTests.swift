// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import PacketWire
import TestSupport
import Testing

@Suite("A connection that its receiver has not closed is not closed here")
struct ResetTests {
    private static let limited = """
        stateful: { tcp: { limits: { incoming-per-computer: 2 } } }
        rules: [{ name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }]
        """

    @Test(
        "A RST at the end of data beyond a gap gives no place free", arguments: [[.rst], [.rst, .ack]] as [TCPFlags])
    func beyondGap(_ flags: TCPFlags) throws {
        let engine = try EngineUnderTest(ResetTests.limited)
        for port in UInt16(1)...2 {
            let talk = TCPTalk(engine, peerPort: port)
            talk.open()
            talk.exchange()
            #expect(talk.deliver(talk.segment(.peer, data: 500, by: 100), from: .peer) == .pass)
            #expect(talk.deliver(talk.segment(.peer, flags, by: 600), from: .peer) == .pass)
            #expect(talk.send(.host) == .pass, "the challenge")
            #expect(talk.send(.host, data: 1_000) == .pass)
            #expect(talk.send(.peer) == .pass)
        }
        #expect(engine.engine.census[.established] == 2)
        #expect(engine.receives(.toHost.syn(3, 80)) == .drop(.maxIncomingConnections))
    }

    @Test("It does where the gap was filled, as its acknowledgement says, or where the host has it as SACK")
    func gapFilled() throws {
        for isSelective in [false, true] {
            let engine = try EngineUnderTest(ResetTests.limited)
            let talk = TCPTalk(engine)
            talk.open()
            talk.deliver(talk.segment(.peer, data: 500, by: 100), from: .peer)
            if isSelective {
                let end = talk.peer.next &+ 600
                talk.deliver(
                    PacketBuilder.fromHost.tcp(
                        80, 40_000, .ack, seq: talk.host.next, ack: talk.host.expected,
                        options: [.sack([(end &- 500, end)])]), from: .host)
            } else {
                talk.deliver(talk.segment(.peer, data: 100), from: .peer)
                talk.deliver(talk.segment(.host, acknowledging: 600), from: .host)
            }
            #expect(talk.deliver(talk.segment(.peer, .rst, by: 600), from: .peer) == .pass)
            #expect(engine.engine.census[.closed] == 1)
        }
    }

    @Test("What passes on a closed connection renews it no longer than it is remembered anyway")
    func notRenewed() throws {
        let engine = try EngineUnderTest("engine: { anti-evasion: { outgoing-out-of-connection: deny } }")
        let talk = TCPTalk(engine)
        talk.open()
        talk.send(.host, data: 3_000)
        #expect(talk.deliver(talk.segment(.peer, .rst), from: .peer) == .pass)
        for _ in 0..<4 {
            engine.waits(.milliseconds(2_400))
            #expect(talk.deliver(talk.segment(.host, data: 1_000), from: .host) == .pass, "what is in flight")
            #expect(talk.deliver(talk.segment(.peer, .rst), from: .peer) == .pass, "what answers it")
            let ack = talk.segment(.peer, acknowledging: 1_000)
            #expect(talk.deliver(ack, from: .peer) == .drop(.packetOnClosedConnection), "what was sent since")
        }
        engine.waits(.milliseconds(400))
        #expect(talk.deliver(talk.segment(.host, data: 1_000), from: .host) == .drop(.outOfConnection))
        #expect(engine.connections == 0)
    }

    @Test("Nor does it in tap mode, where what is refused passes as well")
    func notRenewedByTap() throws {
        let engine = try EngineUnderTest("mode: tap")
        let talk = TCPTalk(engine)
        talk.open()
        talk.deliver(talk.segment(.peer, .rst), from: .peer)
        for _ in 0..<5 {
            #expect(
                talk.deliver(talk.segment(.peer, data: 5), from: .peer) == .passReporting(.packetOnClosedConnection))
            engine.waits(.seconds(2))
        }
        engine.waits(.seconds(1))
        #expect(engine.connections == 0)
    }

    @Test("What the host goes on sending makes no more connections of a computer than it may have")
    func resumedWithinLimit() throws {
        let engine = try EngineUnderTest(ResetTests.limited)
        engine.engine.listeningPorts.insert(tcp: 80)
        for port in UInt16(1)...2 { TCPTalk(engine, peerPort: port).open() }
        let talk = TCPTalk(engine, peerPort: 3)
        talk.host.expected = talk.peer.next
        #expect(talk.send(.host, data: 10) == .pass)
        #expect(engine.connections == 2)
        #expect(talk.send(.peer) == .drop(.outOfConnection))
        let other = TCPTalk(engine, peer: .other)
        other.host.expected = other.peer.next
        #expect(other.send(.host, data: 10) == .pass)
        #expect(other.send(.peer) == .pass)
        #expect(engine.connections == 3)
    }

    @Test("Nor does a RST after data of a SYN that the host has not taken")
    func synData() throws {
        let engine = try EngineUnderTest("stateful: { tcp: { limits: { half-open-per-computer: 1 } } }")
        let syn = PacketBuilder.toHost.tcp(1, 80, .syn, seq: 1_000, options: [.fastOpen(cookie: [1, 2, 3, 4])])
            .payload(count: 100)
        #expect(engine.receives(syn) == .pass)
        #expect(engine.receives(.toHost.tcp(1, 80, .rst, seq: 1_101)) == .pass)
        #expect(engine.receives(.toHost.syn(2, 80)) == .drop(.maxSYNSent))
        #expect(engine.receives(.toHost.tcp(1, 80, .rst, seq: 1_001)) == .pass)
        #expect(engine.receives(.toHost.syn(2, 80)) == .pass)
    }
}

@Suite("A segment whose checksum is wrong moves no connection")
struct DisbelievedTests {
    private static let limited = "stateful: { tcp: { limits: { half-open-per-computer: 2 } } }"

    /// As the kernel hands over what no device has verified.
    @discardableResult
    private func unverified(_ packet: PacketBuilder, _ engine: EngineUnderTest) -> Fate {
        engine.receives(packet) { $0.checksumNotVerified = true }
    }

    private func spoilt(_ packet: PacketBuilder) -> PacketBuilder { packet.transportChecksum(0x1234) }

    @Test("SYNs open nothing and count for nothing; good ones do")
    func syn() throws {
        let engine = try EngineUnderTest(DisbelievedTests.limited)
        for port in UInt16(1)...50 { #expect(unverified(spoilt(.toHost.syn(port, 80)), engine) == .pass) }
        #expect(engine.connections == 0 && engine.events.isEmpty)
        #expect(unverified(.toHost.syn(51, 80), engine) == .pass)
        #expect(unverified(.toHost.syn(52, 80), engine) == .pass)
        #expect(engine.connections == 2)
        #expect(unverified(.toHost.syn(53, 80), engine) == .drop(.maxSYNSent))
    }

    @Test(
        "RST, FIN, data and the last ACK of a handshake change nothing",
        arguments: [.rst, [.rst, .ack], [.fin, .ack], .ack, [.ack, .psh]] as [TCPFlags], [false, true])
    func others(_ flags: TCPFlags, _ isOpen: Bool) throws {
        let engine = try EngineUnderTest(DisbelievedTests.limited)
        let talk = TCPTalk(engine)
        talk.send(.peer, .syn)
        talk.send(.host, [.syn, .ack])
        if isOpen { talk.send(.peer) }
        let before = try engine.onlyConnection()
        let segment = talk.segment(.peer, flags, data: flags.contains(.psh) ? 100 : 0)
        #expect(unverified(spoilt(segment), engine) == .pass)
        let after = try engine.onlyConnection()
        #expect(after.tcp == before.tcp && after.stage == before.stage && after.trafficOfLow == before.trafficOfLow)
        #expect(unverified(segment, engine) == .pass)
        #expect(try engine.onlyConnection().tcp != before.tcp || (isOpen && flags == .ack))
    }

    @Test("What the kernel has verified, has not filled in yet, or put together of verified ones is believed")
    func believed() throws {
        for change in [{ _ in }, { $0.checksumNotReady = true }, { $0.isSegmentationOffload = true }]
            as [(inout PacketMetadata) -> Void]
        {
            let engine = try EngineUnderTest()
            #expect(engine.receives(spoilt(.toHost.syn(1, 80)), { change(&$0) }) == .pass)
            #expect(engine.connections == 1)
        }
    }

    @Test("The rules and the tracker refuse it as any other, and it renews nothing")
    func refused() throws {
        let engine = try EngineUnderTest(
            "rules: [{ name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }]")
        #expect(unverified(spoilt(.toHost.syn(1, 81)), engine) == .drop(.outOfAllowedPolicy))
        let talk = TCPTalk(engine)
        talk.open()
        #expect(unverified(spoilt(talk.segment(.peer, data: 1, by: 1 << 24)), engine) == .drop(.invalidSequence))
        engine.waits(.hours(2))
        unverified(spoilt(talk.segment(.peer)), engine)
        engine.waits(.minutes(61))
        #expect(engine.connections == 0)
    }

    @Test("A RST in fragments, whose checksum nobody has seen the whole of, closes nothing")
    func fragments() throws {
        let engine = try EngineUnderTest("engine: { sanity: { minimum-fragment-size: 0, minimum-fragment-offset: 0 } }")
        let talk = TCPTalk(engine)
        talk.open()
        let rst = talk.segment(.peer, [.rst, .ack], data: 100)
        #expect(talk.deliver(rst.fragment(0..<32), from: .peer) == .pass)
        talk.exchange()
        #expect(engine.engine.census[.established] == 1)
    }
}
