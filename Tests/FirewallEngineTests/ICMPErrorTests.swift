// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import TestSupport
import Testing

@Suite("ICMP errors belong to the connection that they quote")
struct ICMPErrorTests {
    private static let router = PacketBuilder.ipv4(from: "203.0.113.1", to: .host)

    @Test("An error about a UDP, TCP or ICMP connection passes, from whatever address, quoting eight bytes or all")
    func related() throws {
        let engine = try EngineUnderTest()
        let talk = TCPTalk(engine, hostPort: 2_000, peerPort: 443)
        talk.open(by: .host)
        let packets = [
            PacketBuilder.fromHost.udp(5_000, 53).payload("abc"), .fromHost.echoRequest(id: 7, seq: 1),
            talk.segment(.host, [.psh, .ack], data: 100),
        ]
        for packet in packets {
            #expect(engine.sends(packet) == .pass)
            for quoted in [28, 60] {
                #expect(engine.receives(ICMPErrorTests.router.timeExceeded(quoting: packet, bytes: quoted)) == .pass)
                #expect(engine.receives(.toHost.unreachable(code: 1, quoting: packet, bytes: quoted)) == .pass)
            }
        }
        #expect(engine.events.isEmpty)
    }

    @Test("An error whose quoted sequence number was never sent does not")
    func implausible() throws {
        let engine = try EngineUnderTest("engine: { built-in-rules: { path-mtu: false } }")
        let talk = TCPTalk(engine, hostPort: 2_000, peerPort: 443)
        talk.open(by: .host)
        for shift in [1, 0x4000_0000, -0x4000_0000] {
            let forged = talk.segment(.host, by: shift)
            #expect(engine.receives(.toHost.packetTooBig(mtu: 576, quoting: forged)) == .drop(.unsolicitedICMP))
        }
        #expect(engine.receives(.toHost.packetTooBig(mtu: 1_280, quoting: talk.segment(.host))) == .pass)
    }

    @Test("An error about a connection that no worker has claimed yet passes, and claims nothing")
    func unclaimed() throws {
        let before = try EngineUnderTest()
        let talk = TCPTalk(before, hostPort: 2_000, peerPort: 443)
        talk.open(by: .host)
        let handedOver = UnclaimedConnections(
            capacity: 10, timeouts: Timeouts(), seed: (3, 4),
            shared: SharedLimits(tables: TableLimits(), computers: ComputerLimits(), seed: (1, 2)))
        let engine = try EngineUnderTest("engine: { built-in-rules: { path-mtu: false } }")
        engine.engine.unclaimed = handedOver
        let error = PacketBuilder.toHost.packetTooBig(mtu: 1_280, quoting: talk.segment(.host))
        #expect(engine.receives(error) == .drop(.unsolicitedICMP))
        #expect(handedOver.add(try before.onlyConnection(), at: before.clock.now))
        #expect(engine.receives(error) == .pass)
        let forged = talk.segment(.host, by: 0x4000_0000)
        #expect(engine.receives(.toHost.packetTooBig(mtu: 1_280, quoting: forged)) == .drop(.unsolicitedICMP))
        #expect(handedOver.census.total == 1 && engine.connections == 0)
    }

    @Test("An error about what the host never sent, or that quotes another sender, does not")
    func unrelated() throws {
        let engine = try EngineUnderTest()
        engine.sends(.fromHost.udp(5_000, 53))
        for quoted in [
            PacketBuilder.fromHost.udp(5_001, 53), .toHost.udp(53, 5_000),
            .ipv4(from: .other, to: .peer).udp(5_000, 53),
            .fromHost.udp(5_000, 53).payload(count: 600).fragment(304..<608),
        ] {
            #expect(engine.receives(.toHost.unreachable(code: 3, quoting: quoted)) == .drop(.unsolicitedICMP))
        }
        #expect(engine.receives(.toHost.icmp(3, code: 3)) == .drop(.unsolicitedICMP), "nothing quoted")
    }

    @Test("An error that quotes a first fragment of a connection passes")
    func firstFragment() throws {
        let engine = try EngineUnderTest()
        let whole = PacketBuilder.fromHost.udp(5_000, 53).payload(count: 3_000)
        engine.sends(whole)
        #expect(engine.receives(ICMPErrorTests.router.timeExceeded(quoting: whole.fragment(0..<1_480))) == .pass)
    }

