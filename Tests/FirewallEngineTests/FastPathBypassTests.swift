// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import PacketWire
import TestSupport
import Testing

@Suite("Flows that a Bypass rule with offload leaves to the fast path", .loadsPrograms)
struct FastPathBypassTests {
    private static let both = """
        rules:
          - { name: In, action: bypass, direction: incoming, protocol: tcp+udp, offload: true }
          - { name: Out, action: bypass, direction: outgoing, protocol: tcp+udp, offload: true }
        """
    private static let tracked = "rules: [{name: web, action: allow, direction: incoming, protocol: tcp}]\n"

    private static func talk(_ yaml: String = both, peer: IPAddress = .peer, flows: Int = 64) throws -> TCPTalk {
        TCPTalk(try .withProgram(yaml, flows: flows), peer: peer)
    }

    /// Both directions are on the fast path.
    private static func offloaded(_ yaml: String = both, peer: IPAddress = .peer) throws -> TCPTalk {
        let talk = try talk(yaml, peer: peer)
        for _ in 0..<3 { talk.exchange() }
        return talk
    }

    @Test(
        "pass in the kernel from the second packet on, the other direction's from its first one",
        arguments: [IPAddress.peer, .peer6])
    func plain(peer: IPAddress) throws {
        let talk = try Self.talk(peer: peer)
        #expect(!talk.passesInKernel(talk.segment(.peer), from: .peer))
        #expect(talk.engine.lastDecision.offloads == nil, "the mark is for what the program does not take")
        for party in [TCPTalk.Party.peer, .host] {
            #expect(!talk.passesInKernel(talk.segment(party), from: party))
            #expect(talk.engine.lastDecision.offloads == nil)
            #expect(talk.passesInKernel(talk.segment(party), from: party))
            #expect(talk.passesInKernel(talk.segment(party, [.psh, .ack], data: 1_000), from: party))
        }
        #expect(talk.engine.engine.fastPathCounts.bypassed == 1)
        #expect(talk.engine.engine.fastPathCounts.flows == 1)
    }

    @Test("are held against no window, and their segments move none")
    func windows() throws {
        let talk = try Self.offloaded()
        for shift in [1, -1, 1 << 30, -(1 << 30)] {
            #expect(talk.passesInKernel(talk.segment(.peer, data: 10, by: shift, acknowledging: -shift), from: .peer))
            #expect(talk.passesInKernel(talk.segment(.host, data: 10, by: shift, acknowledging: -shift), from: .host))
        }
        #expect(talk.engine.events.isEmpty)
    }

    @Test("of a connection that is tracked are held against them all the same")
    func trackedOnes() throws {
        let talk = try Self.talk(Self.tracked)
        talk.open()
        for _ in 0..<3 { talk.exchange() }
        #expect(talk.passesInKernel(talk.segment(.peer), from: .peer))
        #expect(try !talk.isPassedByProgram(talk.segment(.peer, data: 10, by: 1 << 30)))
    }

    /// What stage V or a rule of another flow may have something against.
    private static let oddPackets: [(name: String, make: @Sendable (TCPTalk) -> PacketBuilder)] = [
        ("SYN", { $0.segment(.peer, .syn) }), ("FIN", { $0.segment(.peer, [.fin, .ack]) }),
        ("URG", { $0.segment(.peer, [.ack, .urg], data: 5) }),
        ("header beyond the packet", { $0.segment(.peer, data: 2).dataOffset(words: 10) }),
        ("header below its own size", { $0.segment(.peer, data: 40).dataOffset(words: 4) }),
        ("length within the packet", { $0.segment(.peer, data: 64).totalLength(80) }),
        ("first fragment", { $0.segment(.peer, data: 64).fragment(0..<40) }),
        ("unknown option", { $0.segmentWith(.peer, options: [.bytes([253, 4, 0, 0])]) }),
        ("other port", { $0.segmentOfOtherPort() }),
    ]

