// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import TestSupport
import Testing

@Suite("Rules for senders are about who of this host opens a connection")
struct SenderTests {
    private static let web: UInt32 = 33
    private static let other: UInt32 = 1_000
    /// The first that a policy's units get.
    private static let unitBit: UInt32 = 0x1000_0000

    private static let onlyWeb = """
        rules:
          - { name: Web, action: allow, direction: outgoing, sender: { users: 33 } }
          - { name: In, action: allow, direction: incoming, protocol: tcp, destination: { ports: 22 } }
        """
    private static let notWeb = "rules: [{ name: No, action: deny, direction: outgoing, sender: { users: 33 } }]"

    private static func by(_ user: UInt32, mark: UInt32 = 0) -> (inout PacketMetadata) -> Void {
        { metadata in
            metadata.senderUID = user
            metadata.senderGID = user
            metadata.mark = mark
        }
    }

    private static func openings(_ port: UInt16) -> [PacketBuilder] {
        [
            .fromHost.syn(port, 443), .fromHost.udp(port, 443), .fromHost.echoRequest(id: port, seq: 1),
            .fromHost.upperLayer(47).payload("a"),
        ]
    }

    @Test("One user is admitted and another is not, and a packet of no process never is", arguments: 0..<4)
    func admission(kind: Int) throws {
        let engine = try EngineUnderTest(Self.onlyWeb)
        #expect(engine.sends(Self.openings(40_001)[kind], Self.by(Self.other)) == .drop(.outOfAllowedPolicy))
        #expect(engine.sends(Self.openings(40_002)[kind]) == .drop(.outOfAllowedPolicy))
        #expect(engine.sends(Self.openings(40_003)[kind], Self.by(Self.web)) == .pass)
        let denying = try EngineUnderTest(Self.notWeb)
        #expect(denying.sends(Self.openings(40_001)[kind], Self.by(Self.other)) == .pass)
        #expect(denying.sends(Self.openings(40_002)[kind]) == .pass)
        #expect(denying.sends(Self.openings(40_003)[kind], Self.by(Self.web)) == .drop(.deny))
    }

    @Test("Not is somebody else, and never nobody")
    func inverted() throws {
        let engine = try EngineUnderTest(
            "rules: [{ name: No, action: deny, direction: outgoing, sender: { users: { not: 33 } } }]")
        #expect(engine.sends(.fromHost.udp(1, 4_433), Self.by(Self.web)) == .pass)
        #expect(engine.sends(.fromHost.udp(2, 4_433), Self.by(Self.other)) == .drop(.deny))
        #expect(engine.sends(.fromHost.udp(3, 4_433)) == .pass)
    }

