// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import PacketWire
import TestSupport
import Testing

@Suite("The fast path in the kernel, of echoes", .loadsPrograms)
struct FastPathEchoTests {
    private static let allow = "rules: [{name: ping, action: force-allow, direction: incoming, protocol: icmp}]\n"
    private let engine: EngineUnderTest

    init() throws { engine = try .withProgram(Self.allow) }

    private func request(_ number: UInt16, id: UInt16 = 7) -> PacketBuilder {
        .toHost.echoRequest(id: id, seq: number).payload(String(repeating: "p", count: 56))
    }

    private func reply(_ number: UInt16, id: UInt16 = 7) -> PacketBuilder {
        .fromHost.echoReply(id: id, seq: number).payload(String(repeating: "p", count: 56))
    }

    /// Whether a packet that has to pass was not seen by the engine.
    private func passesInKernel(_ send: () -> Fate, at location: SourceLocation = #_sourceLocation) -> Bool {
        let judged = engine.engine.counters.inspected
        #expect(send() == .pass, sourceLocation: location)
        return engine.engine.counters.inspected == judged
    }

    private func begin(id: UInt16 = 7) {
        for number in 0..<2 as Range<UInt16> {
            engine.receives(request(number, id: id))
            engine.sends(reply(number, id: id))
        }
    }

    @Test("passes what follows a request, its reply and a second one, both ways")
    func exchange() {
        #expect(!passesInKernel { engine.receives(request(0)) })
        #expect(!passesInKernel { engine.sends(reply(0)) })
        #expect(!passesInKernel { engine.receives(request(1)) })
        for number in 2..<10 as Range<UInt16> {
            #expect(passesInKernel { engine.receives(request(number)) })
            #expect(passesInKernel { engine.sends(reply(number)) })
        }
        #expect(engine.events.isEmpty)
    }

    @Test("also where this host asks")
    func ownRequests() throws {
        try engine.reloads("")
        let ask = PacketBuilder.fromHost.echoRequest(id: 9, seq: 1).payload("p")
        let answer = PacketBuilder.toHost.echoReply(id: 9, seq: 1).payload("p")
        for _ in 0..<2 {
            engine.sends(ask)
            engine.receives(answer)
        }
        #expect(passesInKernel { engine.sends(ask) })
        #expect(passesInKernel { engine.receives(answer) })
    }

    @Test("leaves requests that nobody answers to the engine")
    func unanswered() {
        for number in 0..<5 as Range<UInt16> { #expect(!passesInKernel { engine.receives(request(number)) }) }
        #expect(engine.engine.fastPath.counts.admitted == 0)
    }

    @Test("sends everything else on to the queue")
    func odd() {
        begin()
        let odd: [PacketBuilder] = [
            request(3, id: 8), .toHost.icmp(8, code: 1, rest: 7 << 16 | 3).payload("p"),
            .toHost.echoReply(id: 7, seq: 3),
            .toHost.icmpQuery(13, id: 7, seq: 3).payload(String(repeating: "t", count: 12)),
            request(3).ipOptions([1, 1, 1, 1]), request(3).fragment(0..<32),
        ]
        for packet in odd {
            let judged = engine.engine.counters.inspected + UInt64(engine.engine.heldCount)
            engine.receives(packet)
            #expect(engine.engine.counters.inspected + UInt64(engine.engine.heldCount) > judged, "\(packet.bytes)")
        }
        #expect(!passesInKernel { engine.receives(request(3), on: 3) }, "by another interface")
    }

    @Test("a reply renews nothing")
    func renewal() throws {
        try engine.reloads("engine: {timeouts: {icmp: 10s}}\n" + Self.allow)
        begin()
        engine.waits(.seconds(1))
        #expect(passesInKernel { engine.receives(request(2)) })
        engine.waits(.seconds(8))
        #expect(passesInKernel { engine.sends(reply(2)) }, "the last request was eight seconds ago")
        engine.waits(.seconds(3))
        engine.waits(.seconds(1))
        #expect(!passesInKernel { engine.sends(reply(3)) }, "nobody asks any more")
    }

    @Test("where rules look at types, by what they said of this one; a rule that refuses the other is asked")
    func types() throws {
        try engine.reloads(
            """
            rules:
              - {name: ping, action: force-allow, direction: incoming, protocol: icmp, icmp: {type: echo-request}}
              - {name: no mask, action: deny, direction: incoming, protocol: icmp, icmp: {type: 17}}
            """)
        begin()
        #expect(passesInKernel { engine.receives(request(5)) })
        #expect(engine.receives(.toHost.icmpQuery(17, id: 7, seq: 1).payload("mask")) == .drop(.deny))
        try engine.reloads(
            "rules: [{name: no, action: deny, direction: incoming, protocol: icmp, icmp: {type: echo-request}}]\n")
        #expect(engine.receives(request(6)) == .drop(.deny))
    }

    @Test("says of other queries that they are none")
    func kind() throws {
        for number in 0..<3 as Range<UInt16> {
            engine.receives(.toHost.icmpQuery(13, id: 7, seq: number).payload(String(repeating: "t", count: 12)))
            engine.sends(.fromHost.icmpQuery(14, id: 7, seq: number).payload(String(repeating: "t", count: 12)))
        }
        #expect(engine.engine.fastPathObstacle(of: try engine.onlyConnection()) == .kind)
    }

    @Test("counts what passes there with its exchange")
    func counts() throws {
        begin()
        for number in 2..<12 as Range<UInt16> { #expect(passesInKernel { engine.receives(request(number)) }) }
        engine.waits(.seconds(2))
        let connection = try engine.onlyConnection()
        #expect(connection.trafficOfLow.packets + connection.trafficOfHigh.packets == 14)
        #expect(connection.trafficOfLow.bytes + connection.trafficOfHigh.bytes == 14 * 84)
    }
}
