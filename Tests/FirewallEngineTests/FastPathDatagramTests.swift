// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import PacketWire
import TestSupport
import Testing

@Suite("The fast path in the kernel, of datagrams", .loadsPrograms)
struct FastPathDatagramTests {
    private static let allow = "rules: [{name: dns, action: force-allow, direction: incoming, protocol: udp}]\n"
    private let engine: EngineUnderTest

    enum Version: CaseIterable {
        case four, six
    }

    init() throws { engine = try .withProgram(Self.allow) }

    private func question(_ bytes: Int = 20, _ version: Version = .four) -> PacketBuilder {
        let ip: PacketBuilder = version == .four ? .toHost : .ip(from: .peer6, to: .host6)
        return ip.udp(5000, 53).payload(String(repeating: "q", count: bytes))
    }

    private func answer(_ bytes: Int = 20, _ version: Version = .four) -> PacketBuilder {
        let ip: PacketBuilder = version == .four ? .fromHost : .ip(from: .host6, to: .peer6)
        return ip.udp(53, 5000).payload(String(repeating: "a", count: bytes))
    }

    /// Whether a packet that has to pass was not seen by the engine.
    private func passesInKernel(_ send: () -> Fate, at location: SourceLocation = #_sourceLocation) -> Bool {
        let judged = engine.engine.counters.inspected
        #expect(send() == .pass, sourceLocation: location)
        return engine.engine.counters.inspected == judged
    }

    /// Both directions of a stream are there.
    private func beginStream(_ version: Version = .four) {
        for _ in 0..<3 {
            engine.receives(question(20, version))
            engine.sends(answer(20, version))
        }
    }

    @Test(
        "passes what follows a question, its answer and a second one, both ways, of any length",
        arguments: Version.allCases)
    func stream(_ version: Version) {
        beginStream(version)
        for bytes in [1, 11, 12, 13, 1400] {
            #expect(passesInKernel { engine.receives(question(bytes, version)) })
            #expect(passesInKernel { engine.sends(answer(bytes, version)) })
        }
        #expect(engine.events.isEmpty)
    }

    @Test("leaves what this host opens to the engine where rules ask who sends, and not what it answers")
    func senders() throws {
        let engine = try EngineUnderTest.withProgram(
            Self.allow.dropLast(2) + ", {name: web, action: allow, direction: outgoing, sender: {users: 33}}]\n")
        func passes(_ send: () -> Fate) -> Bool {
            let judged = engine.engine.counters.inspected
            #expect(send() == .pass)
            return engine.engine.counters.inspected == judged
        }
        func sends() -> Fate { engine.sends(.fromHost.udp(40_000, 443).payload("q")) { $0.senderUID = 33 } }
        for _ in 0..<4 {
            #expect(!passes(sends))
            engine.receives(.toHost.udp(443, 40_000).payload("a"))
        }
        #expect(passes { engine.receives(.toHost.udp(443, 40_000).payload("a")) })
        let other = engine.sends(.fromHost.udp(40_000, 443).payload("q")) { $0.senderUID = 1_000 }
        #expect(other == .drop(.outOfAllowedPolicy))
    }

    @Test("leaves a question with its answers to the engine")
    func singleQuestion() {
        engine.receives(question())
        for _ in 0..<3 { #expect(!passesInKernel { engine.sends(answer()) }) }
        #expect(engine.engine.fastPath.counts.admitted == 0)
        #expect(!passesInKernel { engine.receives(question()) }, "it has become a stream by this")
        #expect(passesInKernel { engine.receives(question()) })
        #expect(!passesInKernel { engine.sends(answer()) }, "each direction by itself")
        #expect(passesInKernel { engine.sends(answer()) })
    }

    @Test("sends everything else on to the queue")
    func odd() {
        beginStream()
        let odd: [PacketBuilder] = [
            question(0), question().udpLength(27), question().udpLength(29), question().ipOptions([1, 1, 1, 1]),
            question(200).fragment(0..<160), .toHost.udp(5001, 53).payload("q"), .toHost.udp(5000, 54).payload("q"),
            .toHost.upperLayer(136).payload(String(repeating: "q", count: 20)),
        ]
        for packet in odd {
            let judged = engine.engine.counters.inspected + UInt64(engine.engine.heldCount)
            engine.receives(packet)
            #expect(engine.engine.counters.inspected + UInt64(engine.engine.heldCount) > judged, "\(packet.bytes)")
        }
        #expect(!passesInKernel { engine.receives(question(), on: 3) }, "by another interface")
        #expect(!passesInKernel { engine.receives(answer()) }, "what claims to be this host's own")
    }

    @Test("is left at once where the policy changes, and closed when the lease is over")
    func ends() throws {
        beginStream()
        try engine.reloads("rules: [{name: no, action: deny, direction: incoming, protocol: udp}]\n")
        #expect(engine.receives(question()) == .drop(.deny))
        try engine.reloads(Self.allow)
        beginStream()
        #expect(passesInKernel { engine.receives(question()) })
        try #require(engine.program).clear()
        #expect(!passesInKernel { engine.receives(question()) })
    }

    @Test("counts what passes there with its exchange")
    func counts() throws {
        beginStream()
        for _ in 0..<10 { #expect(passesInKernel { engine.receives(question(72)) }) }
        engine.waits(.seconds(2))
        let connection = try engine.onlyConnection()
        #expect(connection.trafficOfLow.packets + connection.trafficOfHigh.packets == 16)
        #expect(connection.trafficOfLow.bytes + connection.trafficOfHigh.bytes == 6 * 48 + 10 * 100)
        #expect(engine.engine.fastPath.counts.packets >= 10)
    }

    @Test("is not for what is sent to a group")
    func group() throws {
        let group = PacketBuilder.ip(from: .host, to: "224.0.0.251").udp(5353, 5353).payload("who")
        for _ in 0..<3 {
            engine.sends(group)
            engine.waits(.seconds(1))
            engine.receives(.ip(from: "224.0.0.251", to: .host).udp(5353, 5353).payload("I"))
        }
        #expect(engine.engine.fastPath.counts.admitted == 0)
    }
}