    @Test("A unit is known by the bit of the mark that the rules before the queue have set")
    func units() throws {
        let engine = try EngineUnderTest(
            """
            rules:
              - { name: Web, action: allow, direction: outgoing, sender: { units: web.service } }
              - { name: Mail, action: allow, direction: outgoing, sender: { units: mail.service, groups: 8 } }
            """)
        func sends(_ port: UInt16, _ user: UInt32, _ mark: UInt32) -> Fate {
            engine.sends(.fromHost.udp(port, 4_433), Self.by(user, mark: mark))
        }
        #expect(sends(1, Self.other, Self.unitBit) == .pass)
        #expect(sends(2, Self.other, Self.unitBit << 1) == .drop(.outOfAllowedPolicy), "not of the group")
        #expect(sends(3, 8, Self.unitBit << 1) == .pass)
        #expect(
            sends(4, 8, ~(Self.unitBit | Self.unitBit << 1)) == .drop(.outOfAllowedPolicy), "other bits say nothing")
        #expect(engine.sends(.fromHost.udp(5, 4_433)) { $0.mark = .max } == .drop(.outOfAllowedPolicy), "of no process")
        engine.engine.setUnitMarks([UnitMark(unit: "mail.service", bit: Self.unitBit)])
        #expect(sends(6, 8, Self.unitBit) == .pass, "the rules in place give the bit to another unit")
        #expect(sends(7, Self.other, Self.unitBit) == .drop(.outOfAllowedPolicy))
        #expect(engine.engine.mark(ofUnits: ["web.service", "mail.service"]) == Self.unitBit)
    }

    @Test("What the kernel sends in a connection's place is the connection's, to its end")
    func withoutSocket() throws {
        for policy in [
            Self.onlyWeb,
            Self.onlyWeb.replacing("action: allow, direction: outgoing", "action: force-allow, direction: outgoing"),
        ] {
            let engine = try EngineUnderTest(
                policy + "\n  - { name: Nobody, action: deny, direction: outgoing, sender: { users: { not: 33 } } }")
            #expect(engine.sends(.fromHost.syn(40_000, 443), Self.by(Self.web)) == .pass)
            #expect(engine.receives(.toHost.tcp(443, 40_000, [.syn, .ack], seq: 9, ack: 1_001)) == .pass)
            #expect(engine.sends(.fromHost.tcp(40_000, 443, .ack, seq: 1_001, ack: 10)) == .pass, "no socket is named")
            try engine.reloads(policy + "\n# again")
            #expect(engine.receives(.toHost.tcp(443, 40_000, [.fin, .ack], seq: 10, ack: 1_001)) == .pass)
            #expect(
                engine.sends(.fromHost.tcp(40_000, 443, [.fin, .ack], seq: 1_001, ack: 11), Self.by(Self.web)) == .pass)
            #expect(engine.receives(.toHost.tcp(443, 40_000, .ack, seq: 11, ack: 1_002)) == .pass)
            #expect(engine.sends(.fromHost.tcp(40_000, 443, .ack, seq: 1_002, ack: 11)) == .pass)
            #expect(engine.events.isEmpty)
        }
    }

    @Test("Who answers a connection from outside is no sender in this sense")
    func answers() throws {
        for policy in [Self.onlyWeb, Self.notWeb] {
            let engine = try EngineUnderTest(policy)
            for user in [Self.web, Self.other] {
                let port = UInt16(50_000 + user)
                #expect(engine.receives(.toHost.syn(port, 22, seq: 1)) == .pass)
                #expect(engine.sends(.fromHost.tcp(22, port, [.syn, .ack], seq: 9, ack: 2)) == .pass)
                #expect(engine.receives(.toHost.tcp(port, 22, .ack, seq: 2, ack: 10)) == .pass)
                #expect(
                    engine.sends(.fromHost.tcp(22, port, .ack, seq: 10, ack: 2).payload("a"), Self.by(user)) == .pass)
            }
            #expect(engine.events.isEmpty)
        }
    }

    @Test("A reload judges a connection by whom it is of: by its next packet that says so, and until then it goes on")
    func reload() throws {
        let engine = try EngineUnderTest()
        for (user, port) in [(Self.web, UInt16(40_000)), (Self.other, 40_001)] {
            engine.sends(.fromHost.syn(port, 443), Self.by(user))
            engine.receives(.toHost.tcp(443, port, [.syn, .ack], seq: 9, ack: 1_001))
            engine.sends(.fromHost.tcp(port, 443, .ack, seq: 1_001, ack: 10), Self.by(user))
        }
        try engine.reloads(Self.onlyWeb)
        for port in [UInt16(40_000), 40_001] {
            #expect(engine.receives(.toHost.tcp(443, port, .ack, seq: 10, ack: 1_001).payload("data")) == .pass)
            #expect(engine.sends(.fromHost.tcp(port, 443, .ack, seq: 1_001, ack: 14)) == .pass, "of no socket")
        }
        func data(_ port: UInt16) -> PacketBuilder {
            .fromHost.tcp(port, 443, .ack, seq: 1_001, ack: 14).payload("more")
        }
        #expect(engine.sends(data(40_000), Self.by(Self.web)) == .pass)
        #expect(engine.sends(data(40_001), Self.by(Self.other)) == .drop(.outOfAllowedPolicy))
        #expect(
            engine.receives(.toHost.tcp(443, 40_001, .ack, seq: 14, ack: 1_001).payload("x"))
                == .drop(.outOfAllowedPolicy))
        #expect(engine.receives(.toHost.tcp(443, 40_000, .ack, seq: 14, ack: 1_005).payload("x")) == .pass)
    }

    @Test("A connection older than the agent is taken over, and refused once it is told whose it is")
    func takeOver() throws {
        for (user, fate) in [(Self.web, Fate.pass), (Self.other, .drop(.outOfAllowedPolicy))] {
            let engine = try EngineUnderTest(Self.onlyWeb, startsNow: true)
            #expect(engine.receives(.toHost.tcp(443, 40_000, .ack, seq: 10, ack: 1_001).payload("data")) == .pass)
            #expect(engine.sends(.fromHost.tcp(40_000, 443, .ack, seq: 1_001, ack: 14), Self.by(user)) == fate)
        }
        let engine = try EngineUnderTest(Self.onlyWeb, startsNow: true)
        #expect(
            engine.sends(.fromHost.tcp(40_000, 443, .ack, seq: 1_001, ack: 14), Self.by(Self.other))
                == .drop(.outOfAllowedPolicy))
    }

    @Test("Datagrams and queries of the same endpoints are told apart by who sends them")
    func sharedEndpoints() throws {
        let engine = try EngineUnderTest(Self.onlyWeb)
        for packet in [PacketBuilder.fromHost.udp(40_000, 443), .fromHost.echoRequest(id: 7, seq: 1)] {
            #expect(engine.sends(packet, Self.by(Self.web)) == .pass)
            #expect(engine.sends(packet, Self.by(Self.other)) == .drop(.outOfAllowedPolicy))
            #expect(engine.sends(packet, Self.by(Self.web)) == .pass)
        }
        #expect(engine.receives(.toHost.udp(443, 40_000)) == .pass)
        let denying = try EngineUnderTest(Self.notWeb)
        #expect(denying.sends(.fromHost.udp(40_000, 443), Self.by(Self.other)) == .pass)
        #expect(denying.sends(.fromHost.udp(40_000, 443), Self.by(Self.web)) == .drop(.deny))
        #expect(denying.sends(.fromHost.udp(40_000, 443), Self.by(Self.other)) == .pass)
    }

    @Test("After a reload, too, whom the rules do not admit takes nobody else's exchange with him")
    func sharedEndpointsAfterReload() throws {
        let engine = try EngineUnderTest(Self.onlyWeb)
        let datagram = PacketBuilder.fromHost.udp(40_000, 443)
        #expect(engine.sends(datagram, Self.by(Self.web)) == .pass)
        #expect(engine.receives(.toHost.udp(443, 40_000)) == .pass)
        try engine.reloads(Self.onlyWeb)
        for _ in 0..<2 {
            #expect(engine.sends(datagram, Self.by(Self.other)) == .drop(.outOfAllowedPolicy))
            #expect(engine.sends(datagram, Self.by(Self.web)) == .pass)
            #expect(engine.receives(.toHost.udp(443, 40_000)) == .pass)
        }
    }

    @Test("The ports of a connection that is over are opened anew by whom the rules admit")
    func reopening() throws {
        let engine = try EngineUnderTest(Self.onlyWeb)
        engine.sends(.fromHost.syn(40_000, 443), Self.by(Self.web))
        engine.receives(.toHost.tcp(443, 40_000, [.rst, .ack], seq: 0, ack: 1_001))
        #expect(
            engine.sends(.fromHost.syn(40_000, 443, seq: 90_000), Self.by(Self.other)) == .drop(.outOfAllowedPolicy))
        #expect(engine.sends(.fromHost.syn(40_000, 443, seq: 90_000)) == .drop(.outOfAllowedPolicy))
        #expect(engine.sends(.fromHost.syn(40_000, 443, seq: 90_000), Self.by(Self.web)) == .pass)
    }

    @Test("Whom the kernel names for what comes in, or is forwarded, is no sender")
    func notSenders() throws {
        let policy = "interfaces: { inside: [eth1] }\n" + Self.onlyWeb
        let engine = try EngineUnderTest(policy)
        #expect(engine.receives(.toHost.syn(1, 22, seq: 1), Self.by(Self.other)) == .pass)
        let forwarded = PacketBuilder.fromHost.udp(40_000, 443)
        #expect(
            engine.forwards(forwarded, from: 3, to: 2) { Self.by(Self.web)(&$0) } == .drop(.outOfAllowedPolicy))
    }
}

extension String {
    fileprivate func replacing(_ old: String, _ new: String) -> String {
        guard let range = self.firstRange(of: old) else { return self }
        return replacingCharacters(in: range, with: new)
    }

    private func firstRange(of text: String) -> Range<String.Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
            start = index(after: start)
        }
        return nil
    }

    private func replacingCharacters(in range: Range<String.Index>, with text: String) -> String {
        String(self[..<range.lowerBound]) + text + String(self[range.upperBound...])
    }
}