    @Test("The built-in rule lets path MTU errors in, about what was sent; of others the next rule speaks")
    func pathMTU() throws {
        for (toHost, fromHost) in [(PacketBuilder.toHost, PacketBuilder.fromHost), (.toHost6, .fromHost6)] {
            let deny = "rules: [{ name: No, action: deny, priority: 4, direction: incoming, protocol: any }]"
            let error = toHost.packetTooBig(mtu: 1_280, quoting: fromHost.udp(5_000, 53))
            let engine = try EngineUnderTest(deny)
            #expect(engine.receives(error) == .drop(.deny))
            engine.sends(fromHost.udp(5_000, 53))
            #expect(engine.receives(error) == .pass)
            let number = fromHost.etherType == 0x0800 ? "icmp" : "icmpv6"
            let all = "rules: [{ name: All, action: force-allow, direction: incoming, protocol: \(number) }]"
            #expect(try EngineUnderTest(all).receives(error) == .pass)
            #expect(try EngineUnderTest("stateful: { icmp: { admit: allow } }").receives(error) == .pass)
            let without = try EngineUnderTest(deny + "\nengine: { built-in-rules: { path-mtu: false } }")
            without.sends(fromHost.udp(5_000, 53))
            #expect(without.receives(error) == .drop(.deny))
        }
    }

    @Test("Where another worker owns the connection, a path MTU error waits for its answer")
    func pathMTUOfOthers() throws {
        let engine = try EngineUnderTest(workers: 2)
        let error = PacketBuilder.toHost6.packetTooBig(mtu: 1_280, quoting: .fromHost6.udp(5_000, 53))
        #expect(engine.receives(error) == .ask)
        var metadata = PacketMetadata()
        metadata.inInterface = 2
        metadata.fullLength = UInt32(error.bytes.count)
        #expect(engine.inspect(error.bytes, metadata, relation: .related) == .pass)
        #expect(engine.inspect(error.bytes, metadata, relation: .unrelated) == .drop(.unsolicitedICMP))
    }

    @Test("A Packet Too Big of ICMPv6 may quote a later fragment, and no other error may")
    func laterFragments() throws {
        let whole = PacketBuilder.fromHost6.udp(5_000, 53).payload(count: 3_000).identification(1)
        let later = whole.fragment(1_232..<2_464)
        let engine = try EngineUnderTest()
        #expect(engine.receives(.toHost6.packetTooBig(mtu: 1_280, quoting: later)) == .pass)
        #expect(engine.receives(.toHost6.timeExceeded(quoting: later)) == .drop(.unsolicitedICMP))
        let deny = try EngineUnderTest(
            """
            rules: [{ name: No, action: deny, direction: outgoing, protocol: udp }]
            engine: { built-in-rules: { dhcp-dns: off } }
            """)
        #expect(deny.receives(.toHost6.packetTooBig(mtu: 1_280, quoting: later)) == .drop(.unsolicitedICMP))
    }

    @Test("A Packet Too Big of ICMPv6 passes a Deny of everything as that of ICMP does, and no other error does")
    func pathMTUAgainstDeny() throws {
        let deny = "rules: [{ name: No, action: deny, direction: incoming, protocol: any }]"
        let engine = try EngineUnderTest(deny)
        let packet = PacketBuilder.fromHost6.tcp(40_000, 443, .syn)
        engine.sends(packet)
        let error = PacketBuilder.toHost6.packetTooBig(mtu: 1_280, quoting: packet)
        #expect(engine.receives(error) == .pass)
        #expect(engine.receives(.toHost6.timeExceeded(quoting: packet)) == .drop(.deny))
        let without = try EngineUnderTest(deny + "\nengine: { built-in-rules: { path-mtu: false } }")
        #expect(without.receives(error) == .drop(.deny))
    }

