// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import PacketWire
import TestSupport
import Testing

@Suite("engine.limits.fragmented-datagrams")
struct LimitSettingTests {
    @Test("One datagram more than the limit makes the oldest give way", arguments: [(2, 1), (3, 0)])
    func fragmentedDatagrams(_ limit: Int, _ givingWay: Int) throws {
        let engine = try EngineUnderTest(
            """
            rules: [{ name: DNS, action: force-allow, direction: incoming, protocol: udp, destination: { ports: 53 } }]
            engine: { limits: { fragmented-datagrams: \(limit) } }
            """)
        let datagrams = (1...3).map {
            PacketBuilder.toHost.udp(5_000, 53).payload(count: 600).identification(UInt32($0))
        }
        for datagram in datagrams { #expect(engine.receives(datagram.fragment(304..<608)) == .hold) }
        #expect(engine.released == [Fate](repeating: .drop(.incompleteDatagram), count: givingWay))
        for datagram in datagrams.dropFirst(givingWay) { #expect(engine.receives(datagram.fragment(0..<304)) == .pass) }
        #expect(engine.released.dropFirst(givingWay).allSatisfy { $0 == .pass })
        #expect(engine.events(of: .incompleteDatagram) == givingWay)
    }
}
