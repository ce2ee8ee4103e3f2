// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import TestSupport
import Testing

@Suite("UDP and ICMP exchanges, and the limits")
struct DatagramTests {
    @Test("Neither an Allow rule nor the absence of rules admits an unsolicited datagram; admit: allow does")
    func admission() throws {
        let rules = """
            rules:
              - { name: DNS, action: allow, direction: incoming, protocol: udp, destination: { ports: 53 } }
              - { name: Ping, action: allow, direction: incoming, protocol: icmp }
            """
        let ping = PacketBuilder.toHost.echoRequest(id: 1, seq: 1)
        let engine = try EngineUnderTest(rules)
        #expect(engine.receives(.toHost.udp(9, 53)) == .drop(.unsolicitedUDP))
        #expect(engine.receives(ping) == .drop(.unsolicitedICMP))
        let generous = try EngineUnderTest(rules + "\nstateful: { udp: { admit: allow }, icmp: { admit: allow } }")
        #expect(generous.receives(.toHost.udp(9, 53)) == .pass)
        #expect(generous.receives(.toHost.udp(9, 54)) == .drop(.outOfAllowedPolicy))
        #expect(generous.receives(ping) == .pass)
    }

    @Test("A question lives 20 s, its answer as long, and what goes on after it 3 minutes")
    func timeouts() throws {
        let engine = try EngineUnderTest()
        engine.sends(.fromHost.udp(1, 53))
        engine.waits(.milliseconds(19_999))
        #expect(engine.receives(.toHost.udp(53, 1)) == .pass)
        engine.waits(.seconds(20))
        #expect(engine.receives(.toHost.udp(53, 1)) == .drop(.unsolicitedUDP))
        engine.waits(.seconds(20))
        engine.sends(.fromHost.udp(1, 53))
        #expect(engine.receives(.toHost.udp(53, 1)) == .pass)
        engine.sends(.fromHost.udp(1, 53))
        engine.waits(.milliseconds(179_999))
        #expect(engine.receives(.toHost.udp(53, 1)) == .pass)
        engine.waits(.minutes(3))
        #expect(engine.receives(.toHost.udp(53, 1)) == .drop(.unsolicitedUDP))
        #expect(engine.connections == 0)
    }

    @Test(
        "What this host sends to the other side of an exchange that a reload refused begins one of its own, unless it answers"
    )
    func refusedPair() throws {
        let engine = try EngineUnderTest(
            "rules: [{ name: NTP, action: force-allow, direction: incoming, protocol: udp, destination: { ports: 123 } }]"
        )
        #expect(engine.receives(.toHost.udp(123, 123)) == .pass)
        #expect(engine.sends(.fromHost.udp(123, 123)) == .pass)
        try engine.reloads("")
        for _ in 0..<3 {
            engine.waits(.seconds(1))
            #expect(engine.receives(.toHost.udp(123, 123)) == .drop(.unsolicitedUDP))
            #expect(engine.sends(.fromHost.udp(123, 123)) == .drop(.unsolicitedUDP), "as a server that streams")
        }
        engine.waits(.seconds(1))
        #expect(engine.receives(.toHost.udp(123, 123)) == .drop(.unsolicitedUDP))
        engine.waits(.seconds(1))
        #expect(engine.sends(.fromHost.udp(123, 123)) == .pass)
        #expect(engine.receives(.toHost.udp(123, 123)) == .pass)
        try engine.reloads(
            "rules: [{ name: No, action: deny, direction: outgoing, protocol: udp, destination: { ports: 123 } }]")
        engine.waits(.seconds(5))
        #expect(engine.sends(.fromHost.udp(123, 123)) == .drop(.deny))
    }

    @Test("A Force Allow rule admits the request, and state its answer where outgoing needs Allow")
    func service() throws {
        let engine = try EngineUnderTest(
            """
            rules:
              - { name: DNS, action: force-allow, direction: incoming, protocol: udp, destination: { ports: 53 } }
              - { name: Web, action: allow, direction: outgoing, protocol: tcp, destination: { ports: 80 } }
            """)
        engine.receives(.toHost.udp(9, 53))
        #expect(engine.sends(.fromHost.udp(53, 9)) == .pass)
        #expect(engine.sends(.fromHost.udp(53, 10)) == .drop(.outOfAllowedPolicy))
    }

    @Test("A ping of either side does not admit pings of the other")
    func pings() throws {
        let engine = try EngineUnderTest()
        #expect(engine.sends(.fromHost.echoRequest(id: 1, seq: 1)) == .pass)
        #expect(engine.receives(.toHost.echoReply(id: 1, seq: 1)) == .pass)
        #expect(engine.receives(.toHost.echoReply(id: 1, seq: 1)) == .pass, "a duplicate on the wire")
        #expect(engine.receives(.toHost.echoRequest(id: 1, seq: 2)) == .drop(.unsolicitedICMP))
        #expect(engine.receives(.toHost.icmpQuery(14, id: 1, seq: 1)) == .drop(.unsolicitedICMP))
        engine.waits(.seconds(60))
        #expect(engine.receives(.toHost.echoReply(id: 1, seq: 1)) == .drop(.unsolicitedICMP))
    }

    @Test("Two workers count one computer's connections together")
    func twoWorkers() throws {
        let yaml = "stateful: { tcp: { limits: { incoming-per-computer: 2, half-open-per-computer: 2 } } }"
        let shared = EngineUnderTest.limits(of: try EngineUnderTest.policy(yaml, epoch: 1))
        let one = try EngineUnderTest(yaml, shared: shared)
        let two = try EngineUnderTest(yaml, shared: shared)
        let talk = TCPTalk(one, peerPort: 1)
        talk.open()
        TCPTalk(two, peerPort: 2).open()
        #expect(one.receives(.toHost.syn(3, 80)) == .drop(.maxIncomingConnections))
        #expect(two.receives(.toHost.syn(3, 80)) == .drop(.maxIncomingConnections))
        #expect(talk.send(.peer, [.rst, .ack]) == .pass)
        #expect(two.receives(.toHost.syn(3, 80)) == .pass)
    }

    @Test("Established connections go on while their computer is at its limit, and repeated SYNs count once")
    func limitSparesOthers() throws {
        let engine = try EngineUnderTest("stateful: { tcp: { limits: { incoming-per-computer: 1 } } }")
        let talk = TCPTalk(engine, peerPort: 1)
        #expect(engine.receives(talk.segment(.peer, .syn)) == .pass)
        talk.open()
        engine.receives(.toHost.syn(2, 80))
        talk.exchange()
        talk.close()
        #expect(engine.events(of: .maxIncomingConnections) == 1)
        #expect(engine.receives(.toHost.syn(2, 80)) == .pass)
    }

    @Test("A table that is nearly full gives up half-open connections, never established ones")
    func reclaim() throws {
        let engine = try EngineUnderTest("engine: { limits: { tcp: 40 } }")
        let talk = TCPTalk(engine)
        talk.open()
        for port in UInt16(1)...200 { #expect(engine.receives(.ipv4(from: .other, to: .host).syn(port, 80)) == .pass) }
        talk.exchange()
        #expect(engine.connections <= 40)
    }
}
