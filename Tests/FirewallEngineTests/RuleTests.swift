// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import TestSupport
import Testing

@Suite("Rules and connections: what is admitted stays admitted, and rules apply to every packet")
struct RuleTests {
    private static let web = """
        rules:
          - { name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }
        """

    @Test("Neither direction of an admitted connection needs another Allow rule")
    func admission() throws {
        let engine = try EngineUnderTest(
            RuleTests.web
                + "\n  - { name: Mail, action: allow, direction: outgoing, protocol: tcp, destination: { ports: 25 } }")
        let talk = TCPTalk(engine)
        talk.open()
        talk.exchange()
        talk.close()
        let mail = TCPTalk(engine, hostPort: 2_000, peerPort: 25)
        mail.open(by: .host)
        mail.exchange()
        #expect(engine.events.isEmpty)
        #expect(engine.sends(.fromHost.syn(3_000, 80)) == .drop(.outOfAllowedPolicy))
    }

    @Test("Directions are independent: incoming Allow rules restrict nothing that goes out")
    func independence() throws {
        let engine = try EngineUnderTest(RuleTests.web)
        #expect(engine.sends(.fromHost.syn(3_000, 443)) == .pass)
        #expect(engine.sends(.fromHost.upperLayer(47).payload("a")) == .pass)
        #expect(engine.receives(.toHost.upperLayer(47).payload("a")) == .drop(.outOfAllowedPolicy))
    }

    @Test("A pure SYN against the opener's direction is judged by the rules of its own direction")
    func opposingSYN() throws {
        let engine = try EngineUnderTest(RuleTests.web)
        let talk = TCPTalk(engine, hostPort: 2_000, peerPort: 443)
        talk.open(by: .host)
        #expect(engine.receives(.toHost.syn(443, 2_000, seq: 77)) == .drop(.outOfAllowedPolicy))
        talk.exchange()
    }

    @Test("A SYN on a connection that is over is judged by the rules, and opens anew")
    func reuse() throws {
        let engine = try EngineUnderTest(RuleTests.web)
        let talk = TCPTalk(engine)
        talk.open()
        talk.close()
        talk.peer.next = 900_000
        talk.host.next = 1
        talk.open()
        talk.exchange()
        #expect(engine.connections == 1)
        #expect(engine.events.isEmpty)
        let outgoing = TCPTalk(engine, hostPort: 2_000, peerPort: 443)
        outgoing.open(by: .host)
        outgoing.close(first: .host)
        #expect(engine.receives(.toHost.syn(443, 2_000, seq: 77)) == .drop(.outOfAllowedPolicy))
    }

    @Test("Deny and Bypass apply to each packet of a known connection")
    func denyAndBypassInMidstream() throws {
        let engine = try EngineUnderTest(
            """
            rules:
              - { name: No urgency, action: deny, direction: incoming, protocol: tcp, flags: { set: [urg] } }
              - { name: No pushing back, action: bypass, direction: incoming, protocol: tcp, flags: { set: [rst, psh] } }
            """)
        let talk = TCPTalk(engine)
        talk.open()
        talk.exchange()
        #expect(talk.deliver(talk.segment(.peer, [.ack, .urg], data: 5), from: .peer) == .drop(.deny))
        #expect(engine.rule(of: engine.lastEvent) == "No urgency")
        #expect(talk.deliver(talk.segment(.peer, [.rst, .psh], by: 900_000_000), from: .peer) == .pass)
        talk.exchange()
        #expect(engine.events.count == 1)
    }

    @Test("A rule that looks at the source MAC is asked for each address")
    func sourceMAC() throws {
        let engine = try EngineUnderTest(
            """
            rules:
              - { name: Stolen, action: deny, direction: incoming, source: { macs: "02:00:00:00:00:66" } }
            """)
        let talk = TCPTalk(engine)
        talk.open()
        let segment = talk.segment(.peer, data: 1)
        #expect(engine.receives(segment) { $0.sourceMAC = "02:00:00:00:00:01" } == .pass)
        #expect(engine.receives(segment) { $0.sourceMAC = "02:00:00:00:00:66" } == .drop(.deny))
        #expect(engine.receives(segment) { $0.sourceMAC = "02:00:00:00:00:01" } == .pass)
        #expect(engine.receives(segment) == .pass, "no address is not this address")
    }

    @Test("A rule that looks at the destination MAC is asked for each address")
    func destinationMAC() throws {
        let engine = try EngineUnderTest(
            """
            rules:
              - { name: Not mine, action: deny, direction: incoming, destination: { macs: "02:00:00:00:00:66" } }
            """)
        engine.sends(.fromHost.udp(5_000, 53))
        let answer = PacketBuilder.toHost.udp(53, 5_000).payload("abc")
        #expect(engine.receives(answer.ethernet()) == .pass)
        #expect(engine.receives(answer.ethernet(to: "02:00:00:00:00:66")) == .drop(.deny))
        #expect(engine.receives(answer.ethernet()) == .pass)
    }

