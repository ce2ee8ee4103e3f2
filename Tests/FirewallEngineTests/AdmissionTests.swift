// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import PacketWire
import TestSupport
import Testing

@Suite("A connection is admitted in the direction in which it was opened")
struct AdmissionTests {
    private static let web = """
        rules: [{ name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }]
        """
    private static let ssh = """
        rules: [{ name: SSH, action: allow, direction: incoming, protocol: tcp, destination: { ports: 22 } }]
        """

    private func older(_ engine: EngineUnderTest, hostPort: UInt16 = 80, peerPort: UInt16 = 40_000) -> TCPTalk {
        let talk = TCPTalk(engine, hostPort: hostPort, peerPort: peerPort)
        talk.host.expected = talk.peer.next
        talk.peer.expected = talk.host.next
        return talk
    }

    private func engine(_ yaml: String, listening: UInt16..., startsNow: Bool = true) throws -> EngineUnderTest {
        let engine = try EngineUnderTest(yaml, startsNow: startsNow)
        for port in listening { engine.engine.listeningPorts.insert(tcp: port) }
        return engine
    }

    @Test("A port that listens was not opened from: what its rules forbid does not survive a cold start as outgoing")
    func listener() throws {
        for first in [TCPTalk.Party.host, .peer] {
            let engine = try engine(AdmissionTests.ssh, listening: 22, 80)
            let talk = older(engine)
            talk.send(first, data: 5)
            #expect(talk.send(.peer, data: 5) == .drop(.outOfAllowedPolicyOpenPort))
            #expect(engine.connections == 0)
            older(engine, hostPort: 22, peerPort: 5).exchange()
            #expect(try engine.onlyConnection().openingDirection == .incoming)
        }
    }