    @Test("come to the queue with everything that is not plain", arguments: oddPackets.indices)
    func odd(row: Int) throws {
        let (name, make) = Self.oddPackets[row]
        let talk = try Self.offloaded()
        #expect(try !talk.isPassedByProgram(make(talk)), "\(name)")
        #expect(talk.passesInKernel(talk.segment(.peer, data: 64), from: .peer), "the nearest good one, beside \(name)")
    }

    @Test("know a side by its interface")
    func interface() throws {
        let talk = try Self.offloaded()
        #expect(try !talk.isPassedByProgram(talk.segment(.peer), interface: 3))
        #expect(try !talk.isPassedByProgram(talk.segment(.peer), interface: 0))
        #expect(try talk.isPassedByProgram(talk.segment(.peer), interface: 2))
    }

    @Test("are one direction's alone where the rule is")
    func oneDirection() throws {
        let talk = try Self.talk(
            """
            rules:
              - { name: In, action: bypass, direction: incoming, protocol: tcp, offload: true }
              - { name: Out, action: bypass, direction: outgoing, protocol: tcp }
            """)
        for _ in 0..<3 { talk.exchange() }
        #expect(talk.passesInKernel(talk.segment(.peer), from: .peer))
        #expect(!talk.passesInKernel(talk.segment(.host), from: .host))
    }

    @Test("of datagrams too, and of nothing else")
    func datagrams() throws {
        let engine = try EngineUnderTest.withProgram(Self.both)
        func judged(_ packet: PacketBuilder) -> Bool {
            let before = engine.engine.counters.inspected
            #expect(engine.receives(packet) == .pass)
            return engine.engine.counters.inspected > before
        }
        let packets = (0..<4).map { _ in judged(.toHost.udp(5_000, 53).payload("abc")) }
        #expect(packets == [true, true, false, false])
        #expect(judged(.toHost.udp(5_000, 53)), "one without data")
        try engine.reloads("rules: [{name: all, action: bypass, direction: incoming, offload: true}]\n")
        #expect((0..<4).map { _ in judged(.toHost.echoRequest(id: 7, seq: 1)) } == [true, true, true, true])
        #expect(engine.lastDecision.offloads == .incoming, "its connection is marked")
    }

    @Test("take no room for one packet of each source that somebody makes up")
    func spoofed() throws {
        let engine = try EngineUnderTest.withProgram(Self.both)
        for port in 1..<UInt16(2_000) { engine.receives(.toHost.udp(port, 53).payload("abc")) }
        #expect(engine.engine.fastPathCounts.admitted == 0)
    }

    @Test("have half of the room at most, and what finds none is marked")
    func room() throws {
        let engine = try EngineUnderTest.withProgram(Self.both, flows: 8)
        func send(_ port: UInt16) { engine.receives(.toHost.udp(port, 53).payload("abc")) }
        for port in 1..<UInt16(6) { (0..<3).forEach { _ in send(port) } }
        #expect(engine.engine.fastPathCounts.bypassed == 4)
        #expect(engine.engine.fastPathCounts.full > 0)
        #expect(engine.lastDecision.offloads == .incoming)
        engine.waits(.seconds(1))
        engine.waits(.seconds(62))
        engine.waits(.seconds(3))
        engine.waits(.seconds(1))
        for _ in 0..<3 { send(9) }
        #expect(engine.engine.fastPathCounts.bypassed == 1)
    }

    @Test("end at once with a policy that refuses them, and come back with one that has the rule")
    func epoch() throws {
        let talk = try Self.offloaded()
        try talk.engine.reloads("rules: [{name: no, action: deny, direction: incoming, protocol: tcp}]\n")
        #expect(try !talk.isPassedByProgram(talk.segment(.peer)))
        #expect(talk.send(.peer, data: 10) == .drop(.deny))
        try talk.engine.reloads(Self.both)
        #expect(!talk.passesInKernel(talk.segment(.peer), from: .peer))
        #expect(talk.passesInKernel(talk.segment(.peer), from: .peer))
        #expect(try !talk.isPassedByProgram(talk.segment(.host)), "each direction by itself")
    }