    @Test("A rule that looks at the ICMP code is asked for each code")
    func icmpCode() throws {
        let engine = try EngineUnderTest(
            """
            rules:
              - { name: Ping, action: force-allow, direction: incoming, protocol: icmp, icmp: { type: echo-request } }
              - { name: Odd, action: deny, priority: 1, direction: incoming, protocol: icmp, icmp: { type: echo-request, code: 5 } }
            """)
        #expect(engine.receives(.toHost.echoRequest(id: 7, seq: 1)) == .pass)
        #expect(engine.receives(.toHost.icmp(8, code: 5, rest: 7 << 16)) == .drop(.deny))
        #expect(engine.receives(.toHost.echoRequest(id: 7, seq: 2)) == .pass)
    }

    @Test("A rule that looks at the interface is asked for each interface")
    func interfaces() throws {
        let engine = try EngineUnderTest(
            "rules: [{ name: Not there, action: deny, direction: incoming, interfaces: [eth1] }]")
        let talk = TCPTalk(engine)
        talk.open()
        #expect(engine.receives(talk.segment(.peer, data: 1), on: 3) == .drop(.deny))
        #expect(engine.receives(talk.segment(.peer, data: 1), on: 2) == .pass)
    }

    @Test(
        "An IPv6 packet without an Allow rule passes if it is ICMPv6, and only a Deny rule that names it stops discovery"
    )
    func icmpv6() throws {
        let engine = try EngineUnderTest(
            RuleTests.web
                + "\n  - { name: Nothing, action: deny, direction: incoming, source: { addresses: fe80::/10 } }")
        let solicitation = PacketBuilder.ipv6(from: "fe80::7", to: .host6).timeToLive(255).icmp(135).payload(count: 24)
        #expect(engine.receives(.toHost6.echoRequest(id: 1, seq: 1)) == .pass)
        #expect(engine.receives(.toHost6.udp(1, 2)) == .drop(.outOfAllowedPolicy))
        #expect(engine.receives(solicitation) == .pass)
        #expect(engine.receives(.ipv6(from: "fe80::7", to: .host6).echoRequest(id: 1, seq: 1)) == .drop(.deny))
        #expect(engine.connections == 0, "ICMPv6 creates no state")
        let silent = try EngineUnderTest("rules: [{ name: None, action: deny, direction: incoming, protocol: icmpv6 }]")
        #expect(silent.receives(solicitation) == .drop(.deny))
    }

    @Test("With stateful inspection off, rules are all there is")
    func stateless() throws {
        let engine = try EngineUnderTest(RuleTests.web + "\n" + ReasonCase.stateless)
        #expect(engine.receives(.toHost.tcp(1, 80, .ack)) == .pass)
        #expect(engine.receives(.toHost.tcp(1, 80, [])) == .pass)
        #expect(engine.sends(.fromHost.syn(2_000, 443)) == .pass)
        #expect(engine.receives(.toHost.tcp(443, 2_000, [.syn, .ack])) == .drop(.outOfAllowedPolicy))
        #expect(engine.connections == 0)
    }

    @Test("Several Log Only rules give one event, the first of the file, and only for a packet that passes")
    func logOnly() throws {
        let engine = try EngineUnderTest(
            """
            rules:
              - { name: First, action: log-only, direction: incoming, protocol: tcp }
              - { name: Second, action: log-only, direction: incoming, protocol: tcp, destination: { ports: 80 } }
              - { name: Quiet, action: log-only, direction: incoming, protocol: udp, log: false }
              - { name: Shut, action: deny, direction: incoming, protocol: tcp, destination: { ports: 81 } }
            """)
        #expect(engine.receives(.toHost.syn(1, 80)) == .pass)
        #expect(engine.events.map { engine.rule(of: $0) } == ["First"])
        #expect(engine.receives(.toHost.syn(1, 81)) == .drop(.deny))
        #expect(engine.receives(.toHost.tcp(9, 80, .ack)) == .drop(.outOfConnection))
        #expect(engine.events(of: .logOnly) == 1)
    }

    @Test("Packet data come with the events of the rules that ask for them, up to 1,500 bytes")
    func packetData() throws {
        let engine = try EngineUnderTest(
            """
            rules:
              - { name: Keep, action: deny, direction: incoming, protocol: udp, packet-data: true }
              - { name: Drop, action: deny, direction: incoming, protocol: tcp }
            """)
        let packet = PacketBuilder.toHost.udp(1, 2).payload(count: 2_000)
        engine.receives(packet)
        engine.receives(.toHost.syn(1, 2))
        #expect(engine.eventBytes == [0: Array(packet.bytes.prefix(1_500))])
    }
}
