// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import PacketWire
import TestSupport
import Testing

@Suite("The fast path in the kernel, of a router's flows", .loadsPrograms)
struct FastPathForwardedTests {
    private static let router = "interfaces: {inside: [eth0]}\n"
    private static let allow = """
        interfaces: {inside: [eth0]}
        rules: [{name: web, action: allow, direction: outgoing, protocol: tcp, destination: {ports: [80]}}]

        """
    private static let inside: UInt32 = 2, outside: UInt32 = 3
    private let client: IPAddress = "10.0.0.5"

    private func out(_ flags: TCPFlags, seq: UInt32, ack: UInt32, _ payload: String = "") -> PacketBuilder {
        .ip(from: client, to: .peer).tcp(4000, 80, flags, seq: seq, ack: ack, window: 60_000).payload(payload)
    }

    private func back(_ flags: TCPFlags, seq: UInt32, ack: UInt32, _ payload: String = "") -> PacketBuilder {
        .ip(from: .peer, to: client).tcp(80, 4000, flags, seq: seq, ack: ack, window: 60_000).payload(payload)
    }

    /// Whether a packet that has to pass was not seen by the engine.
    private func passesInKernel(
        _ engine: EngineUnderTest, _ packet: PacketBuilder, from entry: UInt32, to exit: UInt32,
        at location: SourceLocation = #_sourceLocation
    ) -> Bool {
        let judged = engine.engine.counters.inspected
        #expect(engine.forwards(packet, from: entry, to: exit) == .pass, sourceLocation: location)
        return engine.engine.counters.inspected == judged
    }

    private func open(_ engine: EngineUnderTest) {
        engine.forwards(out(.syn, seq: 1_000, ack: 0), from: Self.inside, to: Self.outside)
        engine.forwards(back([.syn, .ack], seq: 5_000, ack: 1_001), from: Self.outside, to: Self.inside)
        engine.forwards(out(.ack, seq: 1_001, ack: 5_001), from: Self.inside, to: Self.outside)
        engine.forwards(out([.ack, .psh], seq: 1_001, ack: 5_001, "GET"), from: Self.inside, to: Self.outside)
        engine.forwards(back(.ack, seq: 5_001, ack: 1_004), from: Self.outside, to: Self.inside)
    }

    @Test("passes plain segments both ways, each by its own interface, inside the windows")
    func both() throws {
        let engine = try EngineUnderTest.withProgram(Self.allow)
        open(engine)
        for step in 0..<5 as Range<UInt32> {
            let data = back(.ack, seq: 5_001 + 4 * step, ack: 1_004, "data")
            #expect(passesInKernel(engine, data, from: Self.outside, to: Self.inside))
            let confirmed = out(.ack, seq: 1_004, ack: 5_005 + 4 * step)
            #expect(passesInKernel(engine, confirmed, from: Self.inside, to: Self.outside))
        }
        #expect(engine.events.isEmpty)
        let far = back(.ack, seq: 5_001 + 1 << 30, ack: 1_004, "data")
        #expect(engine.forwards(far, from: Self.outside, to: Self.inside) == .drop(.invalidSequence))
        // What claims to be the client's and comes from outside is the engine's.
        let judged = engine.engine.counters.inspected
        engine.forwards(out(.ack, seq: 1_004, ack: 5_021), from: Self.outside, to: Self.inside)
        #expect(engine.engine.counters.inspected == judged + 1)
    }

    @Test("leaves a direction to the queue whose rules look at the interface by which its packets leave")
    func outgoingInterface() throws {
        let engine = try EngineUnderTest.withProgram(
            Self.router + """
                rules:
                  - {name: web, action: allow, direction: outgoing, interfaces: [eth1], protocol: tcp, destination: {ports: [80]}}

                """)
        open(engine)
        #expect(!passesInKernel(engine, out(.ack, seq: 1_004, ack: 5_001), from: Self.inside, to: Self.outside))
        #expect(passesInKernel(engine, back(.ack, seq: 5_001, ack: 1_004, "d"), from: Self.outside, to: Self.inside))
    }
}
