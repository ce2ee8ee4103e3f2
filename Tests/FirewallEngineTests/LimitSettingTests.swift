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

    @Test(
        "Several workers share the limit: never more in all, and a flood at one takes nothing from the others",
        arguments: [(2, 8, 4), (3, 8, 2), (4, 3, 1)])
    func shared(_ workers: Int, _ limit: Int, _ share: Int) throws {
        let yaml = """
            rules: [{ name: DNS, action: force-allow, direction: incoming, protocol: udp, destination: { ports: 53 } }]
            engine: { limits: { fragmented-datagrams: \(limit) } }
            """
        let engines = try (0..<workers).map { _ in try EngineUnderTest(yaml, workers: workers) }
        let datagrams = (1...UInt32(limit + 1)).map {
            PacketBuilder.toHost.udp(5_000, 53).payload(count: 600).identification($0)
        }
        let quiet = engines.dropLast()
        for engine in quiet { #expect(engine.receives(datagrams[0].fragment(304..<608)) == .hold) }
        let flooded = try #require(engines.last)
        for datagram in datagrams { #expect(flooded.receives(datagram.fragment(304..<608)) == .hold) }
        #expect(flooded.released == [Fate](repeating: .drop(.incompleteDatagram), count: limit + 1 - share))
        for engine in quiet {
            #expect(engine.receives(datagrams[0].fragment(0..<304)) == .pass)
            #expect(engine.released == [.pass])
        }
    }
}
