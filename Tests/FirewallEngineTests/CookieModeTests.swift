// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import PacketWire
import TestSupport
import Testing

@Suite("When a listener is in cookie mode, and what limits hold there")
struct CookieModeTests {
    @Test("It begins at the threshold and ends at 12 of 25 of it, not before")
    func hysteresis() throws {
        let engine = try EngineUnderTest.withCookies(threshold: 100, "engine: { timeouts: { syn-received: 10s } }\n")
        #expect(engine.flood(100) == 100 && !engine.isFlooded && engine.connections == 100)
        engine.flood(1, from: 100)
        #expect(engine.isFlooded && engine.connections == 100)
        // What would be half-open is counted still: 49 in the time that a half-open connection lasts keep it up.
        for round in UInt32(0)..<5 {
            engine.flood(49, from: 1_000 + round * 100)
            engine.idles(10)
            #expect(engine.isFlooded, "round \(round)")
            if round > 1 { #expect(engine.connections == 0) }
        }
        engine.flood(48, from: 9_000)
        engine.idles(60)
        #expect(!engine.isFlooded)
        engine.flood(50, from: 20_000)
        #expect(engine.connections == 50 && !engine.isFlooded)
    }

    @Test("Connections that are completed do not keep it in cookie mode")
    func completed() throws {
        let engine = try EngineUnderTest.withCookies(threshold: 10, "engine: { timeouts: { syn-received: 10s } }\n")
        engine.flood(20)
        for second in UInt16(0)..<60 {
            for n in UInt16(0)..<5 {
                let talk = TCPTalk(engine, peerPort: 2_000 + second * 5 + n)
                talk.open()
                talk.exchange(10)
            }
            engine.idles(1)
        }
        #expect(!engine.isFlooded)
    }

    @Test("Listeners are flooded one by one")
    func apart() throws {
        let engine = try EngineUnderTest.withCookies(threshold: 10, rules: "")
        var ports = ListeningPorts()
        for port in [80, 443] as [UInt16] { ports.insert(tcp: port) }
        engine.engine.listeningPorts = ports
        engine.flood(50)
        #expect(engine.connections == 10)
        engine.flood(10, from: 500, to: 443)
        #expect(engine.connections == 20 && engine.engine.floodedListeners.map(\.port) == [80])
        for n in UInt16(1)...9 { engine.receives(.toHost6.syn(n, 80)) }
        #expect(engine.connections == 29, "another address, another listener")
    }

    @Test("Off by the policy, or because the host has none, or only one of them")
    func off() throws {
        for (cookies, hasThem) in [("off", true), ("on", false), ("off", false)] {
            let engine = try EngineUnderTest(
                EngineUnderTest.web + "stateful: { tcp: { syn-flood: { cookies: \(cookies), threshold: 5 } } }")
            engine.listens(at: 80)
            engine.engine.hasSYNCookies = hasThem
            engine.flood(50)
            #expect(engine.connections == 50 && engine.engine.floodedListeners.isEmpty)
            #expect(engine.engine.counters.admittedStateless == 0)
            #expect(engine.receives(.toHost.tcp(9, 80, .ack, seq: 1, ack: 1)) == .drop(.outOfConnection))
        }
    }

    @Test(
        "A reload in cookie mode: the mode goes on; what is opened lives; the ACK that waits is judged by the new rules"
    )
    func reload() throws {
        let engine = try EngineUnderTest.withCookies(threshold: 5)
        engine.flood(20)
        let talk = TCPTalk(engine)
        talk.open()
        let on = "stateful: { tcp: { syn-flood: { cookies: on, threshold: 5 } } }\n"
        try engine.reloads(EngineUnderTest.web + on)
        #expect(engine.isFlooded)
        talk.exchange()
        let refused = TCPTalk(engine, peerPort: 50_000)
        refused.open()
        try engine.reloads(
            "rules: [{ name: No, action: deny, direction: incoming, protocol: tcp, "
                + "source: { addresses: 198.51.100.7, ports: 50000 } }]\n" + on)
        #expect(refused.deliver(refused.segment(.peer, data: 10), from: .peer) == .drop(.deny))
        talk.exchange()
        #expect(engine.events.map(\.reason) == [.deny])
    }

    @Test("Cookies are turned off in a flood: SYNs get entries again, and openings under way come through")
    func turnedOff() throws {
        let engine = try EngineUnderTest.withCookies(threshold: 5)
        engine.flood(20)
        let talk = TCPTalk(engine)
        talk.send(.peer, .syn)
        try engine.reloads(EngineUnderTest.web)
        #expect(talk.send(.host, [.syn, .ack]) == .pass)
        #expect(talk.send(.peer) == .pass)
        talk.exchange()
        engine.idles(1)
        #expect(!engine.isFlooded)
        engine.flood(20, from: 500)
        #expect(engine.connections == 26 && engine.events.isEmpty)
    }

    @Test(
        "A computer's limit of half-open connections holds without entries; repeated SYNs and other computers do not count"
    )
    func perComputer() throws {
        let engine = try EngineUnderTest.withCookies(threshold: 1, limits: "half-open-per-computer: 3")
        engine.flood(3)
        for port in UInt16(1)...3 {
            for _ in 0..<5 { #expect(engine.receives(.toHost.syn(port, 80)) == .pass) }
        }
        #expect(engine.receives(.toHost.syn(4, 80)) == .drop(.maxSYNSent))
        #expect(engine.lastEvent?.cause == .halfOpenPerComputer)
        #expect(engine.receives(.ipv4(from: .other, to: .host).syn(4, 80)) == .pass)
        #expect(engine.connections == 1)
        // One that opens makes room.
        let talk = TCPTalk(engine, peerPort: 2)
        talk.peer.next = 1_001
        talk.peer.expected = 500
        talk.host.next = 500
        talk.host.expected = 1_001
        #expect(talk.send(.peer) == .pass)
        talk.exchange()
        #expect(engine.receives(.toHost.syn(4, 80)) == .pass)
        #expect(engine.receives(.toHost.syn(5, 80)) == .drop(.maxSYNSent))
        engine.waits(.seconds(61))
        #expect(engine.receives(.toHost.syn(5, 80)) == .pass)
    }

    @Test("Spoofed sources do not take the place of one that sends many")
    func spoofed() throws {
        let engine = try EngineUnderTest.withCookies(threshold: 1, limits: "half-open-per-computer: 50")
        engine.flood(1)
        for port in UInt16(1)...50 { #expect(engine.receives(.toHost.syn(port, 80)) == .pass) }
        engine.flood(20_000, from: 10)
        var refused = 0
        for port in UInt16(51)...250 where engine.receives(.toHost.syn(port, 80)) != .pass { refused += 1 }
        #expect(refused > 150)
        #expect(engine.connections == 1 && engine.events(of: .maxSYNSent) == refused)
    }

    @Test("The total of half-open connections: a SYN beyond it is refused, unless cookies can answer it")
    func total() throws {
        let engine = try EngineUnderTest(
            EngineUnderTest.web + "stateful: { tcp: { limits: { half-open: 5 } } }")
        engine.listens(at: 80)
        #expect(engine.flood(8) == 5)
        #expect(engine.events(of: .maxSYNSent) == 3 && engine.lastEvent?.cause == .halfOpenInAll)
        #expect(engine.sends(.fromHost.syn(1, 80)) == .pass, "what this host opens does not count")
        engine.waits(.seconds(21))
        #expect(engine.flood(1, from: 100) == 1)
        let cookies = try EngineUnderTest.withCookies(threshold: 100, limits: "half-open: 5")
        #expect(cookies.flood(8) == 8)
        #expect(cookies.connections == 5 && cookies.isFlooded && cookies.events.isEmpty)
    }

    @Test("The limit of incoming connections of a computer holds in cookie mode")
    func incoming() throws {
        let engine = try EngineUnderTest.withCookies(threshold: 1, limits: "incoming-per-computer: 2")
        engine.flood(3)
        for port in UInt16(1)...2 {
            let talk = TCPTalk(engine, peerPort: port)
            talk.open()
            talk.exchange()
        }
        #expect(engine.receives(.toHost.syn(3, 80)) == .drop(.maxIncomingConnections))
        #expect(engine.receives(.ipv4(from: .other, to: .host).syn(4, 80)) == .pass)
    }

    @Test("A connection that was opened by a cookie is handed over to the next run")
    func restored() throws {
        let engine = try EngineUnderTest.withCookies(threshold: 5)
        engine.flood(20)
        let talk = TCPTalk(engine)
        talk.open()
        talk.exchange()
        var list: [Connection] = []
        _ = engine.engine.connections(from: 0, atMost: 100, into: &list)
        #expect(list.count == 6)
        let next = try EngineUnderTest.withCookies(threshold: 5)
        for connection in list {
            let isRestored = next.engine.restore(connection, at: next.clock.now)
            #expect(isRestored)
        }
        let again = TCPTalk(next)
        (again.host, again.peer) = (talk.host, talk.peer)
        again.exchange()
        again.close()
        next.flood(20, from: 500)
        #expect(next.isFlooded && next.events.isEmpty)
    }

    @Test("Strict posture: openings, resets and answers in a flood raise nothing")
    func strict() throws {
        let engine = try EngineUnderTest.withCookies(threshold: 1, "engine: { anti-evasion: strict }\n")
        engine.flood(5)
        let talk = TCPTalk(engine)
        talk.open()
        talk.exchange()
        talk.close()
        let given = TCPTalk(engine, peerPort: 50_000)
        given.send(.peer, .syn)
        given.send(.host, [.syn, .ack])
        #expect(given.send(.peer, .rst) == .pass, "nobody asked for that SYN+ACK")
        #expect(engine.events.isEmpty)
        let wrong = TCPTalk(engine, peerPort: 50_001)
        wrong.peer.expected = 4
        wrong.send(.peer)
        #expect(engine.sends(wrong.refusal()) == .pass)
        #expect(engine.events.map(\.reason) == [.synCookieError])
    }
}
