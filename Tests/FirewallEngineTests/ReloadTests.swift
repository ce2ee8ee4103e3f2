// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import TestSupport
import Testing

@Suite("A new policy judges living connections again, and what it still admits never notices")
struct ReloadTests {
    private static func web(_ port: Int) -> String {
        "rules: [{ name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: \(port) } }]"
    }

    @Test("What the new policy admits goes on")
    func survival() throws {
        let engine = try EngineUnderTest()
        let talk = TCPTalk(engine)
        talk.open()
        engine.sends(.fromHost.udp(5_000, 53))
        try engine.reloads(ReloadTests.web(80))
        talk.exchange()
        #expect(engine.receives(.toHost.udp(53, 5_000)) == .pass)
        try engine.reloads(ReloadTests.web(80))
        talk.close()
        #expect(engine.events.isEmpty)
    }

    @Test(
        "What it refuses is refused for its reason, both ways, until 10 s after the last packet; a later policy admits it again"
    )
    func refusal() throws {
        let engine = try EngineUnderTest()
        let talk = TCPTalk(engine)
        talk.open()
        try engine.reloads(ReloadTests.web(81))
        #expect(talk.deliver(talk.segment(.peer, data: 5), from: .peer) == .drop(.outOfAllowedPolicy))
        #expect(talk.deliver(talk.segment(.host, data: 5), from: .host) == .drop(.outOfAllowedPolicy))
        engine.waits(.milliseconds(9_999))
        #expect(talk.deliver(talk.segment(.host, data: 5), from: .host) == .drop(.outOfAllowedPolicy))
        engine.waits(.milliseconds(9_999))
        try engine.reloads(ReloadTests.web(80))
        talk.exchange()
        try engine.reloads(ReloadTests.web(81))
        #expect(talk.deliver(talk.segment(.host, data: 5), from: .host) == .drop(.outOfAllowedPolicy))
        engine.waits(.seconds(10))
        try engine.reloads(ReloadTests.web(80))
        #expect(talk.deliver(talk.segment(.peer, data: 5), from: .peer) == .drop(.outOfConnection))
    }

    @Test("The event of a refused connection names the rule of the new policy")
    func newRule() throws {
        let engine = try EngineUnderTest()
        let talk = TCPTalk(engine)
        talk.open()
        try engine.reloads(
            """
            rules:
              - { name: Other, action: log-only, direction: outgoing, protocol: udp }
              - { name: No more, action: deny, direction: incoming, protocol: tcp, destination: { ports: 80 } }
            """)
        #expect(talk.deliver(talk.segment(.host, data: 5), from: .host) == .drop(.deny))
        #expect(engine.rule(of: engine.lastEvent) == "No more")
        #expect(engine.lastEvent?.policyEpoch == 2)
        #expect(engine.lastEvent?.metadata.direction == .outgoing)
    }

    @Test("A SYN on a refused connection is an opening of its own, and leaves the refused one if it is refused too")
    func openingOfRefused() throws {
        let engine = try EngineUnderTest()
        let talk = TCPTalk(engine)
        talk.open()
        try engine.reloads(ReloadTests.web(81))
        #expect(engine.receives(.toHost.syn(40_000, 80)) == .drop(.outOfAllowedPolicy))
        #expect(talk.deliver(talk.segment(.host, data: 5), from: .host) == .drop(.outOfAllowedPolicy))
        try engine.reloads(ReloadTests.web(80))
        talk.exchange()
    }

    @Test("An exchange that a Force Allow rule admitted ends with the rule")
    func datagrams() throws {
        let engine = try EngineUnderTest(
            """
            rules:
              - { name: DNS, action: force-allow, direction: incoming, protocol: udp, destination: { ports: 53 } }
              - { name: Ping, action: force-allow, direction: incoming, protocol: icmp }
            """)
        for packet in [PacketBuilder.toHost.udp(9, 53), .toHost.echoRequest(id: 1, seq: 1)] {
            #expect(engine.receives(packet) == .pass)
        }
        try engine.reloads("")
        #expect(engine.sends(.fromHost.udp(53, 9)) == .drop(.unsolicitedUDP))
        #expect(engine.receives(.toHost.udp(9, 53)) == .drop(.unsolicitedUDP))
        #expect(engine.sends(.fromHost.echoReply(id: 1, seq: 1)) == .drop(.unsolicitedICMP))
    }

