// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import TestSupport
import Testing

@Suite("Directions, interfaces, and what is none of the engine's business")
struct DirectionTests {
    private static let router = """
        interfaces: { inside: [eth1, eth2] }
        rules:
          - { name: In, action: deny, direction: incoming, protocol: gre }
          - { name: Out, action: deny, direction: outgoing, protocol: esp }
        """
    private static let gre = PacketBuilder.toHost.upperLayer(47).payload("a")
    private static let esp = PacketBuilder.toHost.upperLayer(50).payload("a")

    @Test("Forwarded traffic is outgoing when it enters through an inside interface, also from inside to inside")
    func forwarding() throws {
        let engine = try EngineUnderTest(DirectionTests.router)
        #expect(engine.forwards(DirectionTests.gre, from: 2, to: 3) == .drop(.deny))
        #expect(engine.forwards(DirectionTests.gre, from: 3, to: 2) == .pass)
        #expect(engine.forwards(DirectionTests.esp, from: 3, to: 2) == .drop(.deny))
        #expect(engine.forwards(DirectionTests.esp, from: 3, to: 4) == .drop(.deny))
        #expect(engine.forwards(DirectionTests.esp, from: 2, to: 2) == .pass)
    }

    @Test("Without inside interfaces forwarded traffic passes untouched")
    func withoutInside() throws {
        let engine = try EngineUnderTest("rules: [{ name: In, action: deny, direction: incoming }]")
        #expect(engine.forwards(.toHost.udp(1, 2).version(5), from: 2, to: 3) == .pass)
        #expect(engine.engine.counters.untouched == 1)
    }

    @Test("A forwarded packet is ignored only if both its interfaces are")
    func ignored() throws {
        let engine = try EngineUnderTest(
            "interfaces: { ignore: [eth1, eth2], inside: [eth0] }\nrules: [{ name: In, action: deny, direction: incoming }]"
        )
        #expect(engine.forwards(DirectionTests.gre, from: 3, to: 4) == .pass)
        #expect(engine.forwards(DirectionTests.gre, from: 3, to: 2) == .drop(.deny))
        #expect(engine.receives(DirectionTests.gre, on: 3) == .pass)
        #expect(engine.receives(DirectionTests.gre) == .drop(.deny))
    }

    @Test("Each hook has its direction")
    func hooks() throws {
        let engine = try EngineUnderTest(DirectionTests.router)
        for hook in [Hook.prerouting, .input] {
            #expect(engine.receives(DirectionTests.gre, hook: hook) == .drop(.deny))
        }
        for hook in [Hook.output, .postrouting] {
            #expect(engine.sends(DirectionTests.esp, hook: hook) == .drop(.deny))
        }
    }

    @Test("Both directions of a forwarded connection are known, also between two inside interfaces")
    func forwardedConnection() throws {
        let engine = try EngineUnderTest(
            """
            interfaces: { inside: [eth1, eth2] }
            rules:
              - { name: Out, action: allow, direction: outgoing, protocol: tcp, destination: { ports: 80 } }
              - { name: Nothing in, action: allow, direction: incoming, protocol: tcp, destination: { ports: 22 } }
            """)
        for exit in [UInt32(2), 4] {
            let there = PacketBuilder.ipv4(from: "10.0.0.1", to: .peer)
            let back = PacketBuilder.ipv4(from: .peer, to: "10.0.0.1")
            let port = UInt16(1_000 + exit)
            #expect(engine.forwards(there.syn(port, 80), from: 3, to: exit) == .pass)
            #expect(engine.forwards(back.tcp(80, port, [.syn, .ack], seq: 5, ack: 1_001), from: exit, to: 3) == .pass)
            #expect(engine.forwards(there.tcp(port, 80, .ack, seq: 1_001, ack: 6), from: 3, to: exit) == .pass)
        }
    }

    @Test("A spoofed packet that comes in where the real ones leave is judged by the incoming rules")
    func spoofed() throws {
        let engine = try EngineUnderTest(
            """
            interfaces: { inside: [eth1] }
            rules: [{ name: Spoofed, action: deny, direction: incoming, source: { addresses: 10.0.0.0/8 } }]
            """)
        let packet = PacketBuilder.ipv4(from: "10.0.0.1", to: .peer).udp(1, 53)
        #expect(engine.forwards(packet, from: 3, to: 2) == .pass)
        #expect(engine.forwards(packet, from: 3, to: 2) == .pass)
        #expect(engine.forwards(packet, from: 2, to: 2) == .drop(.deny))
        #expect(engine.forwards(packet, from: 3, to: 2) == .pass)
    }

    @Test("The host's own group packets pass when they come back; those of others do not")
    func ownGroupPackets() throws {
        let engine = try EngineUnderTest()
        for destination: IPAddress in ["224.0.0.251", "255.255.255.255", "192.0.2.255"] {
            engine.sends(.ipv4(from: .host, to: destination).udp(5_353, 5_353))
            #expect(engine.receives(.ipv4(from: .host, to: destination).udp(5_353, 5_353)) == .pass)
            #expect(engine.receives(.ipv4(from: .peer, to: destination).udp(5_353, 5_353)) == .drop(.unsolicitedUDP))
        }
        engine.sends(.ipv6(from: .host6, to: "ff02::fb").udp(5_353, 5_353))
        #expect(engine.receives(.ipv6(from: .host6, to: "ff02::fb").udp(5_353, 5_353)) == .pass)
        #expect(engine.receives(.ipv6(from: .peer6, to: "ff02::fb").udp(5_353, 5_353)) == .drop(.unsolicitedUDP))
    }

