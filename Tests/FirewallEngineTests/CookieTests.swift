// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import PacketWire
import TestSupport
import Testing

@Suite("A flooded listener answers by cookies: the five cases of pf")
struct CookieTests {
    @Test("basic: a connection opened in the flood works, in both families", arguments: [IPAddress.peer, .peer6])
    func basic(_ peer: IPAddress) throws {
        let engine = try EngineUnderTest.withCookies(threshold: 1, "interfaces: { ignore: [lo] }\n")
        let first: PacketBuilder = peer.isMappedV4 ? .toHost : .toHost6
        #expect(engine.receives(first.syn(7, 80)) == .pass)
        let talk = TCPTalk(engine, peer: peer)
        talk.open()
        #expect(engine.connections == 1, "only that of the SYN before")
        talk.exchange()
        talk.exchange(30_000)
        #expect(engine.connections == 2)
        let far = talk.segment(.peer, data: 10, by: 0x6000_0000)
        #expect(talk.deliver(far, from: .peer) == .drop(.invalidSequence), "its windows were learnt")
        talk.close()
        #expect(engine.events.map(\.reason) == [.invalidSequence])
        #expect(engine.engine.counters.openedByCookies == 1)
        #expect(engine.engine.counters.admittedStateless == 4, "SYN, SYN+ACK, ACK, data")
    }

    @Test("forward: what is not for this host's own listener keeps its entries")
    func forward() throws {
        let engine = try EngineUnderTest.withCookies(threshold: 2, "interfaces: { inside: [eth1] }\n")
        for port in UInt16(1)...20 {
            #expect(engine.forwards(.ipv4(from: .peer, to: .other).syn(port, 80), from: 2, to: 3) == .pass)
        }
        #expect(engine.connections == 20 && engine.engine.floodedListeners.isEmpty)
        for port in UInt16(1)...20 {
            #expect(engine.receives(.ipv4(from: .peer, to: "192.0.2.77").syn(port, 80)) == .pass)
        }
        #expect(engine.connections == 40, "an address that is none of this host's")
        engine.listens(at: 8080)
        for port in UInt16(21)...40 { #expect(engine.receives(.toHost.syn(port, 80)) == .pass) }
        #expect(engine.connections == 60, "nobody listens there")
    }

    @Test("nostate: twenty SYNs leave no state")
    func nostate() throws {
        let engine = try EngineUnderTest.withCookies(threshold: 1)
        engine.flood(1)
        #expect(engine.connections == 1)
        #expect(engine.flood(20, from: 100) == 20)
        #expect(engine.connections == 1)
        engine.waits(.seconds(21))
        #expect(engine.connections == 0)
        #expect(engine.flood(20, from: 200) == 20)
        #expect(engine.connections == 0 && engine.isFlooded)
    }

    @Test("adaptive: a hundred SYNs, of which ten begin cookies and five end them, leave at most twenty states")
    func adaptive() throws {
        let engine = try EngineUnderTest.withCookies(threshold: 10)
        #expect(engine.flood(100) == 100)
        #expect(engine.connections <= 20 && engine.isFlooded)
        #expect(engine.connections == 10)
        engine.idles(125)
        #expect(engine.connections == 0 && !engine.isFlooded)
        #expect(engine.flood(9, from: 1_000) == 9)
        #expect(engine.connections == 9, "an ordinary listener again")
    }

    @Test("port_reuse: the ports of a connection that was opened by a cookie are used again")
    func portReuse() throws {
        let engine = try EngineUnderTest.withCookies(threshold: 1)
        engine.flood(5)
        for round in UInt32(0)..<3 {
            let talk = TCPTalk(engine)
            talk.peer.next = 5_000 &+ round &* 1_000_000
            talk.host.next = 9_000 &+ round &* 3_000_000
            talk.open()
            talk.exchange()
            talk.close()
        }
        #expect(engine.events.isEmpty)
    }
}

@Suite("What becomes of an ACK to a flooded listener")
struct PendingACKTests {
    private func flooded(_ limits: String = "") throws -> (EngineUnderTest, TCPTalk) {
        let engine = try EngineUnderTest.withCookies(threshold: 1, limits: limits)
        engine.flood(5)
        return (engine, TCPTalk(engine))
    }