    @Test("The end of a schedule works the same way")
    func schedule() throws {
        let policy = """
            schedules: { office: { timezone: UTC, weekly: { mon: ["08:00-18:00"] } } }
            rules:
              - { name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 }, schedule: office }
            """
        let engine = try EngineUnderTest(policy)
        #expect(engine.receives(.toHost.syn(1, 80)) == .drop(.outOfAllowedPolicy))
        engine.engine.setActiveSchedules(1, at: engine.clock.now)
        let talk = TCPTalk(engine)
        talk.open()
        talk.exchange()
        engine.engine.setActiveSchedules(0, at: engine.clock.now)
        #expect(talk.deliver(talk.segment(.peer, data: 5), from: .peer) == .drop(.outOfAllowedPolicy))
        engine.engine.setActiveSchedules(1, at: engine.clock.now)
        talk.exchange()
    }

    @Test("A change of the interfaces asks the rules again")
    func interfaces() throws {
        let engine = try EngineUnderTest(
            "rules: [{ name: Inside, action: deny, direction: incoming, interfaces: [eth1] }]")
        let talk = TCPTalk(engine)
        talk.open()
        talk.exchange()
        var table = EngineUnderTest.interfaces(engine.policy)
        table[2] = table[3]
        engine.engine.setInterfaces(table)
        #expect(talk.deliver(talk.segment(.peer, data: 5), from: .peer) == .drop(.deny))
    }

    @Test("Fragments on their way keep the verdict of a policy whose rules are gone")
    func fragments() throws {
        let rules = (0..<20).map {
            "  - { name: R\($0), action: deny, direction: incoming, protocol: udp, destination: { ports: \($0 + 1) } }"
        }
        let engine = try EngineUnderTest("rules:\n" + rules.joined(separator: "\n"))
        let whole = PacketBuilder.toHost.udp(1, 20).payload(count: 900)
        #expect(engine.receives(whole.fragment(0..<304)) == .drop(.deny))
        #expect(engine.receives(whole.identification(9).fragment(304..<608)) == .hold)
        try engine.reloads("")
        #expect(engine.receives(whole.fragment(304..<608)) == .drop(.deny))
        #expect(engine.lastEvent?.rule == -1)
        #expect(engine.receives(whole.identification(9).fragment(0..<304)) == .drop(.unsolicitedUDP))
        #expect(engine.released == [.drop(.unsolicitedUDP)])
    }
}

@Suite("Cold start: connections older than the agent")
struct ColdStartTests {
    private static let web = """
        rules: [{ name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }]
        """

    /// A connection that both ends know, and the engine does not.
    private func older(_ engine: EngineUnderTest, hostPort: UInt16 = 80, peerPort: UInt16 = 40_000) -> TCPTalk {
        let talk = TCPTalk(engine, hostPort: hostPort, peerPort: peerPort)
        talk.host.expected = talk.peer.next
        talk.peer.expected = talk.host.next
        return talk
    }

    @Test("It is admitted where a SYN of its own direction would be; the sender is the opener")
    func ownDirection() throws {
        let engine = try EngineUnderTest(ColdStartTests.web, startsNow: true)
        older(engine).exchange()
        #expect(try engine.onlyConnection().openingDirection == .incoming)
    }

    @Test("Or, with addresses swapped, of the other direction")
    func otherDirection() throws {
        let engine = try EngineUnderTest(ColdStartTests.web, startsNow: true)
        let talk = older(engine, hostPort: 2_000, peerPort: 443)
        talk.exchange()
        talk.close()
        let served = try EngineUnderTest(
            ColdStartTests.web + "\n  # no rule lets the host open it\n", startsNow: true)
        let reply = older(served)
        #expect(reply.send(.host, data: 10) == .pass)
        #expect(reply.send(.peer) == .pass)
        #expect(engine.events.isEmpty && served.events.isEmpty)
    }

    @Test("Not where neither would be, nor where a Deny rule stops it")
    func refused() throws {
        let engine = try EngineUnderTest(
            """
            rules:
              - { name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }
              - { name: Out, action: allow, direction: outgoing, protocol: tcp, destination: { ports: 443 } }
              - { name: No, action: deny, direction: incoming, source: { addresses: 203.0.113.99 } }
            """, startsNow: true)
        #expect(engine.receives(.toHost.tcp(25, 2_000, .ack).payload("a")) == .drop(.outOfAllowedPolicy))
        #expect(engine.receives(.ipv4(from: .other, to: .host).tcp(1, 80, .ack)) == .drop(.deny))
        #expect(engine.connections == 0)
    }

    @Test("Where a port of the host's listens the connection came to it, and is admitted by what admits that alone")
    func listeningPort() throws {
        let talks = { (port: UInt16, listens: Bool, party: TCPTalk.Party) in
            let engine = try EngineUnderTest(Self.web, startsNow: true)
            if listens { engine.engine.listeningPorts.insert(tcp: port) }
            return older(engine, hostPort: port).send(party, data: 10)
        }
        // Connections from the host are open: without a listener, this may be one.
        #expect(try talks(8_080, false, .host) == .pass)
        #expect(try talks(8_080, false, .peer) == .pass)
        #expect(try talks(8_080, true, .peer) == .drop(.outOfAllowedPolicyOpenPort))
        #expect(try talks(80, true, .host) == .pass)
        #expect(try talks(80, true, .peer) == .pass)
    }