    @Test("A group packet from outside is not the host's own, whatever its source says: link header or checksum tell")
    func forgedOwnGroupPackets() throws {
        let engine = try EngineUnderTest()
        for packet in [
            PacketBuilder.ipv4(from: .host, to: "224.0.0.251").udp(5_353, 5_353),
            PacketBuilder.ipv6(from: .host6, to: "ff02::fb").udp(5_353, 5_353),
        ] {
            let fate = engine.receives(packet) { $0.sourceMAC = MACAddress(bits: 0x5254_00aa_0001) }
            #expect(fate == .drop(.unsolicitedUDP))
            #expect(engine.receives(packet) { $0.checksumNotVerified = true } == .drop(.unsolicitedUDP))
            #expect(engine.sends(packet) == .pass)
            #expect(engine.receives(packet) == .pass)
            let again = engine.receives(packet) { $0.sourceMAC = MACAddress(bits: 0x5254_00aa_0001) }
            #expect(again == .drop(.unsolicitedUDP), "also while the host itself speaks to the group from this port")
        }
    }

    @Test("A long one of IPv6 comes back in fragments, each once")
    func ownFragments() throws {
        let engine = try EngineUnderTest()
        let own = PacketBuilder.ipv6(from: .host6, to: "ff02::fb").udp(5_353, 5_353).payload(count: 3_000)
        let parts = own.identification(7).fragmented(at: 1_232)
        #expect(engine.receives(parts[0]) == .drop(.unsolicitedUDP))
        for number in UInt32(8)...9 {
            #expect(engine.sends(own) == .pass)
            for part in own.identification(number).fragmented(at: 1_232) { #expect(engine.receives(part) == .pass) }
        }
        #expect(engine.receives(own.identification(10).fragmented(at: 1_232)[0]) == .drop(.unsolicitedUDP))
        #expect(engine.receives(own.identification(9).fragmented(at: 1_232)[1]) != .pass)
    }

    @Test("What was refused on its way out is nobody's own, and what passed unseen may be")
    func ownGroupPacketsUnsent() throws {
        let own = PacketBuilder.ipv4(from: .host, to: "224.0.0.251").udp(5_353, 5_353)
        let engine = try EngineUnderTest("rules: [{ name: No, action: deny, direction: outgoing, protocol: udp }]")
        #expect(engine.sends(own) == .drop(.deny))
        #expect(engine.receives(own) == .drop(.unsolicitedUDP))
        engine.engine.notePassedUnseen(at: engine.clock.now)
        #expect(engine.receives(own) == .pass)
        engine.waits(.seconds(11))
        #expect(engine.receives(own) == .drop(.unsolicitedUDP))
    }

    @Test("Many at a time come back, and more than are remembered do no harm but to themselves")
    func ownGroupFlood() throws {
        let engine = try EngineUnderTest(
            "rules: [{ name: All, action: bypass, priority: 4, direction: outgoing, protocol: udp }]")
        let own = (UInt16(0)..<2_000).map {
            PacketBuilder.ipv4(from: .host, to: "224.0.0.251").udp($0, 5_353).payload(count: 30)
        }
        for packet in own { engine.sends(packet) }
        var passed = 0
        for packet in own where engine.receives(packet) == .pass { passed += 1 }
        #expect(passed > 1_950)
    }

    @Test("VLAN and ARP frames: tags are looked through, ARP is judged by rules that name it")
    func frames() throws {
        let engine = try EngineUnderTest(
            """
            rules:
              - { name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }
              - { name: ARP, action: allow, direction: incoming, frame: arp }
            """)
        #expect(engine.receives(.toHost.syn(1, 80).vlan(7).vlan(8)) == .pass)
        #expect(engine.receives(.toHost.syn(1, 81).vlan(7)) == .drop(.outOfAllowedPolicy))
        #expect(engine.lastEvent?.headers.vlan == 7)
        #expect(engine.receives(.arpRequest(for: .host, from: .peer).ethernet()) == .pass)
        #expect(engine.receives(.raw(etherType: 0x88cc, [1, 2, 3]).ethernet()) == .drop(.outOfAllowedPolicy))
        #expect(try EngineUnderTest().receives(.raw(etherType: 0x88cc, [1, 2, 3]).ethernet()) == .pass)
    }

    @Test("A segment that the kernel put together is one packet, whatever its length field says")
    func segmentationOffload() throws {
        let engine = try EngineUnderTest("engine: { sanity: { verify-tcp-checksum: true } }")
        let talk = TCPTalk(engine)
        talk.open()
        let packet = talk.segment(.host, [.psh, .ack], data: 40_000).totalLength(0).transportChecksum(0)
        let fate = engine.sends(packet) {
            $0.isSegmentationOffload = true
            $0.checksumNotReady = true
        }
        #expect(fate == .pass)
        talk.host.next &+= 40_000
        talk.peer.expected = talk.host.next
        #expect(talk.send(.peer) == .pass)
        #expect(engine.sends(packet) == .drop(.unreadableIPv4Header), "without the kernel's word the length is wrong")
    }
}
