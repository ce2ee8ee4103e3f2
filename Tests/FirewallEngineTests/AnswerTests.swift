// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import TestSupport
import Testing

@Suite("Answers to refused packets")
struct AnswerTests {
    private static func policy(_ reply: String, more: String = "") -> String {
        """
        interfaces: { inside: [eth1] }
        rules:
          - { name: In, action: deny, direction: incoming, priority: 4, frame: ip, reply: \(reply) }
          - { name: Out, action: deny, direction: outgoing, priority: 4, frame: ip, reply: \(reply) }
        \(more)
        """
    }

    private func engine(_ reply: String, more: String = "") throws -> EngineUnderTest {
        try EngineUnderTest(AnswerTests.policy(reply, more: more), ownUser: AnswerTests.agent)
    }

    private static let agent: UInt32 = 997

    private static func own(_ m: inout PacketMetadata) {
        m.mark = 0x0100_0000
        m.senderUID = agent
    }

    /// The answer decoded, whose source the kernel may still have to choose.
    private func read(_ engine: EngineUnderTest) throws -> PacketHeaders {
        let answer = try #require(engine.lastAnswer)
        let headers = try PacketHeaders(decoding: answer.bytes)
        #expect(headers.destination == answer.answer.destination && headers.network == answer.answer.network)
        if answer.answer.source != .zero || headers.network == .ipv4 {
            #expect(unsafe TransportChecksum.isValid(answer.bytes.span.bytes, headers))
        }
        return headers
    }

    private func silence(_ engine: EngineUnderTest, _ what: Comment, at location: SourceLocation = #_sourceLocation) {
        #expect(engine.lastDecision.verdict == .drop, what, sourceLocation: location)
        #expect(engine.lastAnswer == nil, what, sourceLocation: location)
        #expect(engine.events.last?.reply == Reply.none, what, sourceLocation: location)
    }

    @Test("a refused SYN gets a reset from whom it was sent to, by each way that packets take")
    func reset() throws {
        let engine = try engine("reset")
        let ways: [(PacketBuilder, () -> Fate)] = [
            (.toHost.syn(1, 80), { engine.receives(.toHost.syn(1, 80)) }),
            (.toHost6.syn(1, 80), { engine.receives(.toHost6.syn(1, 80), hook: .input) }),
            (.fromHost.syn(1, 80), { engine.sends(.fromHost.syn(1, 80)) }),
            (.fromHost6.syn(1, 80), { engine.sends(.fromHost6.syn(1, 80)) }),
            (.through.syn(1, 80), { engine.forwards(.through.syn(1, 80), from: 2, to: 3) }),
        ]
        for (packet, judge) in ways {
            #expect(judge() == .drop(.deny))
            let answer = try read(engine)
            let packet = packet.headers
            #expect(answer.source == packet.destination && answer.destination == packet.source)
            #expect(answer.sourcePort == 80 && answer.destinationPort == 1)
            #expect(answer.tcp.flags == [.rst, .ack] && answer.tcp.acknowledgement == 1_001)
            #expect(engine.events.last?.reply == .reset)
            #expect(engine.lastAnswer?.answer.link == 0)
        }
        #expect(engine.engine.counters.answers == [0, 5, 0, 0] && engine.engine.counters.unanswerable == 0)
    }

    @Test("an ICMP error comes from whom was asked; about what is forwarded or sent here, from whom the kernel chooses")
    func errors() throws {
        for (reply, code4, code6) in [("unreachable", UInt8(3), UInt8(4)), ("prohibited", 13, 1)] {
            let engine = try engine(reply)
            #expect(engine.receives(.toHost.syn(1, 80).payload(count: 20)) == .drop(.deny))
            var answer = try read(engine)
            #expect(answer.icmp.type == 3 && answer.icmp.code == code4 && answer.source == .host)
            #expect(engine.receives(.toHost6.udp(1, 53).payload(count: 60), hook: .input) == .drop(.deny))
            answer = try read(engine)
            #expect(answer.icmp.type == 1 && answer.icmp.code == code6 && answer.source == .host6)
            #expect(engine.forwards(.through.udp(1, 53).payload(count: 40), from: 2, to: 3) == .drop(.deny))
            #expect(try read(engine).source.v4 == 0)
            #expect(engine.lastAnswer?.answer.isFromHost == true)
            #expect(engine.sends(.fromHost6.udp(1, 99)) == .drop(.deny))
            #expect(try read(engine).source == .zero)
            #expect(try read(engine).destination == .host6)
            #expect(engine.events.allSatisfy { $0.reply == (reply == "prohibited" ? .prohibited : .unreachable) })
        }
    }

