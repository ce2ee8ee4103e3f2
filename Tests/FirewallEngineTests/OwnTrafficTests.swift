// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import TestSupport
import Testing

@Suite("The agent's own traffic passes whatever the rules say, and nobody else's does")
struct OwnTrafficTests {
    private static let nothing = """
        rules:
          - { name: Nothing out, action: deny, direction: outgoing, priority: 4, protocol: any }
          - { name: Nothing in, action: deny, direction: incoming, priority: 4, protocol: any }
        """
    private static let mark: UInt32 = 0x0100_0000
    private static let agent: UInt32 = 997

    private static func own(_ m: inout PacketMetadata) {
        m.mark = 0x0100_0002
        m.senderUID = agent
    }

    /// What the kernel sends for a socket that its process has closed.
    private static func unowned(_ m: inout PacketMetadata) { m.mark = mark }

    private func engine(_ yaml: String = OwnTrafficTests.nothing) throws -> EngineUnderTest {
        try EngineUnderTest(yaml, ownUser: OwnTrafficTests.agent)
    }

    @Test("A connection of the agent's passes, both ways, to its end and over a reload")
    func connection() throws {
        let engine = try engine()
        #expect(engine.sends(.fromHost.syn(40_000, 601), OwnTrafficTests.own) == .pass)
        #expect(engine.receives(.toHost.tcp(601, 40_000, [.syn, .ack], seq: 9, ack: 1_001)) == .pass)
        let data = PacketBuilder.fromHost.tcp(40_000, 601, .ack, seq: 1_001, ack: 10).payload("event")
        #expect(engine.sends(data, OwnTrafficTests.own) == .pass)
        try engine.reloads(OwnTrafficTests.nothing)
        #expect(engine.receives(.toHost.tcp(601, 40_000, .ack, seq: 10, ack: 1_006)) == .pass)
        #expect(
            engine.sends(.fromHost.tcp(40_000, 601, [.fin, .ack], seq: 1_006, ack: 10), OwnTrafficTests.own) == .pass)
        #expect(engine.receives(.toHost.tcp(601, 40_000, [.fin, .ack], seq: 10, ack: 1_007)) == .pass)
        #expect(
            engine.sends(.fromHost.tcp(40_000, 601, .ack, seq: 1_007, ack: 11), OwnTrafficTests.unowned) == .pass,
            "the socket is closed: the kernel names no owner")
        #expect(engine.events.isEmpty)
    }

    @Test("So do datagrams and their answers, and a query and its reply")
    func datagrams() throws {
        let engine = try engine()
        for _ in 0..<2 {
            #expect(engine.sends(.fromHost.udp(40_000, 514), OwnTrafficTests.own) == .pass)
            #expect(engine.receives(.toHost.udp(514, 40_000)) == .pass)
            #expect(engine.sends(.fromHost.echoRequest(id: 7, seq: 1), OwnTrafficTests.own) == .pass)
            #expect(engine.receives(.toHost.echoReply(id: 7, seq: 1)) == .pass)
        }
        #expect(engine.sends(.fromHost.upperLayer(47).payload("a"), OwnTrafficTests.own) == .pass)
    }

    @Test("A mark without the agent's user exempts nothing, nor its user without the mark")
    func others() throws {
        let engine = try engine()
        for packet in [PacketBuilder.fromHost.syn(1, 601), .fromHost.udp(1, 514), .fromHost.echoRequest(id: 1, seq: 1)]
        {
            #expect(engine.sends(packet) { $0.mark = OwnTrafficTests.mark } == .drop(.deny), "no owner named")
            #expect(
                engine.sends(packet) {
                    $0.mark = .max
                    $0.senderUID = 1_000
                } == .drop(.deny))
            #expect(engine.sends(packet) { $0.senderUID = OwnTrafficTests.agent } == .drop(.deny))
            #expect(
                engine.sends(packet) {
                    $0.mark = ~OwnTrafficTests.mark
                    $0.senderUID = OwnTrafficTests.agent
                } == .drop(.deny))
            #expect(engine.receives(.toHost.udp(1, 514)) { OwnTrafficTests.own(&$0) } == .drop(.deny), "not sent here")
        }
    }

    @Test("Where the agent does not know its user nothing is its own")
    func unknownUser() throws {
        let engine = try EngineUnderTest(OwnTrafficTests.nothing)
        #expect(engine.sends(.fromHost.udp(1, 514)) { $0.mark = .max } == .drop(.deny))
        #expect(engine.sends(.fromHost.udp(1, 514), OwnTrafficTests.own) == .drop(.deny))
    }

    @Test("What others send in the place of the agent's connection meets the rules")
    func intruders() throws {
        let engine = try engine()
        engine.sends(.fromHost.syn(40_000, 601), OwnTrafficTests.own)
        engine.receives(.toHost.tcp(601, 40_000, [.syn, .ack], seq: 9, ack: 1_001))
        let data = PacketBuilder.fromHost.tcp(40_000, 601, .ack, seq: 1_001, ack: 10).payload("a")
        #expect(
            engine.sends(data) {
                $0.mark = OwnTrafficTests.mark
                $0.senderUID = 1_000
            } == .drop(.deny))
        #expect(engine.receives(.toHost.syn(601, 40_000, seq: 7)) == .drop(.deny), "an opening against it")
        engine.receives(.toHost.tcp(601, 40_000, [.rst, .ack], seq: 10, ack: 1_001))
        #expect(engine.sends(.fromHost.syn(40_000, 601, seq: 90_000)) == .drop(.deny), "its ports, once it is over")
        #expect(engine.sends(.fromHost.syn(40_000, 601, seq: 90_000), OwnTrafficTests.own) == .pass)
    }

    @Test("A port of the agent's admits nobody whom the rules do not")
    func listener() throws {
        let engine = try engine(
            "rules: [{ name: No, action: deny, direction: incoming, protocol: tcp, source: { ports: 2 } }]")
        engine.receives(.toHost.syn(1, 9_470))
        #expect(
            engine.sends(.fromHost.tcp(9_470, 1, [.syn, .ack], seq: 9, ack: 1_001), OwnTrafficTests.own) == .pass)
        try engine.reloads(OwnTrafficTests.nothing)
        #expect(engine.receives(.toHost.tcp(1, 9_470, .ack, seq: 1_001, ack: 10)) == .drop(.deny))
        #expect(engine.receives(.toHost.syn(2, 9_470)) == .drop(.deny))
    }

    @Test("No rule exempts it from the sanity of packets")
    func sanity() throws {
        let engine = try engine()
        #expect(engine.sends(.fromHost, OwnTrafficTests.own) == .drop(.ipZeroPayload))
    }
}
