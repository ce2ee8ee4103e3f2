// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import TestSupport
import Testing

@Suite("What may be left to the kernel")
struct OffloadTests {
    private static let policy = """
        rules:
          - { name: Bulk, action: bypass, priority: 2, direction: incoming, protocol: tcp, destination: { ports: 80 }, offload: true }
          - { name: Web, action: bypass, priority: 1, direction: incoming, protocol: tcp, destination: { ports: [80, 81] } }
          - { name: Bulk out, action: bypass, direction: outgoing, source: { addresses: 192.0.2.10 }, offload: true }
        """

    @Test("Every packet that a Bypass rule with offload lets pass, in its direction")
    func bypassed() throws {
        let engine = try EngineUnderTest(OffloadTests.policy)
        #expect(engine.receives(.toHost.syn(3_000, 80)) == .pass)
        #expect(engine.lastDecision.offloads == .incoming)
        #expect(engine.sends(.fromHost.syn(3_000, 80)) == .pass)
        #expect(engine.lastDecision.offloads == .outgoing)
    }

    @Test("Not what another rule lets pass, nor a refused packet")
    func others() throws {
        let engine = try EngineUnderTest(OffloadTests.policy)
        #expect(engine.receives(.toHost.syn(3_000, 81)) == .pass)
        #expect(engine.lastDecision.offloads == nil)
        #expect(engine.receives(.toHost.syn(3_000, 82)) == .pass)
        #expect(engine.lastDecision.offloads == nil)
        #expect(engine.receives(.toHost.udp(53, 5_000).payload("abc")) == .drop(.unsolicitedUDP))
        #expect(engine.lastDecision.offloads == nil)
    }

    @Test("Not an ICMP error, which the kernel counts to the connection that it quotes")
    func errors() throws {
        let engine = try EngineUnderTest(OffloadTests.policy)
        let refused = PacketBuilder.toHost.udp(9_000, 33_434).payload("abc")
        #expect(engine.sends(.fromHost.unreachable(code: 3, quoting: refused, bytes: 28)) == .pass)
        #expect(engine.lastDecision.offloads == nil)
        #expect(engine.sends(.fromHost.echoRequest(id: 7, seq: 1)) == .pass)
        #expect(engine.lastDecision.offloads == .outgoing)
    }
}
