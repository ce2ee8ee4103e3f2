// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import TestSupport
import Testing

@Suite("Tap mode and failure settings: state follows what the packets really did")
struct FailureTests {
    @Test("Tap drops nothing, whatever the reason", arguments: ReasonCase.all)
    func tap(_ reasonCase: ReasonCase) throws {
        let engine = try EngineUnderTest("mode: tap\n" + reasonCase.policy)
        try reasonCase.scene(engine)
        let fate = try reasonCase.raises(engine)
        if reasonCase.action == .deny {
            #expect(fate == .passReporting(reasonCase.reason))
            #expect(engine.lastEvent?.action == .tapDeny)
        }
        #expect(engine.engine.counters.dropped.allSatisfy { $0 == 0 })
    }

    @Test("A connection refused in tap mode keeps reporting its first reason")
    func refusedConnection() throws {
        let engine = try EngineUnderTest(
            """
            mode: tap
            rules: [{ name: No, action: deny, direction: incoming, protocol: tcp, destination: { ports: 80 }, flags: [syn] }]
            """)
        let talk = TCPTalk(engine)
        for (party, flags) in [(TCPTalk.Party.peer, TCPFlags.syn), (.host, [.syn, .ack]), (.peer, .ack)] {
            #expect(talk.send(party, flags) == .passReporting(.deny))
        }
        #expect(talk.send(.peer, data: 100) == .passReporting(.deny))
        #expect(talk.send(.host, data: 100) == .passReporting(.deny))
        #expect(engine.events.allSatisfy { engine.rule(of: $0) == "No" && $0.action == .tapDeny })
        try engine.reloads("mode: tap")
        talk.exchange()
        talk.close()
    }

    @Test("So does one that a limit refused")
    func beyondLimit() throws {
        let engine = try EngineUnderTest("mode: tap\nstateful: { tcp: { limits: { incoming-per-computer: 1 } } }")
        TCPTalk(engine, peerPort: 1).open()
        let talk = TCPTalk(engine, peerPort: 2)
        for (party, flags) in [(TCPTalk.Party.peer, TCPFlags.syn), (.host, [.syn, .ack]), (.peer, .ack)] {
            #expect(talk.send(party, flags) == .passReporting(.maxIncomingConnections))
        }
    }

    @Test("A connection that was there before reports Out Of Connection, and nothing else")
    func unknownConnection() throws {
        let engine = try EngineUnderTest("mode: tap")
        let talk = TCPTalk(engine)
        talk.peer.expected = talk.host.next
        talk.host.expected = talk.peer.next
        for _ in 0..<3 {
            #expect(talk.send(.peer, data: 100) == .passReporting(.outOfConnection))
            #expect(talk.send(.host, data: 100) == .passReporting(.outOfConnection))
        }
    }

    @Test("Fragments of a refused datagram are reported with its reason in tap mode")
    func fragments() throws {
        let engine = try EngineUnderTest("mode: tap")
        let whole = PacketBuilder.toHost.udp(1, 2).payload(count: 600)
        #expect(engine.receives(whole.fragment(304..<608)) == .hold)
        #expect(engine.receives(whole.fragment(0..<304)) == .passReporting(.unsolicitedUDP))
        #expect(engine.released == [.passReporting(.unsolicitedUDP)])
    }

