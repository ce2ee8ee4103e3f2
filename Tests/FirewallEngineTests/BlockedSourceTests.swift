// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import PacketWire
import TestSupport
import Testing

@Suite("Blocked sources")
struct BlockedSourceTests {
    private static let bypass = """
        rules:
          - { name: All, action: bypass, priority: 4, direction: incoming, protocol: any }
          - { name: Out, action: bypass, priority: 4, direction: outgoing, protocol: any }
        """

    private func block(
        _ engine: EngineUnderTest, _ addresses: [BlockedAddress], for span: Instant.Span = .minutes(1),
        scanner: Bool = false
    ) {
        let until = engine.clock.now + span
        engine.engine.setBlockedSources(
            BlockedSources(
                addresses.map { SourceBlock($0, until: until, isOfScanner: scanner) }, seed: (5, 6)))
    }

    @Test("Everything from it is dropped, before every rule, until its time is over", arguments: ["", bypass])
    func everything(_ yaml: String) throws {
        let engine = try EngineUnderTest(yaml)
        let talk = TCPTalk(engine)
        talk.open()
        block(engine, [BlockedAddress(.peer, version: 4)])
        #expect(talk.send(.peer, data: 10) == .drop(.blockedSource))
        #expect(engine.receives(.toHost.syn(50_000, 80)) == .drop(.blockedSource))
        #expect(engine.receives(.toHost.udp(53, 53).payload(count: 4)) == .drop(.blockedSource))
        let large = PacketBuilder.toHost.udp(5_000, 53).payload(count: 600)
        #expect(engine.receives(large.fragment(304..<608)) == .drop(.blockedSource))
        #expect(engine.lastEvent?.cause == .administratorBlock)
        #expect(engine.lastEvent?.remedy.isEmpty == true)
        engine.clock.advance(by: .milliseconds(59_999))
        #expect(engine.receives(.toHost.syn(50_001, 80)) == .drop(.blockedSource))
        engine.clock.advance(by: .milliseconds(1))
        #expect(engine.receives(.toHost.syn(50_001, 80)) == .pass)
    }

    @Test("Others are not, nor what goes to it, nor an address of this host's own, nor the other family's")
    func others() throws {
        let engine = try EngineUnderTest()
        block(
            engine,
            [BlockedAddress(.peer, version: 4), BlockedAddress(.host, version: 4), BlockedAddress(.peer6, version: 6)])
        #expect(engine.receives(.ipv4(from: .other, to: .host).syn(50_000, 80)) == .pass)
        #expect(engine.sends(.fromHost.syn(50_000, 80)) == .pass)
        #expect(engine.receives(.toHost6.syn(50_000, 80)) == .drop(.blockedSource))
        block(engine, [BlockedAddress(.peer, version: 6)], scanner: true)
        #expect(engine.receives(.toHost.syn(50_002, 80)) == .pass)
    }

    @Test("It holds over a reload, and for as many as there is room for")
    func many() throws {
        let engine = try EngineUnderTest()
        let all = (0..<UInt32(BlockedSources.capacity + 1)).map {
            BlockedAddress(IPAddress(v4: 0x0a00_0000 + $0), version: 4)
        }
        block(engine, all)
        try engine.reloads("mode: inline")
        for (index, blocked) in all.enumerated() where index % 256 == 0 || index == BlockedSources.capacity - 1 {
            let fate = engine.receives(.ipv4(from: blocked.address, to: .host).syn(50_000, 80))
            #expect(fate == (index < BlockedSources.capacity ? .drop(.blockedSource) : .pass))
        }
        engine.engine.setBlockedSources(BlockedSources())
        #expect(engine.receives(.ipv4(from: all[0].address, to: .host).syn(50_000, 80)) == .pass)
    }

    @Test("Tap mode drops nothing and says what it would have")
    func tap() throws {
        let engine = try EngineUnderTest("mode: tap")
        block(engine, [BlockedAddress(.peer, version: 4)])
        #expect(engine.receives(.toHost.syn(50_000, 80)) == .passReporting(.blockedSource))
    }

    @Test("A flow that passes in the kernel comes back to be dropped")
    func fastPath() throws {
        let engine = try EngineUnderTest()
        let talk = TCPTalk(engine)
        talk.open()
        let generation = try engine.onlyConnection().generation
        block(engine, [BlockedAddress(.peer, version: 4)])
        engine.sends(.fromHost.syn(50_000, 80))
        var list: [Connection] = []
        _ = engine.engine.connections(from: 0, atMost: 8, into: &list)
        #expect(list.contains { $0.generation > generation })
    }
}