    @Test("What is sent from a port that listens takes no refused connection up as one of the host's own")
    func sentFromListeningPort() throws {
        for startsNow in [true, false] {
            let engine = try EngineUnderTest(Self.web, startsNow: startsNow)
            for port in [8_080, 80] as [UInt16] { engine.engine.listeningPorts.insert(tcp: port) }
            let refused = older(engine, hostPort: 8_080)
            #expect(refused.send(.host, data: 10) == .pass)
            #expect(refused.send(.peer) == .drop(.outOfAllowedPolicyOpenPort))
            // One that the rules admit is taken up, as the peer's.
            let admitted = older(engine, peerPort: 50_000)
            #expect(admitted.send(.host, data: 10) == .pass)
            #expect(admitted.send(.peer) == .pass)
            #expect(try engine.onlyConnection().openingDirection == .incoming)
        }
    }

    @Test("The port of another machine that is forwarded to is not the host's")
    func listeningPortElsewhere() throws {
        let engine = try EngineUnderTest(
            "interfaces: { inside: [eth1] }\n" + Self.web, startsNow: true)
        engine.engine.listeningPorts.insert(tcp: 40_000)
        #expect(older(engine).send(.peer, data: 10) == .pass)
        #expect(older(engine, hostPort: 80, peerPort: 8_080).send(.host, data: 10) == .pass)
    }

    @Test(
        "So is one whose SYN came again when the answer to the first was under way",
        arguments: [(TCPTalk.Party.peer, 0), (.peer, 1_000), (.host, 1_000)])
    func repeatedSYN(_ first: TCPTalk.Party, _ bytes: Int) throws {
        let engine = try EngineUnderTest(ColdStartTests.web, startsNow: true)
        let talk = older(engine)
        let syn = talk.segment(.peer, .syn, by: -1)
        #expect(talk.deliver(syn, from: .peer) == .pass)
        #expect(talk.send(first, data: bytes) == .pass)
        talk.exchange()
        #expect(talk.deliver(syn, from: .peer) == .pass)
        talk.exchange()
        talk.close()
        #expect(engine.events.isEmpty)
        #expect(try engine.onlyConnection().openingDirection == .incoming)
    }

    @Test("But nothing that follows no SYN that was seen, and afterwards nothing", arguments: [(0, 1 << 20), (300, 0)])
    func foreignToRepeatedSYN(_ seconds: Int64, _ shift: Int) throws {
        let engine = try EngineUnderTest(ColdStartTests.web, startsNow: true)
        engine.waits(.seconds(seconds))
        let talk = older(engine)
        #expect(talk.deliver(talk.segment(.peer, .syn, by: -1), from: .peer) == .pass)
        #expect(talk.deliver(talk.segment(.peer, by: shift), from: .peer) == .drop(.invalidACK))
    }

    @Test("Only while it lasts", arguments: [(300_000, false), (299_999, true)])
    func duration(_ milliseconds: Int64, _ passes: Bool) throws {
        let engine = try EngineUnderTest(startsNow: true)
        engine.waits(.milliseconds(milliseconds))
        #expect(older(engine).send(.peer, data: 5) == (passes ? .pass : .drop(.outOfConnection)))
    }

    @Test("Afterwards a RST or FIN passes and creates nothing; outgoing data open an entry, an outgoing ACK does not")
    func postureRows() throws {
        let engine = try EngineUnderTest()
        #expect(engine.receives(.toHost.tcp(1, 80, .rst)) == .pass)
        #expect(engine.receives(.toHost.tcp(1, 80, [.fin, .ack])) == .pass)
        #expect(engine.sends(.fromHost.tcp(80, 1, .ack)) == .pass)
        #expect(engine.connections == 0)
        let talk = older(engine)
        #expect(talk.send(.host, data: 10) == .pass)
        #expect(talk.send(.peer, data: 10) == .pass)
        #expect(engine.connections == 1)
        #expect(engine.events.isEmpty)
    }

    @Test("The rows do not overrule the rules")
    func rowsAndRules() throws {
        let engine = try EngineUnderTest(ColdStartTests.web)
        #expect(engine.receives(.toHost.tcp(1, 81, .rst)) == .drop(.outOfAllowedPolicy))
        #expect(engine.receives(.toHost.tcp(1, 80, .rst)) == .pass)
    }
}