    @Test("An error about a connection needs no Allow rule, and a Deny rule stops it")
    func rules() throws {
        let allow =
            "rules: [{ name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }]"
        let packet = PacketBuilder.fromHost.udp(5_000, 53)
        let error = PacketBuilder.toHost.unreachable(code: 3, quoting: packet)
        let engine = try EngineUnderTest(allow)
        engine.sends(packet)
        #expect(engine.receives(error) == .pass)
        #expect(
            engine.receives(.toHost.unreachable(code: 3, quoting: .fromHost.udp(5, 53))) == .drop(.outOfAllowedPolicy))
        let deny = try EngineUnderTest("rules: [{ name: No, action: deny, direction: incoming, protocol: icmp }]")
        deny.sends(packet)
        #expect(deny.receives(error) == .drop(.deny))
    }

    @Test("An error about bypassed packets passes, also by a Deny rule that ranks lower")
    func bypassed() throws {
        func policy(_ deny: Int) -> String {
            """
            rules:
              - { name: Backup, action: bypass, priority: 2, direction: outgoing, protocol: tcp, destination: { ports: 873 } }
              - { name: No, action: deny, priority: \(deny), direction: incoming }
            """
        }
        let error = PacketBuilder.toHost.unreachable(code: 3, quoting: .fromHost.tcp(2_000, 873, .ack, seq: 9))
        #expect(try EngineUnderTest(policy(2)).receives(error) == .pass)
        #expect(try EngineUnderTest(policy(3)).receives(error) == .drop(.deny))
        let other = PacketBuilder.toHost.unreachable(code: 3, quoting: .fromHost.tcp(2_000, 874, .ack, seq: 9))
        #expect(try EngineUnderTest(policy(2)).receives(other) == .drop(.deny))
    }

    @Test("Errors that the host sends pass; of those about an incoming connection, also where outgoing needs Allow")
    func outgoing() throws {
        let engine = try EngineUnderTest(
            """
            rules:
              - { name: DNS, action: force-allow, direction: incoming, protocol: udp, destination: { ports: 53 } }
              - { name: Web, action: allow, direction: outgoing, protocol: tcp, destination: { ports: 80 } }
            """)
        engine.receives(.toHost.udp(9, 53))
        #expect(engine.sends(.fromHost.unreachable(code: 3, quoting: .toHost.udp(9, 53))) == .pass)
        #expect(engine.sends(.fromHost.unreachable(code: 3, quoting: .toHost.udp(9, 54))) == .drop(.outOfAllowedPolicy))
        #expect(try EngineUnderTest().sends(.fromHost.unreachable(code: 3, quoting: .toHost.udp(9, 54))) == .pass)
    }

    @Test("Where another worker owns the connection it is asked, and only where its answer matters")
    func otherWorkers() throws {
        let policy = try EngineUnderTest.policy("", epoch: 1)
        let shared = EngineUnderTest.limits(of: policy)
        let owner = try EngineUnderTest(shared: shared, workers: 2)
        let asked = try EngineUnderTest(shared: shared, workers: 2)
        let packet = PacketBuilder.fromHost.udp(5_000, 53)
        owner.sends(packet)
        let error = ICMPErrorTests.router.timeExceeded(quoting: packet)
        #expect(owner.receives(error) == .pass)
        #expect(asked.receives(error) == .ask)
        var metadata = PacketMetadata()
        metadata.inInterface = 2
        metadata.fullLength = UInt32(error.bytes.count)
        let quoted = try #require(unsafe Engine.quotedPacket(error.bytes.span.bytes, metadata))
        let relation = owner.engine.relation(of: quoted, at: owner.clock.now)
        #expect(relation == .related)
        #expect(asked.inspect(error.bytes, metadata, relation: relation) == .pass)
        #expect(asked.inspect(error.bytes, metadata, relation: .unrelated) == .drop(.unsolicitedICMP))
        #expect(asked.engine.counters.hooks[0] == 1, "one packet, however often it is looked at")
        #expect(asked.receives(.toHost.unreachable(code: 3, quoting: .toHost.udp(1, 2))) == .drop(.unsolicitedICMP))
        #expect(asked.sends(.fromHost.unreachable(code: 3, quoting: .toHost.udp(1, 2))) == .pass)
    }

    @Test("During the cold start errors about TCP that the rules would have let out pass")
    func coldStart() throws {
        let error = PacketBuilder.toHost.unreachable(code: 1, quoting: .fromHost.tcp(2_000, 443, .ack, seq: 9))
        #expect(try EngineUnderTest(startsNow: true).receives(error) == .pass)
        #expect(try EngineUnderTest().receives(error) == .drop(.unsolicitedICMP))
    }
}