    @Test("This host refuses it: SYN Cookie Error of the ACK, and no entry", arguments: [0, 1])
    func refused(_ data: Int) throws {
        let (engine, talk) = try flooded()
        talk.peer.expected = 77_777
        #expect(talk.send(.peer, data: data) == .pass)
        #expect(engine.events.isEmpty && engine.connections == 1)
        #expect(engine.sends(talk.refusal()) == .pass)
        let event = try #require(engine.events.first)
        #expect(event.reason == .synCookieError && event.action == .notice && engine.events.count == 1)
        #expect(event.headers.source == .peer && event.headers.tcp.acknowledgement == 77_777)
        #expect(event.metadata.direction == .incoming)
        #expect(engine.connections == 1)
        engine.idles(6)
        #expect(engine.connections == 1, "nothing waits any more")
    }

    @Test("A RST that begins elsewhere, or one with ACK, is no SYN Cookie Error")
    func otherResets() throws {
        let (engine, talk) = try flooded()
        talk.open()
        #expect(engine.sends(talk.refusal(shift: 1)) == .pass)
        #expect(engine.events.isEmpty)
        #expect(talk.send(.host, [.rst, .ack]) == .pass)
        #expect(engine.events.isEmpty && engine.connections == 2)
        let late = talk.segment(.peer, data: 10)
        #expect(talk.deliver(late, from: .peer) == .pass, "the connection is known, and was reset")
    }

