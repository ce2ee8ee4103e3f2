// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import TestSupport
import Testing

@Suite("What an attacker tries is stopped, and disturbs nobody")
struct AttackTests {
    private static let web = """
        rules:
          - { name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }
        """

    @Test("Blind segments outside the windows: RST, data, FIN, ACK of nothing")
    func blind() throws {
        let engine = try EngineUnderTest(AttackTests.web)
        let talk = TCPTalk(engine)
        talk.open()
        talk.exchange()
        for shift in [0x4000_0000, -0x4000_0000, 0x2000_0000] {
            for flags: TCPFlags in [.rst, [.rst, .ack], .ack, [.fin, .ack], [.psh, .ack]] {
                let forged = talk.segment(.peer, flags, data: flags.contains(.psh) ? 10 : 0, by: shift)
                #expect(talk.deliver(forged, from: .peer) != .pass)
            }
        }
        #expect(
            talk.deliver(talk.segment(.peer, data: 10, acknowledging: 0x1000_0000), from: .peer) == .drop(.invalidACK))
        talk.exchange()
        talk.close()
    }

    @Test("A RST or SYN somewhere in the window ends nothing")
    func inWindow() throws {
        let engine = try EngineUnderTest(AttackTests.web)
        let talk = TCPTalk(engine)
        talk.open()
        for shift in stride(from: 10, to: 60_000, by: 9_999) {
            talk.deliver(talk.segment(.peer, .rst, by: shift), from: .peer)
            talk.deliver(talk.segment(.peer, .syn, by: shift), from: .peer)
            talk.deliver(talk.segment(.peer, [.syn, .ack], by: shift), from: .peer)
        }
        talk.exchange()
        #expect(try engine.onlyConnection().tcp.phase == .established)
    }

    @Test("Flags that later fragments or a second first fragment would change")
    func hiddenFlags() throws {
        let engine = try EngineUnderTest("engine: { sanity: { minimum-fragment-size: 0, minimum-fragment-offset: 0 } }")
        let segment = PacketBuilder.toHost.tcp(1, 80, .syn).payload(count: 100)
        #expect(engine.receives(segment.fragment(0..<8)) == .drop(.unreadableProtocolHeader))
        #expect(engine.receives(segment.fragment(8..<120)) == .drop(.unreadableProtocolHeader))
        let ack = PacketBuilder.toHost.tcp(1, 80, .rst).payload(count: 100).identification(2)
        #expect(engine.receives(ack.fragment(0..<24)) == .pass)
        #expect(engine.receives(segment.identification(2).fragment(8..<32)) == .drop(.overlappingFragment))
    }

    @Test("Extension headers and authentication headers hide no port")
    func extensionHeaders() throws {
        let engine = try EngineUnderTest(
            "rules: [{ name: No telnet, action: deny, direction: incoming, protocol: tcp, destination: { ports: 23 } }]"
        )
        let telnet = PacketBuilder.toHost6.syn(1, 23)
        for packet in [
            telnet.hopByHop().destinationOptions(), telnet.authentication(),
            telnet.destinationOptions().authentication(),
            telnet.routing(type: 4, segmentsLeft: 0, addresses: ["fd00::3"]),
            telnet.fragmentFields(offset: 0, more: false),
        ] {
            #expect(engine.receives(packet) == .drop(.deny))
        }
    }

    @Test("Mapped addresses in IPv6 packets reach no IPv4 connection")
    func mapped() throws {
        let engine = try EngineUnderTest("engine: { sanity: { ipv6: { bogon: allow, reserved: allow } } }")
        engine.sends(.fromHost.udp(5_000, 53))
        #expect(engine.receives(.ipv6(from: .peer, to: .host).udp(53, 5_000)) == .drop(.unsolicitedUDP))
    }

    @Test("A SYN flood from forged addresses costs no established connection and no bound")
    func synFlood() throws {
        let engine = try EngineUnderTest(AttackTests.web + "\nengine: { limits: { tcp: 100 } }")
        let talk = TCPTalk(engine)
        talk.open()
        for n in UInt32(0)..<2_000 {
            engine.receives(.ipv4(from: IPAddress(v4: 0xcb00_0000 &+ n), to: .host).syn(1, 80))
        }
        #expect(engine.connections <= 100)
        talk.exchange()
        let other = TCPTalk(engine, peerPort: 50_000)
        other.open()
        other.exchange()
    }

    @Test("ACKs from forged addresses in the cold start fill no table for longer than a handshake may take")
    func coldStartFlood() throws {
        let engine = try EngineUnderTest(AttackTests.web + "\nengine: { limits: { tcp: 100 } }", startsNow: true)
        for n in UInt32(0)..<500 {
            engine.receives(.ipv4(from: IPAddress(v4: 0xcb00_0000 &+ n), to: .host).tcp(1, 80, .ack, seq: n, ack: n))
        }
        #expect(engine.connections <= 100)
        let talk = TCPTalk(engine)
        talk.open()
        talk.exchange()
        #expect(engine.events(of: .maxTCPConnections) == 0)
        engine.waits(.seconds(61))
        talk.exchange()
    }

    @Test("In the cold start, segments that no connection sends are not taken for one's")
    func coldStartScan() throws {
        for flags in [.psh, .urg, .psh | .urg] as [TCPFlags] {
            let engine = try EngineUnderTest(AttackTests.web, startsNow: true)
            let scan = PacketBuilder.toHost.tcp(1, 80, flags, seq: 1, ack: 0)
            #expect(engine.receives(scan) == .drop(.invalidFlags))
            #expect(engine.receives(PacketBuilder.toHost.tcp(2, 80, flags | .ack, seq: 1, ack: 1)) == .pass)
            #expect(engine.receives(PacketBuilder.toHost.tcp(3, 80, .rst, seq: 1, ack: 0)) == .pass)
        }
    }

    @Test("SYNs on what is over do not evade the limit per computer")
    func limitEvasion() throws {
        let engine = try EngineUnderTest("stateful: { tcp: { limits: { incoming-per-computer: 2 } } }")
        for port in UInt16(1)...2 {
            let talk = TCPTalk(engine, peerPort: port)
            talk.open()
            talk.close()
        }
        for port in UInt16(11)...12 { TCPTalk(engine, peerPort: port).open() }
        #expect(engine.receives(.toHost.syn(1, 80, seq: 900_000)) == .drop(.maxIncomingConnections))
        #expect(engine.receives(.toHost.syn(2, 80, seq: 900_000)) == .drop(.maxIncomingConnections))
    }

    @Test("A SYN on what is over that its flags refuse counts for nothing")
    func refusedReopening() throws {
        let engine = try EngineUnderTest("stateful: { tcp: { limits: { half-open-per-computer: 1 } } }")
        let talk = TCPTalk(engine)
        talk.open()
        talk.close()
        let data = talk.segment(.peer, .syn, data: 5, by: 900_000)
        #expect(talk.deliver(data, from: .peer) == .drop(.invalidFlags))
        #expect(engine.receives(.toHost.syn(2, 80)) == .pass)
    }

    @Test("A peer that the host asked one thing may not ask another")
    func reflection() throws {
        let engine = try EngineUnderTest()
        engine.sends(.fromHost.udp(5_000, 53))
        for (source, destination) in [(UInt16(53), UInt16(5_001)), (54, 5_000), (5_000, 53)] {
            #expect(engine.receives(.toHost.udp(source, destination)) == .drop(.unsolicitedUDP))
        }
        #expect(engine.receives(.ipv4(from: .other, to: .host).udp(53, 5_000)) == .drop(.unsolicitedUDP))
    }
}
