// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import TestSupport
import Testing

@Suite("Fragments follow their datagram's first one")
struct FragmentTests {
    private static let dns = """
        rules:
          - { name: DNS, action: force-allow, direction: incoming, protocol: udp, destination: { ports: 53 } }
          - { name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }
          - { name: Foe, action: deny, priority: 4, direction: incoming, source: { addresses: 203.0.113.99 } }
        """
    private static let query = PacketBuilder.toHost.udp(9, 53).payload(count: 900)

    @Test("In order: all pass or none does")
    func inOrder() throws {
        let engine = try EngineUnderTest(FragmentTests.dns)
        for piece in FragmentTests.query.fragmented(at: 304) { #expect(engine.receives(piece) == .pass) }
        for piece in PacketBuilder.toHost.udp(9, 54).payload(count: 900).identification(2).fragmented(at: 304) {
            #expect(engine.receives(piece) == .drop(.outOfAllowedPolicy))
        }
    }

    @Test(
        "Those before the first one wait for it",
        arguments: [(UInt16(53), Fate.pass), (54, .drop(.outOfAllowedPolicy))])
    func reordered(_ port: UInt16, _ fate: Fate) throws {
        let engine = try EngineUnderTest(FragmentTests.dns)
        let pieces = PacketBuilder.toHost.udp(9, port).payload(count: 900).fragmented(at: 304)
        for piece in pieces.dropFirst().reversed() {
            let first = engine.receives(piece)
            #expect(first == .hold || first == fate)
        }
        #expect(engine.receives(pieces[0]) == fate)
        #expect(engine.released.allSatisfy { $0 == fate })
        #expect(engine.engine.heldCount == 0)
    }

    @Test("What needs an Allow rule may be an answer, and is held")
    func answers() throws {
        let engine = try EngineUnderTest(FragmentTests.dns)
        engine.sends(.fromHost.udp(5_000, 53))
        let pieces = PacketBuilder.toHost.udp(53, 5_000).payload(count: 600).fragmented(at: 304)
        #expect(engine.receives(pieces[1]) == .hold)
        #expect(engine.receives(pieces[0]) == .pass)
        #expect(engine.released.first == .pass)
        #expect(engine.events.isEmpty)
    }

    @Test("A Deny rule that looks at addresses alone settles at once")
    func settledByAddress() throws {
        // A built-in rule of the same priority would look at the ports first.
        let engine = try EngineUnderTest(FragmentTests.dns + "\nengine: { built-in-rules: { dhcp-dns: off } }")
        let piece = PacketBuilder.ipv4(from: .other, to: .host).udp(9, 53).payload(count: 600).fragment(304..<608)
        #expect(engine.receives(piece) == .drop(.deny))
        #expect(engine.rule(of: engine.lastEvent) == "Foe")
    }

    @Test("No more than 64 wait: the oldest gives way as incomplete, and the newest can still pass")
    func tooMany() throws {
        let engine = try EngineUnderTest(FragmentTests.dns)
        for id in UInt32(1)...65 {
            #expect(engine.receives(FragmentTests.query.identification(id).fragment(304..<608)) == .hold)
        }
        #expect(engine.released == [.drop(.incompleteDatagram)])
        #expect(engine.receives(FragmentTests.query.identification(65).fragment(0..<304)) == .pass)
        #expect(engine.released.last == .pass)
        engine.waits(.seconds(1))
        #expect(engine.released.count == 65)
        #expect(engine.released.count { $0 == .drop(.incompleteDatagram) } == 64)
    }

    @Test("An IPv6 fragment whose header names an extension header waits, for anything may stand behind it")
    func extensionHeaders() throws {
        let engine = try EngineUnderTest()
        let whole = PacketBuilder.toHost6.destinationOptions().tcp(1, 80, .ack).payload(count: 3_000)
        let pieces = whole.fragmented(at: 1_232)
        #expect(engine.receives(pieces[1]) == .hold)
        #expect(engine.receives(pieces[0]) == .drop(.outOfConnection))
        #expect(engine.released == [.drop(.outOfConnection)])
    }

    @Test("A fragmented TCP segment and the acknowledgement of the whole pass")
    func segments() throws {
        let engine = try EngineUnderTest()
        let talk = TCPTalk(engine)
        talk.open()
        let segment = talk.segment(.peer, [.psh, .ack], data: 3_000)
        for piece in segment.fragmented(at: 1_000) { #expect(engine.receives(piece) == .pass) }
        talk.peer.next &+= 3_000
        talk.host.expected = talk.peer.next
        #expect(talk.send(.host) == .pass)
        #expect(engine.receives(segment.identification(2)) == .pass, "sent again, whole")
        talk.exchange()
        talk.close()
        #expect(engine.events.isEmpty)
    }

    @Test("A fragmented FIN can be sent again whole, and its acknowledgement closes")
    func fragmentedFIN() throws {
        let engine = try EngineUnderTest()
        let talk = TCPTalk(engine)
        talk.open()
        let segment = talk.segment(.peer, [.fin, .ack], data: 3_000)
        for piece in segment.fragmented(at: 1_000) { #expect(engine.receives(piece) == .pass) }
        #expect(engine.receives(segment.identification(2)) == .pass)
        talk.peer.next &+= 3_001
        talk.host.expected = talk.peer.next
        #expect(talk.send(.host) == .pass)
        #expect(talk.send(.host, [.fin, .ack]) == .pass)
        #expect(talk.send(.peer) == .pass)
    }

    @Test("Where the copy range cuts fragments off, none is refused for bytes that nobody saw")
    func cutCopies() throws {
        let engine = try EngineUnderTest(FragmentTests.dns)
        let other = FragmentTests.query.payload((0..<900).map { UInt8($0 % 7) })
        #expect(engine.receives(FragmentTests.query.fragment(0..<304)) == .pass)
        #expect(engine.receives(FragmentTests.query.fragment(304..<608), cutTo: 128) == .pass)
        #expect(engine.receives(FragmentTests.query.fragment(304..<608)) == .pass)
        #expect(engine.receives(FragmentTests.query.fragment(304..<608), cutTo: 128) == .pass)
        #expect(engine.receives(other.fragment(304..<608), cutTo: 128) == .pass)
        #expect(engine.events.isEmpty)
    }

    @Test("A second first fragment cannot change the ports that passed")
    func secondFirst() throws {
        let engine = try EngineUnderTest(FragmentTests.dns)
        #expect(engine.receives(FragmentTests.query.fragment(0..<304)) == .pass)
        let forged = PacketBuilder.toHost.udp(9, 22).payload(count: 900)
        #expect(engine.receives(FragmentTests.query.timeToLive(9).fragment(0..<304)) == .pass)
        #expect(engine.receives(forged.fragment(0..<304)) == .drop(.overlappingFragment))
        #expect(engine.receives(forged.fragment(0..<312)) == .drop(.overlappingFragment))
        #expect(engine.receives(FragmentTests.query.fragment(304..<608)) == .drop(.overlappingFragment))
    }
}
