// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import TestSupport
import Testing

@Suite("A rule with a rate admits so many openings of each source in a time, and refuses no more than that")
struct RateTests {
    private static func web(_ rate: String, action: String = "allow") -> String {
        "rules: [{ name: Web, action: \(action), direction: incoming, protocol: tcp, rate: \(rate), destination: { ports: 80 } }]\n"
    }

    private static let refused = Fate.drop(.connectionRate)

    private static func fates(_ engine: EngineUnderTest, _ ports: ClosedRange<UInt16>) -> [Fate] {
        ports.map { engine.receives(.toHost.syn($0, 80)) }
    }

    @Test(
        "As many at once, then one for each part of the time, and all again after the whole of it",
        arguments: ["allow", "force-allow"])
    func refill(action: String) throws {
        let engine = try EngineUnderTest(Self.web("3/1m", action: action))
        #expect(Self.fates(engine, 1...5) == [.pass, .pass, .pass, Self.refused, Self.refused])
        #expect(engine.rule(of: engine.lastEvent) == "Web")
        #expect(engine.lastEvent?.cause == .ruleRate)
        engine.waits(.milliseconds(19_999))
        #expect(Self.fates(engine, 6...6) == [Self.refused])
        engine.waits(.milliseconds(1))
        #expect(Self.fates(engine, 7...8) == [.pass, Self.refused], "what was refused has cost nothing")
        engine.waits(.seconds(60))
        #expect(Self.fates(engine, 10...13) == [.pass, .pass, .pass, Self.refused])
        #expect(engine.events(of: .connectionRate) == 5)
    }