    @Test("end with the lease, and with the maps")
    func lease() throws {
        let talk = try Self.offloaded()
        try #require(talk.engine.program).clear()
        #expect(try !talk.isPassedByProgram(talk.segment(.peer)))
        talk.engine.engine.detachFastPath(at: talk.engine.clock.now)
        #expect(talk.send(.peer, data: 10) == .pass)
        #expect(talk.engine.lastDecision.offloads == .incoming)
    }

    @Test("become a connection's where the rule goes, and the other way round: a key leads to one place")
    func changeOfKind() throws {
        let talk = try Self.offloaded()
        try talk.engine.reloads(Self.tracked)
        talk.engine.waits(.seconds(3))
        for _ in 0..<4 { talk.exchange() }
        #expect(talk.passesInKernel(talk.segment(.peer), from: .peer))
        #expect(try !talk.isPassedByProgram(talk.segment(.peer, data: 10, by: 1 << 30)), "held against its windows")
        #expect(talk.engine.engine.fastPathCounts.bypassed == 0)
        try talk.engine.reloads(Self.both)
        talk.engine.waits(.seconds(3))
        for _ in 0..<3 { talk.exchange() }
        #expect(talk.passesInKernel(talk.segment(.peer, data: 10, by: 1 << 30), from: .peer))
        #expect(talk.engine.engine.fastPathCounts.bypassed == 1)
        #expect(talk.engine.engine.fastPathCounts.flows == 1)
        // What was left long ago is forgotten, and does not take the key along.
        for _ in 0..<130 {
            talk.engine.waits(.seconds(1))
            talk.deliver(talk.segment(.peer), from: .peer)
        }
        #expect(talk.passesInKernel(talk.segment(.peer), from: .peer))
        #expect(talk.engine.events.isEmpty)
    }

    @Test("give their place back a minute after the last packet, five seconds after a FIN, at once with a RST")
    func idle() throws {
        for (flags, seconds) in [(TCPFlags([]), 62), ([.fin, .ack], 7), ([.rst, .ack], 0)] {
            let talk = try Self.offloaded()
            talk.engine.waits(.seconds(2))
            if !flags.isEmpty { #expect(talk.send(.peer, flags) == .pass) }
            for _ in 0..<seconds { talk.engine.waits(.seconds(1)) }
            #expect(talk.engine.engine.fastPathCounts.flows == 0, "\(flags)")
            #expect(try !talk.isPassedByProgram(talk.segment(.peer)))
        }
        let talk = try Self.offloaded()
        for _ in 0..<65 {
            talk.engine.waits(.seconds(1))
            #expect(talk.passesInKernel(talk.segment(.peer), from: .peer))
        }
    }

    @Test("are counted by their rules, those too that pass while the place is being left")
    func counts() throws {
        let talk = try Self.talk()
        for _ in 0..<50 { talk.exchange() }
        talk.engine.waits(.seconds(1))
        #expect(talk.engine.engine.countsOfRules.prefix(2).map(\.packets) == [100, 100])
        let counts = talk.engine.engine.fastPathCounts
        #expect(counts.packets + talk.engine.engine.counters.inspected == 200)
        try talk.engine.reloads(Self.both)
        for _ in 0..<5 { talk.exchange() }
        talk.engine.engine.detachFastPath(at: talk.engine.clock.now)
        #expect(talk.engine.engine.countsOfRules.reduce(0) { $0 + $1.packets } >= 20)
    }

    /// Settings that the program cannot follow.
    private static let unseen = [
        "engine: {sanity: {verify-tcp-checksum: true}}", "engine: {sanity: {own-source: deny}}",
    ]

    @Test("are marked where a setting wants seen what the program does not see", arguments: unseen)
    func obstacle(yaml: String) throws {
        let talk = try Self.talk(Self.both + "\n" + yaml)
        for _ in 0..<3 { talk.exchange() }
        #expect(!talk.passesInKernel(talk.segment(.peer), from: .peer))
        #expect(talk.engine.lastDecision.offloads == .incoming)
    }
}