    @Test("A connection of a port that listens is incoming, whoever speaks first; of another, the host's own")
    func orientation() throws {
        for first in [TCPTalk.Party.host, .peer] {
            for (port, direction) in [(UInt16(80), Direction.incoming), (50_000, .outgoing)] {
                let engine = try engine("", listening: 80)
                let talk = older(engine, hostPort: port, peerPort: 443)
                talk.send(first, data: 5)
                talk.exchange()
                #expect(try engine.onlyConnection().openingDirection == direction)
                let opener = try engine.onlyConnection().opener
                #expect(
                    (try engine.onlyConnection().key.portOrIdentifier(of: opener) == port) == (direction == .outgoing))
            }
        }
    }

    @Test("A port that listens on a computer behind this one says nothing of its own")
    func forwarded() throws {
        let engine = try engine("interfaces: { inside: [eth1] }\n" + AdmissionTests.ssh, listening: 80)
        let segment = PacketBuilder.ipv4(from: "10.0.0.1", to: .peer).tcp(80, 1, .ack, seq: 7, ack: 9).payload("a")
        #expect(engine.forwards(segment, from: 3, to: 2) == .pass)
        #expect(try engine.onlyConnection().openingDirection == .outgoing)
    }

    @Test("What was incoming and was forgotten is incoming again, and ends when the policy forbids it")
    func forgotten() throws {
        let engine = try engine(AdmissionTests.web, listening: 80, startsNow: false)
        let talk = TCPTalk(engine)
        talk.open()
        talk.exchange()
        engine.waits(.hours(3))
        #expect(engine.connections == 0)
        #expect(talk.send(.host, data: 10) == .pass)
        talk.exchange()
        #expect(try engine.onlyConnection().openingDirection == .incoming)
        try engine.reloads(AdmissionTests.ssh)
        #expect(talk.send(.peer, data: 10) == .drop(.outOfAllowedPolicy))
    }

    @Test("What no rule would admit any more passes as the posture says, and is not taken over by that")
    func notAdmitted() throws {
        let engine = try engine(AdmissionTests.ssh, listening: 80, startsNow: false)
        let talk = older(engine)
        #expect(talk.send(.host, data: 10) == .pass)
        #expect(engine.connections == 0)
        #expect(talk.send(.peer, data: 10) == .drop(.outOfAllowedPolicyOpenPort))
    }

    @Test("Through the loopback interface a SYN goes out and comes in, and is put to the rules of both")
    func loopback() throws {
        let engine = try EngineUnderTest("interfaces: { ignore: [] }\n" + AdmissionTests.web)
        for address: IPAddress in ["127.0.0.1", .host, "::1"] {
            let packet = PacketBuilder.ip(from: address, to: address)
            for port in [UInt16(80), 8_080] {
                let fate = port == 80 ? Fate.pass : .drop(.outOfAllowedPolicy)
                for _ in 0..<3 {
                    #expect(engine.sends(packet.syn(40_000, port), on: 1) == .pass)
                    #expect(engine.receives(packet.syn(40_000, port), on: 1) == fate)
                }
            }
        }
    }

    @Test("So is, in a cold start, what was opened through it before")
    func olderLoopback() throws {
        let engine = try engine("interfaces: { ignore: [] }\n" + AdmissionTests.web, listening: 80, 8_080)
        for (port, isAdmitted) in [(UInt16(80), true), (8_080, false)] {
            let packet = PacketBuilder.ipv4(from: "127.0.0.1", to: "127.0.0.1")
            let segment = packet.tcp(40_000, port, .ack, seq: 5, ack: 7).payload("a")
            #expect(engine.sends(segment, on: 1) == .pass)
            #expect((engine.receives(segment, on: 1) == .pass) == isAdmitted)
        }
    }

    @Test("On a router a SYN forged inside opens nothing to the outside")
    func router() throws {
        let engine = try EngineUnderTest("interfaces: { inside: [eth1, eth2] }\n" + AdmissionTests.web)
        let there = PacketBuilder.ipv4(from: .peer, to: "10.0.0.1")
        for (port, fate) in [(UInt16(80), Fate.pass), (22, .drop(.outOfAllowedPolicy))] {
            #expect(engine.forwards(there.syn(1, port), from: 4, to: 3) == .pass, "forged inside")
            #expect(engine.forwards(there.syn(1, port), from: 2, to: 3) == fate)
            #expect(engine.forwards(there.syn(1, port), from: 4, to: 3) == .pass)
        }
    }

    @Test("Nor does a datagram or a ping that was forged inside")
    func routerOfDatagrams() throws {
        let engine = try EngineUnderTest("interfaces: { inside: [eth1, eth2] }")
        let there = PacketBuilder.ipv4(from: .peer, to: "10.0.0.1")
        #expect(engine.forwards(there.udp(5, 53).payload("a"), from: 4, to: 3) == .pass)
        #expect(engine.forwards(there.udp(5, 53).payload("a"), from: 2, to: 3) == .drop(.unsolicitedUDP))
        #expect(engine.forwards(there.echoRequest(id: 7, seq: 1), from: 4, to: 3) == .pass)
        #expect(engine.forwards(there.echoRequest(id: 7, seq: 1), from: 2, to: 3) == .drop(.unsolicitedICMP))
        let back = PacketBuilder.ipv4(from: "10.0.0.1", to: .peer)
        #expect(engine.forwards(back.udp(53, 5).payload("a"), from: 3, to: 4) == .pass, "between two inside")
        #expect(engine.forwards(back.echoReply(id: 7, seq: 1), from: 3, to: 4) == .pass)
    }

    @Test("A connection between two inside interfaces, and one opened again in either direction, goes on")
    func insideToInside() throws {
        let engine = try EngineUnderTest("interfaces: { inside: [eth1, eth2] }\n" + AdmissionTests.web)
        let there = PacketBuilder.ipv4(from: "10.0.0.1", to: "10.1.0.1")
        let back = PacketBuilder.ipv4(from: "10.1.0.1", to: "10.0.0.1")
        for isn in [UInt32(1_000), 90_000] {
            #expect(engine.forwards(there.syn(1, 22, seq: isn), from: 3, to: 4) == .pass)
            #expect(engine.forwards(back.tcp(22, 1, [.syn, .ack], seq: 5, ack: isn + 1), from: 4, to: 3) == .pass)
            #expect(engine.forwards(there.tcp(1, 22, .ack, seq: isn + 1, ack: 6), from: 3, to: 4) == .pass)
            #expect(engine.forwards(back.tcp(22, 1, .ack, seq: 6, ack: isn + 1).payload("a"), from: 4, to: 3) == .pass)
            #expect(engine.forwards(there.tcp(1, 22, .rst, seq: isn + 1), from: 3, to: 4) == .pass)
        }
        #expect(engine.events.isEmpty)
    }
}