    @Test("Each source has its own, over IPv4 and IPv6, and what the rule does not admit has none")
    func sources() throws {
        let engine = try EngineUnderTest(Self.web("1/1m"))
        #expect(Self.fates(engine, 1...2) == [.pass, Self.refused])
        #expect(engine.receives(.ipv4(from: .other, to: .host).syn(1, 80)) == .pass)
        #expect(engine.receives(.toHost6.syn(1, 80)) == .pass)
        #expect(engine.receives(.toHost6.syn(2, 80)) == Self.refused)
        #expect(engine.receives(.toHost.syn(9, 81)) == .drop(.outOfAllowedPolicy))
        for port in UInt16(1)...9 { #expect(engine.sends(.fromHost.syn(port, 80)) == .pass) }
    }

    @Test("What a sender repeats is one opening, and what follows none", arguments: [false, true])
    func repetitions(withCookies: Bool) throws {
        let cookies = "stateful: { tcp: { syn-flood: { cookies: on, threshold: 1 } } }\n"
        let engine = try EngineUnderTest(Self.web("2/1h") + (withCookies ? cookies : ""))
        engine.listens(at: 80)
        // Where there are cookies, no other SYN gets an entry.
        if withCookies { engine.flood(3, from: 77) }
        for _ in 0..<9 { #expect(engine.receives(.toHost.syn(1, 80)) == .pass) }
        #expect(engine.receives(.toHost.syn(2, 80)) == .pass)
        for _ in 0..<3 { #expect(engine.receives(.toHost.syn(3, 80)) == Self.refused) }
        #expect(engine.isFlooded == withCookies)
    }

    @Test("A port that is used again is another opening")
    func reopening() throws {
        let engine = try EngineUnderTest(Self.web("2/1h"))
        for round in 0..<3 {
            let syn = PacketBuilder.toHost.syn(1, 80, seq: 1_000)
            #expect(engine.receives(syn) == (round < 2 ? .pass : Self.refused))
            engine.sends(.fromHost.tcp(80, 1, [.rst, .ack], seq: 0, ack: 1_001))
        }
    }

    @Test("The first datagram of an exchange counts, and the first echo request")
    func datagrams() throws {
        let engine = try EngineUnderTest(
            """
            rules:
              - { name: DNS, action: force-allow, direction: incoming, protocol: udp, rate: 2/1m, destination: { ports: 53 } }
              - { name: Ping, action: force-allow, direction: incoming, protocol: icmp, rate: 1/1m per source }
            """)
        for _ in 0..<5 { #expect(engine.receives(.toHost.udp(1, 53)) == .pass) }
        engine.sends(.fromHost.udp(53, 1))
        #expect(engine.receives(.toHost.udp(2, 53)) == .pass)
        #expect(engine.receives(.toHost.udp(3, 53)) == Self.refused)
        for number in UInt16(1)...5 { #expect(engine.receives(.toHost.echoRequest(id: 7, seq: number)) == .pass) }
        #expect(engine.receives(.toHost.echoRequest(id: 8, seq: 1)) == Self.refused)
    }

    @Test("What another limit refuses costs nothing")
    func limits() throws {
        let engine = try EngineUnderTest(
            Self.web("3/1h") + "stateful: { tcp: { limits: { incoming-per-computer: 1 } } }")
        #expect(engine.receives(.toHost.syn(1, 80)) == .pass)
        for port in UInt16(2)...9 { #expect(engine.receives(.toHost.syn(port, 80)) == .drop(.maxIncomingConnections)) }
        engine.sends(.fromHost.tcp(80, 1, [.rst, .ack], seq: 0, ack: 1_001))
        #expect(engine.receives(.toHost.syn(20, 80)) == .pass)
        engine.sends(.fromHost.tcp(80, 20, [.rst, .ack], seq: 0, ack: 1_001))
        #expect(engine.receives(.toHost.syn(21, 80)) == .pass)
        engine.sends(.fromHost.tcp(80, 21, [.rst, .ack], seq: 0, ack: 1_001))
        #expect(engine.receives(.toHost.syn(22, 80)) == Self.refused)
    }

    @Test("A SYN that is repeated while a limit refuses it gives nothing back that it has not cost")
    func repetitionAtALimit() throws {
        let other = "{ name: Other, action: allow, direction: incoming, protocol: tcp, destination: { ports: 81 } }]"
        let engine = try EngineUnderTest(
            Self.web("2/1h").replacing("}]", with: "}, \(other)")
                + "stateful: { tcp: { syn-flood: { cookies: on, threshold: 1 }, limits: { incoming-per-computer: 1 } } }\n"
        )
        engine.listens(at: 80)
        engine.flood(3, from: 77)
        #expect(engine.isFlooded)
        #expect(engine.receives(.toHost.syn(1, 80)) == .pass)
        #expect(engine.receives(.toHost.syn(9, 81)) == .pass)
        for _ in 0..<3 { #expect(engine.receives(.toHost.syn(1, 80)) == .drop(.maxIncomingConnections)) }
        engine.sends(.fromHost.tcp(81, 9, [.rst, .ack], seq: 0, ack: 1_001))
        #expect(engine.receives(.toHost.syn(2, 80)) == .pass)
        #expect(engine.receives(.toHost.syn(3, 80)) == Self.refused)
    }

    @Test("In tap mode it is told of, and the whole connection with it")
    func tap() throws {
        let engine = try EngineUnderTest("mode: tap\n" + Self.web("1/1h"))
        #expect(engine.receives(.toHost.syn(1, 80)) == .pass)
        #expect(engine.receives(.toHost.syn(2, 80)) == .passReporting(.connectionRate))
        #expect(
            engine.sends(.fromHost.tcp(80, 2, [.syn, .ack], seq: 5, ack: 1_001)) == .passReporting(.connectionRate))
        #expect(engine.events.allSatisfy { $0.action == .tapDeny })
    }

    @Test("A reload that leaves the rule as it is leaves its counts; another rate, or another name, begins anew")
    func reloads() throws {
        let engine = try EngineUnderTest(Self.web("1/1h"))
        #expect(Self.fates(engine, 1...2) == [.pass, Self.refused])
        try engine.reloads("mode: inline\n" + Self.web("1/1h"))
        #expect(Self.fates(engine, 3...3) == [Self.refused])
        try engine.reloads(Self.web("2/1h"))
        #expect(Self.fates(engine, 4...6) == [.pass, .pass, Self.refused])
        try engine.reloads(Self.web("2/1h").replacing("Web", with: "Pages"))
        #expect(Self.fates(engine, 7...7) == [.pass])
        try engine.reloads("rules: []")
        #expect(Self.fates(engine, 8...20).allSatisfy { $0 == .pass })
    }

    @Test("Workers count together")
    func workers() throws {
        let policy = try EngineUnderTest.policy(Self.web("3/1h"), epoch: 1)
        let shared = EngineUnderTest.limits(of: policy)
        let engines = try (0..<2).map { _ in try EngineUnderTest(policy, shared: shared, workers: 2) }
        let fates = (UInt16(1)...5).map { engines[Int($0) % 2].receives(.toHost.syn($0, 80)) }
        #expect(fates == [.pass, .pass, .pass, Self.refused, Self.refused])
    }
}
