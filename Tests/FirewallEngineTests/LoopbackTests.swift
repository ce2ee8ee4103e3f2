// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import PacketWire
import TestSupport
import Testing

/// Where nothing ignores the loopback interface, each packet comes twice: it goes out and comes in.
@Suite("The host speaks to itself")
struct LoopbackTests {
    private static let restrictive = """
        interfaces: { ignore: [] }
        rules: [{ name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }]
        """
    private static let own: [IPAddress] = ["127.0.0.1", .host, "::1", .host6]

    private func loop(
        _ packet: PacketBuilder, _ engine: EngineUnderTest, at location: SourceLocation = #_sourceLocation
    ) {
        #expect(engine.sends(packet, on: 1) == .pass, sourceLocation: location)
        #expect(engine.receives(packet, on: 1) == .pass, sourceLocation: location)
    }

    @Test("Ping and its answers pass, to one address and from one to another", arguments: own)
    func ping(_ address: IPAddress) throws {
        for other in [address, address.isMappedV4 ? "127.0.0.2" : address] {
            let engine = try EngineUnderTest(LoopbackTests.restrictive)
            for number in UInt16(1)...3 {
                loop(.ip(from: address, to: other).echoRequest(id: 7, seq: number), engine)
                loop(.ip(from: other, to: address).echoReply(id: 7, seq: number), engine)
            }
            #expect(engine.events.isEmpty)
        }
    }

    @Test("An answer that nobody asked for does not")
    func unsolicited() throws {
        let engine = try EngineUnderTest("interfaces: { ignore: [] }")
        let answer = PacketBuilder.ipv4(from: .host, to: .host).echoReply(id: 7, seq: 1)
        #expect(engine.receives(answer, on: 1) == .drop(.unsolicitedICMP))
        #expect(engine.receives(.ipv4(from: .host, to: .host).echoRequest(id: 7, seq: 1), on: 1).isDrop)
        #expect(engine.receives(answer, on: 1) == .drop(.unsolicitedICMP))
    }

    @Test("Datagrams pass between two ports, and from one port to itself", arguments: own)
    func datagrams(_ address: IPAddress) throws {
        let engine = try EngineUnderTest(LoopbackTests.restrictive)
        for port in [UInt16(5_000), 5_001] {
            loop(.ip(from: address, to: address).udp(5_000, port).payload("a"), engine)
            loop(.ip(from: address, to: address).udp(port, 5_000).payload("a"), engine)
        }
        #expect(engine.events.isEmpty)
    }

    @Test("A connection passes, and one of a port to itself, whose SYNs cross", arguments: own)
    func connection(_ address: IPAddress) throws {
        let engine = try EngineUnderTest(LoopbackTests.restrictive)
        let packet = PacketBuilder.ip(from: address, to: address)
        loop(packet.tcp(40_000, 80, .syn, seq: 0), engine)
        loop(packet.tcp(80, 40_000, [.syn, .ack], seq: 0, ack: 1), engine)
        loop(packet.tcp(40_000, 80, .ack, seq: 1, ack: 1).payload("a"), engine)
        loop(packet.tcp(80, 40_000, .ack, seq: 1, ack: 2), engine)
        loop(packet.tcp(82, 82, .syn, seq: 0), engine)
        loop(packet.tcp(82, 82, [.syn, .ack], seq: 0, ack: 1), engine)
        loop(packet.tcp(82, 82, .ack, seq: 1, ack: 1).payload("a"), engine)
        engine.waits(.minutes(60))
        loop(packet.tcp(82, 82, .ack, seq: 2, ack: 2), engine)
        loop(packet.tcp(82, 82, [.fin, .ack], seq: 2, ack: 2), engine)
        loop(packet.tcp(82, 82, .ack, seq: 3, ack: 3), engine)
        #expect(engine.events.isEmpty)
        engine.waits(.minutes(1))
        #expect(engine.receives(packet.tcp(82, 82, .ack, seq: 3, ack: 3), on: 1) == .drop(.outOfAllowedPolicy))
        #expect(engine.receives(packet.tcp(83, 83, .syn, seq: 0), on: 1) == .drop(.outOfAllowedPolicy))
    }
}

extension Fate {
    fileprivate var isDrop: Bool {
        if case .drop = self { true } else { false }
    }
}