    @Test("failure.sanity open passes V, F and T, and says so; R and U drop")
    func sanityOpen() throws {
        let engine = try EngineUnderTest(
            "failure: { sanity: open }\nrules: [{ name: No, action: deny, direction: incoming, protocol: gre }]")
        #expect(engine.receives(.ipv4(from: .host, to: .host).udp(1, 2)) == .passReporting(.sameSourceAndDestinationIP))
        #expect(
            engine.receives(.toHost.udp(1, 2).payload(count: 100).fragment(0..<48))
                == .passReporting(.firstFragmentTooSmall))
        #expect(engine.receives(.toHost.tcp(1, 2, .ack)) == .passReporting(.outOfConnection))
        #expect(engine.events.allSatisfy { $0.action == .failOpen })
        #expect(engine.receives(.toHost.upperLayer(47).payload("a")) == .drop(.deny))
        #expect(engine.receives(.toHost.udp(1, 2)) == .drop(.unsolicitedUDP))
    }

    @Test("With full tables and failure.engine open, whole connections pass")
    func engineOpen() throws {
        let engine = try EngineUnderTest(
            """
            failure: { engine: open }
            engine: { limits: { tcp: 1, udp: 1, icmp: 1 } }
            """)
        TCPTalk(engine, peerPort: 1).open()
        let talk = TCPTalk(engine, peerPort: 2)
        #expect(talk.send(.peer, .syn) == .passReporting(.maxTCPConnections))
        #expect(talk.send(.host, [.syn, .ack]) == .pass)
        #expect(talk.send(.peer) == .passReporting(.maxTCPConnections))
        #expect(talk.send(.peer, data: 10) == .passReporting(.maxTCPConnections))
        engine.sends(.fromHost.udp(1, 53))
        #expect(engine.sends(.fromHost.udp(2, 53)) == .passReporting(.maxUDPConnections))
        #expect(engine.receives(.toHost.udp(53, 2)) == .passReporting(.maxUDPConnections))
        engine.sends(.fromHost.echoRequest(id: 1, seq: 1))
        #expect(engine.sends(.fromHost.echoRequest(id: 2, seq: 1)) == .passReporting(.maxICMPConnections))
        #expect(engine.receives(.toHost.echoReply(id: 2, seq: 1)) == .passReporting(.maxICMPConnections))
    }

    @Test("A flood to an open port fills no table for others, nor with failure.engine open does it open other ports")
    func floodToAnOpenPort() throws {
        let engine = try EngineUnderTest(
            """
            rules:
              - { name: Service, action: force-allow, direction: incoming, protocol: udp, destination: { ports: 53 } }
              - { name: Ping, action: force-allow, direction: incoming, protocol: icmp, icmp: { type: echo-request } }
            failure: { engine: open }
            engine: { limits: { udp: 3, icmp: 3 } }
            """)
        for number in UInt16(1)...9 {
            #expect(engine.receives(.toHost.udp(number, 53)) == .pass)
            #expect(engine.sends(.fromHost.udp(53, number)) == .pass)
            #expect(engine.receives(.toHost.echoRequest(id: number, seq: 1)) == .pass)
            #expect(engine.sends(.fromHost.echoReply(id: number, seq: 1)) == .pass)
        }
        #expect(engine.receives(.toHost.udp(1, 54)) == .drop(.unsolicitedUDP))
        #expect(engine.receives(.toHost.echoReply(id: 77, seq: 1)) == .drop(.unsolicitedICMP))
        #expect(engine.sends(.fromHost.udp(2, 53)) == .pass)
        #expect(engine.receives(.toHost.udp(53, 2)) == .pass)
        #expect(engine.sends(.fromHost.echoRequest(id: 50, seq: 1)) == .pass)
        #expect(engine.receives(.toHost.echoReply(id: 50, seq: 1)) == .pass)
    }

    @Test("With failure.engine open a connection whose opening was cut passes whole")
    func cutOpening() throws {
        let engine = try EngineUnderTest(
            """
            failure: { engine: open }
            rules: [{ name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }]
            """)
        let options = [UInt8](repeating: 0, count: 60)
        let padded = PacketBuilder.toHost6.destinationOptions([1, 58] + options)
        #expect(engine.receives(padded.syn(1, 81), cutTo: 128) == .drop(.outOfAllowedPolicy))
        #expect(engine.receives(padded.syn(1, 80), cutTo: 128) == .passReporting(.invalidPacketInfo))
        #expect(
            engine.sends(.fromHost6.tcp(80, 1, [.syn, .ack], seq: 9, ack: 1_001)) == .passReporting(.invalidPacketInfo))
        #expect(engine.receives(.toHost6.tcp(1, 80, .ack, seq: 1_001, ack: 10)) == .passReporting(.invalidPacketInfo))
        let talk = TCPTalk(engine, peerPort: 7)
        talk.open()
        talk.exchange()
    }

    @Test("With room in the tables, failure.engine open admits nothing")
    func engineOpenWithRoom() throws {
        let engine = try EngineUnderTest("failure: { engine: open }")
        #expect(engine.receives(.toHost.tcp(1, 2, .ack)) == .drop(.outOfConnection))
        #expect(engine.receives(.toHost.udp(1, 2)) == .drop(.unsolicitedUDP))
        #expect(engine.receives(.toHost.udp(1, 2), hook: .unknown) == .passReporting(.invalidPacketInfo))
    }
}