    @Test("what is no TCP gets port unreachable in the place of a reset")
    func resetOfOthers() throws {
        let engine = try engine("reset")
        for packet in [PacketBuilder.toHost.udp(1, 53), .toHost.echoRequest(id: 1, seq: 1), .toHost.upperLayer(47)] {
            #expect(engine.receives(packet.payload(count: 60)) == .drop(.deny))
            #expect(try read(engine).icmp.code == 3)
            #expect(engine.events.last?.reply == .unreachable)
        }
    }

    @Test("no answer is longer than its packet; a reset takes the place of an error that would be")
    func length() throws {
        let engine = try engine("prohibited")
        // 52 bytes are too few for an error about them, which has 56.
        #expect(
            engine.receives(.toHost.tcp(1, 80, .syn, seq: 1, options: [.mss(1460), .windowScale(7), .sackPermitted]))
                == .drop(.deny))
        #expect(try read(engine).tcp.flags == [.rst, .ack] && engine.events.last?.reply == .reset)
        #expect(engine.receives(.toHost6.syn(1, 80)) == .drop(.deny))
        #expect(try read(engine).tcp.flags == [.rst, .ack])
        #expect(engine.receives(.toHost.udp(1, 53).payload(count: 27)) == .drop(.deny))
        silence(engine, "a datagram of 55 bytes")
        #expect(engine.receives(.toHost.udp(1, 53).payload(count: 28)) == .drop(.deny))
        #expect(try read(engine).length == 56)
        #expect(engine.receives(.toHost6.udp(1, 53).payload(count: 47)) == .drop(.deny))
        silence(engine, "a datagram of 95 bytes over IPv6")
        #expect(engine.receives(.toHost6.udp(1, 53).payload(count: 48)) == .drop(.deny))
        #expect(try read(engine).length == 96)
        #expect(engine.sends(.fromHost.udp(1, 99)) == .drop(.deny))
        #expect(try read(engine).length == 56, "it stays on this host")
        #expect(engine.engine.counters.unanswerable == 2)
    }

    @Test("default.reply is for what no rule admits, and for no other reason")
    func byDefault() throws {
        let engine = try EngineUnderTest(
            """
            default: { reply: reset }
            rules:
              - { name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: [80] } }
              - { name: Telnet, action: deny, direction: incoming, protocol: tcp, destination: { ports: [23] } }
            engine: { timeouts: { cold-start: 0s, boot-start: 0s } }
            """)
        engine.engine.listeningPorts.insert(tcp: 99)
        #expect(engine.receives(.toHost.syn(1, 98)) == .drop(.outOfAllowedPolicy))
        #expect(try read(engine).tcp.flags == [.rst, .ack])
        #expect(engine.receives(.toHost.syn(1, 99)) == .drop(.outOfAllowedPolicyOpenPort))
        #expect(engine.lastAnswer != nil)
        #expect(engine.receives(.toHost.syn(1, 23)) == .drop(.deny))
        silence(engine, "a rule without reply")
        #expect(engine.receives(.toHost.tcp(1, 80, .ack, seq: 1, ack: 1)) == .drop(.outOfConnection))
        silence(engine, "a reason of the state")
        #expect(engine.receives(.toHost.tcp(1, 80, [.syn, .fin], seq: 1)).isDrop)
        silence(engine, "a packet that makes no sense")
        #expect(engine.receives(.toHost.syn(1, 80)) == .pass)
        #expect(engine.lastAnswer == nil)
        #expect(engine.engine.counters.unanswerable == 0, "nothing that was to be answered")
    }

    @Test("default.reply ends no connection that the agent has forgotten: this host's next packet takes it up again")
    func forgotten() throws {
        let engine = try EngineUnderTest(
            """
            default: { reply: reset }
            rules:
              - { name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: [80] } }
            engine: { timeouts: { cold-start: 0s, boot-start: 0s } }
            """)
        // What the server of an outgoing connection sends, of which nothing is known any more.
        #expect(engine.sends(.fromHost.tcp(40_000, 5000, .syn, seq: 1)) == .pass)
        #expect(engine.receives(.toHost.tcp(5000, 40_000, [.syn, .ack], seq: 500, ack: 2)) == .pass)
        #expect(engine.sends(.fromHost.tcp(40_000, 5000, .ack, seq: 2, ack: 501)) == .pass)
        engine.clock.advance(by: .seconds(100_000))
        let late = engine.receives(.toHost.tcp(5000, 40_000, [.psh, .ack], seq: 501, ack: 2).payload(count: 10))
        #expect(late == .drop(.outOfAllowedPolicy))
        silence(engine, "a connection that was idle for too long")
        #expect(engine.events.allSatisfy { $0.reply == Reply.none })
    }

    @Test("what must not be answered is not (RFC 1122 section 3.2.2, RFC 4443 section 2.4)")
    func never() throws {
        let engine = try engine("unreachable")
        let error = PacketBuilder.fromHost.udp(1, 53).payload(count: 60)
        let silent: [(PacketBuilder, Comment)] = [
            (.ipv4(from: .peer, to: "224.0.0.251").udp(1, 53), "multicast"),
            (.ipv4(from: .peer, to: "255.255.255.255").udp(1, 53), "limited broadcast"),
            (.ipv4(from: .peer, to: "192.0.2.255").udp(1, 53), "directed broadcast"),
            (.ipv6(from: .peer6, to: "ff02::fb").udp(1, 53), "multicast over IPv6"),
            (.ipv4(from: "0.0.0.0", to: .host).udp(68, 67), "from nobody"),
            (.ipv4(from: "192.0.2.255", to: .host).udp(1, 53), "from a broadcast address"),
            (.ipv4(from: "240.0.0.1", to: .host).udp(1, 53), "from a reserved address"),
            (.ipv4(from: .host, to: .host).udp(1, 53), "from an address of this host"),
            (.toHost.tcp(1, 80, .rst, seq: 1), "a reset"),
            (.toHost.unreachable(code: 3, quoting: error), "an ICMP error"),
            (.toHost.redirect(quoting: error), "a redirect"),
            (.toHost.echoReply(id: 1, seq: 1), "a reply"),
            (.toHost6.icmp(135), "neighbour discovery"),
        ]
        for (packet, what) in silent {
            _ = engine.receives(packet.payloadAtLeast(60), hook: .input)
            if engine.lastDecision.reason == .deny { silence(engine, what) }
            #expect(engine.lastAnswer == nil, what)
        }
        #expect(engine.receives(.toHost.udp(1, 53).payload(count: 60), hook: .input) == .drop(.deny))
        #expect(engine.lastAnswer != nil, "the nearest that is answered")
        #expect(
            engine.receives(.toHost.udp(1, 53).payload(count: 60)) { $0.destinationMAC = "ff:ff:ff:ff:ff:ff" }
                == .drop(.deny))
        silence(engine, "a broadcast of the link")
        #expect(engine.sends(.ipv4(from: .other, to: .peer).udp(1, 99)) == .drop(.deny))
        silence(engine, "in another's name: its answer would leave this host")
    }

    @Test("of a datagram's fragments the first is answered, and none of a segment's")
    func fragments() throws {
        let engine = try engine("unreachable")
        let pieces = PacketBuilder.toHost.udp(1, 53).payload(count: 400).fragmented(at: 200)
        #expect(engine.receives(pieces[0]) == .drop(.deny))
        #expect(try read(engine).quoted.destinationPort == 53)
        for piece in pieces.dropFirst() {
            #expect(engine.receives(piece) == .drop(.deny))
            silence(engine, "a later fragment")
        }
        let segments = PacketBuilder.toHost.syn(1, 80).payload(count: 400).identification(8).fragmented(at: 200)
        #expect(engine.receives(segments[0]) == .drop(.deny))
        silence(engine, "a part of a segment")
    }

    @Test("a checksum that nobody has verified is, and a wrong one gets nothing")
    func checksums() throws {
        let engine = try engine("unreachable")
        for packet in [PacketBuilder.toHost.syn(1, 80), .toHost.udp(1, 53), .toHost6.echoRequest(id: 1, seq: 1)] {
            let packet = packet.payload(count: 60)
            #expect(engine.receives(packet) { $0.checksumNotVerified = true }.isDrop)
            #expect(engine.lastAnswer != nil)
            #expect(engine.receives(packet.transportChecksum(0x1234)) { $0.checksumNotVerified = true }.isDrop)
            #expect(engine.lastAnswer == nil)
            #expect(engine.receives(packet.transportChecksum(0x1234)).isDrop)
            #expect(engine.lastAnswer != nil, "the kernel, or a device, has verified it")
        }
    }

    @Test("in tap mode nothing is refused, so nothing is answered; nor where nobody sends")
    func tap() throws {
        let engine = try engine("reset", more: "mode: tap")
        #expect(engine.receives(.toHost.syn(1, 80)) == .passReporting(.deny))
        #expect(engine.lastAnswer == nil && engine.events.last?.reply == Reply.none)
        let idle = try self.engine("reset")
        idle.engine.canAnswer = false
        #expect(idle.receives(.toHost.syn(1, 80)) == .drop(.deny))
        #expect(idle.lastAnswer == nil && idle.events.last?.reply == Reply.none)
    }

    @Test("a connection that a new policy refuses is reset with the number that its sender expects")
    func afterReload() throws {
        let engine = try EngineUnderTest("", ownUser: AnswerTests.agent)
        #expect(engine.receives(.toHost.syn(1, 80)) == .pass)
        #expect(engine.sends(.fromHost.tcp(80, 1, [.syn, .ack], seq: 500, ack: 1_001)) == .pass)
        #expect(engine.receives(.toHost.tcp(1, 80, .ack, seq: 1_001, ack: 501)) == .pass)
        try engine.reloads(AnswerTests.policy("reset"))
        #expect(
            engine.receives(.toHost.tcp(1, 80, [.ack, .psh], seq: 1_001, ack: 501).payload("more")) == .drop(.deny))
        let answer = try read(engine)
        #expect(answer.tcp.flags == .rst && answer.tcp.sequence == 501)
        #expect(engine.sends(.fromHost.tcp(80, 1, .rst, seq: 501), AnswerTests.own) == .pass)
        #expect(engine.lastAnswer == nil)
    }

    @Test("the agent's own answers pass, out and in again by the loopback interface, and those of others do not")
    func ownAnswers() throws {
        let engine = try engine("reset", more: "engine: { timeouts: { cold-start: 0s, boot-start: 0s } }\n")
        let refused = PacketBuilder.fromHost.syn(1, 80)
        let answers: [PacketBuilder] = [
            .toHost.tcp(80, 1, [.rst, .ack], seq: 0, ack: 1_001),
            .ipv4(from: .host, to: .host).unreachable(code: 3, quoting: refused),
        ]
        try engine.reloads(AnswerTests.policy("reset").replacingIgnored())
        for answer in answers {
            let before = engine.events.count
            #expect(engine.receives(answer, on: 1, hook: .input).isDrop, "nobody has sent it")
            #expect(engine.sends(answer, on: 1).isDrop, "somebody else has")
            #expect(engine.events.count == before + 2)
            #expect(engine.sends(answer, on: 1, AnswerTests.own) == .pass)
            #expect(engine.receives(answer, on: 1, hook: .input) == .pass)
            #expect(engine.receives(answer, on: 1, hook: .input).isDrop, "once")
            #expect(engine.events.count == before + 3, "no event of the agent's own")
        }
        #expect(engine.sends(.fromHost.tcp(80, 1, [.rst, .ack], seq: 0, ack: 1), AnswerTests.own) == .pass)
        #expect(engine.connections == 0)
    }

    @Test("one computer gets a hundred answers at once and a hundred a second, all get a thousand")
    func rate() throws {
        let engine = try engine("reset")
        func floods(_ count: Int, from source: (Int) -> IPAddress) -> Int {
            let before = engine.engine.counters.answers.reduce(0, +)
            for number in 0..<count {
                #expect(engine.receives(.ipv4(from: source(number), to: .host).syn(1, 80)).isDrop)
            }
            return Int(engine.engine.counters.answers.reduce(0, +) - before)
        }
        #expect(floods(300) { _ in .peer } == 100)
        #expect(engine.engine.counters.answersWithheld == 200)
        engine.waits(.milliseconds(500))
        #expect(floods(300) { _ in .peer } == 50)
        engine.waits(.seconds(60))
        #expect(floods(1_000) { IPAddress(v4: 0xc633_6400 + UInt32($0)) } == 100, "all together, at once")
        engine.waits(.milliseconds(50))
        #expect(floods(1_000) { IPAddress(v4: 0xc633_6400 + UInt32($0)) } == 50)
    }

    @Test("a link-local address is answered by the interface of its link")
    func linkLocal() throws {
        let engine = try engine("reset", more: "engine: { sanity: { link-local: allow } }")
        #expect(engine.receives(.ipv6(from: "fe80::99", to: "fe80::10").syn(1, 80)) == .drop(.deny))
        #expect(engine.lastAnswer?.answer.link == 2)
        #expect(engine.sends(.ipv6(from: "fe80::10", to: "fe80::99").syn(1, 80)) == .drop(.deny))
        #expect(engine.lastAnswer?.answer.link == 2)
    }

    @Test("more than a batch has room for is withheld, and counted")
    func room() throws {
        let engine = try engine("reset")
        for number in UInt16(0)..<40 {
            let bytes = PacketBuilder.toHost.syn(number, 80).bytes
            var metadata = PacketMetadata()
            metadata.inInterface = 2
            metadata.fullLength = UInt32(bytes.count)
            _ = unsafe engine.engine.inspect(bytes.span.bytes, metadata, at: engine.clock.now)
        }
        #expect(engine.engine.answers.waiting.count == Answers.capacity)
        #expect(engine.engine.counters.answersWithheld == UInt64(40 - Answers.capacity))
    }

    @Test("what is said of a packet is what it gets", arguments: ["reset", "unreachable", "prohibited", "none"])
    func explained(_ reply: String) throws {
        let engine = try engine(reply)
        for packet in [PacketBuilder.toHost.syn(1, 80), .toHost.udp(1, 53), .toHost.tcp(1, 2, .rst, seq: 1)] {
            engine.engine.steps = []
            _ = engine.receives(packet)
            guard case .refused(let refused)? = engine.engine.steps?.last else {
                Issue.record("no refusal")
                continue
            }
            #expect(refused.reply == engine.events.last?.reply)
            #expect((refused.silence != nil) == (reply != "none" && engine.lastAnswer == nil))
        }
    }
}

extension PacketBuilder {
    fileprivate static let through = PacketBuilder.ipv4(from: .peer, to: "203.0.113.5")

    /// With as much payload unless it has some.
    fileprivate func payloadAtLeast(_ count: Int) -> PacketBuilder {
        headers.transport == .udp ? payload(count: count) : self
    }
}

extension Fate {
    fileprivate var isDrop: Bool { if case .drop = self { true } else { false } }
}

extension String {
    /// A policy that judges the loopback interface, too.
    fileprivate func replacingIgnored() -> String {
        split(separator: "\n").map { $0.hasPrefix("interfaces:") ? "interfaces: { ignore: [], inside: [eth1] }" : $0 }
            .joined(separator: "\n")
    }
}