    @Test("The first data come with the ACK, or instead of it, or the host speaks first")
    func data() throws {
        for isWithACK in [true, false] {
            let (engine, talk) = try flooded()
            talk.send(.peer, .syn)
            talk.send(.host, [.syn, .ack])
            if !isWithACK { #expect(talk.deliver(talk.segment(.peer), from: .peer) == .pass) }
            #expect(talk.send(.peer, [.psh, .ack], data: 700) == .pass)
            #expect(talk.deliver(talk.segment(.peer, data: 700, by: -700), from: .peer) == .pass, "once more")
            #expect(talk.send(.peer, data: 1_400) == .pass)
            #expect(talk.send(.host, data: 200) == .pass)
            #expect(engine.connections == 2)
            talk.exchange()
            talk.close()
            #expect(engine.events.isEmpty)
        }
        let (engine, talk) = try flooded()
        talk.open()
        #expect(talk.send(.host, [.psh, .ack], data: 300) == .pass)
        #expect(engine.connections == 2)
        talk.exchange()
        #expect(engine.events.isEmpty)
    }

    @Test("SYN and SYN+ACK that are repeated pass, before the ACK and beside it")
    func repeated() throws {
        let (engine, talk) = try flooded()
        let syn = talk.segment(.peer, .syn)
        talk.send(.peer, .syn)
        #expect(talk.deliver(syn, from: .peer) == .pass)
        let answer = talk.segment(.host, [.syn, .ack])
        talk.send(.host, [.syn, .ack])
        #expect(talk.deliver(answer, from: .host) == .pass)
        talk.send(.peer)
        #expect(talk.deliver(answer, from: .host) == .pass)
        #expect(talk.deliver(syn, from: .peer) == .pass)
        #expect(engine.connections == 1)
        talk.exchange()
        #expect(engine.connections == 2 && engine.events.isEmpty)
    }

    @Test("A FIN or RST at once, before this host has said anything")
    func closedAtOnce() throws {
        let (engine, talk) = try flooded()
        talk.open()
        #expect(talk.send(.peer, [.fin, .ack]) == .pass)
        #expect(talk.send(.host) == .pass)
        #expect(talk.send(.host, [.fin, .ack]) == .pass)
        #expect(talk.send(.peer) == .pass)
        #expect(engine.events.isEmpty)
        let other = TCPTalk(engine, peerPort: 50_000)
        other.open()
        #expect(other.send(.peer, .rst) == .pass)
        engine.idles(6)
        #expect(engine.connections == 2, "the one that was reset has left nothing")
    }

    @Test("Time stamps are known from the ACK on: an old one is refused")
    func timestamps() throws {
        let (engine, talk) = try flooded()
        talk.peer.timestamp = 500_000
        talk.host.timestamp = 900_000
        talk.open()
        talk.exchange()
        engine.waits(.seconds(2))
        talk.peer.timestamp = 300_000
        #expect(talk.deliver(talk.segment(.peer, data: 10), from: .peer) == .pass, "the row allows it")
        let strict = try EngineUnderTest.withCookies(
            threshold: 1, "engine: { anti-evasion: { invalid-timestamps: deny } }\n")
        strict.flood(5)
        let other = TCPTalk(strict)
        other.peer.timestamp = 500_000
        other.open()
        other.exchange()
        other.peer.timestamp = 300_000
        #expect(other.deliver(other.segment(.peer, data: 10), from: .peer) == .drop(.invalidSequence))
    }

    @Test("Nobody speaks: after two seconds the connection is known, and goes on minutes later")
    func silence() throws {
        let (engine, talk) = try flooded()
        talk.open()
        engine.idles(4)
        #expect(engine.connections == 2)
        engine.waits(.seconds(50))
        talk.exchange()
        let late = TCPTalk(engine, peerPort: 50_000)
        engine.flood(20, from: 300)
        late.open()
        engine.idles(300)
        #expect(!engine.isFlooded)
        late.exchange()
        #expect(engine.events.isEmpty)
    }

    @Test("What the rules would not admit as a SYN, another port, or a listener that was never flooded: 100 as ever")
    func others() throws {
        let (engine, talk) = try flooded()
        _ = talk
        let denied = PacketBuilder.ipv4(from: .peer, to: .host)
        #expect(engine.receives(denied.tcp(9, 81, .ack, seq: 1, ack: 1)) != .pass)
        #expect(engine.receives(denied.tcp(9, 80, [.psh], seq: 1, ack: 0)) == .drop(.invalidFlags))
        let calm = try EngineUnderTest.withCookies(threshold: 100)
        calm.flood(5)
        #expect(calm.receives(denied.tcp(9, 80, .ack, seq: 1, ack: 1)) == .drop(.outOfConnection))
        let closed = try EngineUnderTest.withCookies(
            threshold: 1, "",
            rules: "rules: [{ name: Web, action: allow, direction: incoming, protocol: tcp, "
                + "source: { addresses: 203.0.0.0/16 }, destination: { ports: 80 } }]\n")
        closed.flood(5)
        #expect(closed.isFlooded)
        #expect(closed.receives(denied.tcp(9, 80, .ack, seq: 1, ack: 1)) == .drop(.outOfAllowedPolicyOpenPort))
        #expect(closed.receives(denied.syn(9, 80)) == .drop(.outOfAllowedPolicyOpenPort))
    }

    @Test("The ring is small: when it is full an ACK is Out Of Connection, and RSTs make room")
    func ring() throws {
        let (engine, _) = try flooded()
        var talks: [TCPTalk] = []
        var refused = 0
        for n in UInt32(0)..<3_000 {
            let talk = TCPTalk(engine, peer: IPAddress(v4: 0xc633_0000 &+ n))
            talk.peer.expected = 1 + n
            if talk.send(.peer) == .pass { talks.append(talk) } else { refused += 1 }
        }
        #expect(talks.count <= 1_024 && talks.count > 900)
        #expect(engine.events(of: .outOfConnection) == refused && refused == 3_000 - talks.count)
        #expect(engine.connections == 1)
        for talk in talks { #expect(engine.sends(talk.refusal()) == .pass) }
        #expect(engine.events(of: .synCookieError) == talks.count)
        #expect(engine.connections == 1)
        let talk = TCPTalk(engine)
        talk.open()
        talk.exchange()
    }

    @Test("A forged SYN beside an ACK that waits changes nothing")
    func forgedSYN() throws {
        let (engine, talk) = try flooded()
        talk.open()
        for shift in [0, 1_000_000, -5_000] {
            #expect(talk.deliver(talk.segment(.peer, .syn, by: shift), from: .peer) == .pass)
        }
        #expect(engine.connections == 1)
        talk.exchange()
        talk.close()
        #expect(engine.events.isEmpty)
    }

    @Test("A wrong checksum opens nothing")
    func disbelieved() throws {
        let (engine, talk) = try flooded()
        engine.receives(PacketBuilder.toHost.tcp(9, 80, .ack, seq: 1, ack: 1).transportChecksum(1)) {
            $0.checksumNotVerified = true
        }
        _ = talk
        engine.idles(6)
        #expect(engine.connections == 1 && engine.engine.counters.openedByCookies == 0)
    }
}
