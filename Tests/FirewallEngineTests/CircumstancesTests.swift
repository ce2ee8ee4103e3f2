// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import TestSupport
import Testing

/// An engine that is told the circumstances of one packet judges it as the engine that told them: this is what `portreeve explain`
/// says of a running agent.
@Suite("An engine that is told of the present judges as the one that told it")
struct CircumstancesTests {
    @Test("For each reason and cause: what raises it, all that comes before, and what must not", arguments: cases)
    func each(_ reasonCase: ReasonCase) throws {
        for last in [reasonCase.raises, reasonCase.spares] {
            let engine = try EngineUnderTest(reasonCase.policy)
            engine.mirror = Mirror()
            try reasonCase.scene(engine)
            _ = try last(engine)
            #expect(engine.mirror?.differences == [])
        }
    }

    /// But for what is not told: fragments; and an entry that a test has damaged by hand, which is no record.
    private static let cases = (ReasonCase.all + ReasonCase.explained).filter {
        $0.reason.stage != .fragments && $0.reason != .internalStatesError
    }

    @Test("In tap mode, after a reload, in the cold start and after packets unseen")
    func standings() throws {
        let allow =
            "rules: [{ name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }]"
        for (policy, startsNow) in [(allow, false), (allow, true), ("mode: tap\n" + allow, false)] {
            let engine = try EngineUnderTest(policy, startsNow: startsNow)
            engine.mirror = Mirror()
            engine.receives(.toHost.tcp(7, 80, .ack, seq: 5, ack: 7))
            engine.receives(.toHost.tcp(7, 80, .ack, seq: 1 << 30, ack: 7))
            engine.receives(.toHost.syn(8, 81))
            engine.receives(.toHost.tcp(8, 81, .ack, seq: 1_001, ack: 7))
            TCPTalk(engine).open()
            engine.engine.notePassedUnseen(at: engine.clock.now)
            engine.receives(.toHost.tcp(40_000, 80, .ack, seq: 1 << 30, ack: 7))
            engine.receives(.toHost.tcp(40_000, 80, .ack, seq: 1 << 30, ack: 7))
            try engine.reloads(allow.replacing("80", with: "82"))
            engine.receives(.toHost.tcp(40_000, 80, .ack, seq: 1 << 30, ack: 7))
            engine.receives(.toHost.syn(9, 80))
            engine.waits(.hours(9))
            engine.receives(.toHost.tcp(40_000, 80, .ack, seq: 1 << 30, ack: 7))
            #expect(engine.mirror?.differences == [])
            #expect((engine.mirror?.compared ?? 0) > 8)
        }
    }

    @Test("Where a table is full, or a computer at its limit")
    func limits() throws {
        let table = "failure: { engine: open }\nengine: { limits: { tcp: 3, udp: 2 } }"
        let computer = "stateful: { tcp: { limits: { incoming-per-computer: 2, half-open-per-computer: 2 } } }"
        for policy in [table, computer] {
            let engine = try EngineUnderTest(policy)
            engine.mirror = Mirror()
            for port in 1...6 as ClosedRange<UInt16> {
                engine.receives(.toHost.syn(port, 80))
                engine.sends(.fromHost.udp(port, 53))
                engine.receives(.toHost.tcp(port + 100, 80, .ack, seq: 5, ack: 7))
                engine.receives(.toHost.udp(53, port + 100))
            }
            #expect(engine.mirror?.differences == [])
        }
    }

    @Test(
        "To a listener in cookie mode, and to one that was",
        arguments: ["", "half-open-per-computer: 2", "half-open: 4", "half-open-per-computer: 1, half-open: 12"])
    func cookies(limits: String) throws {
        let engine = try EngineUnderTest.withCookies(threshold: 10, limits: limits)
        engine.mirror = Mirror()
        engine.flood(14)
        #expect(engine.isFlooded || limits == "half-open: 4")
        for port in 1...5 as ClosedRange<UInt16> { engine.receives(.toHost.syn(port, 80)) }
        engine.receives(.toHost.syn(1, 80))
        // Whether its computer may have another or not.
        engine.receives(.toHost.syn(40_000, 80))
        engine.sends(.fromHost.tcp(80, 40_000, [.syn, .ack], seq: 900, ack: 1_001))
        engine.receives(.toHost.tcp(40_000, 80, .ack, seq: 1_001, ack: 901))
        engine.sends(.fromHost.tcp(80, 40_000, .ack, seq: 901, ack: 1_001))
        engine.receives(.toHost.tcp(40_000, 80, .ack, seq: 1_001, ack: 901).payload("GET"))
        engine.receives(.toHost.tcp(7, 80, .ack, seq: 5, ack: 9))
        // The same again, more of it, and what its window does not hold.
        engine.receives(.toHost.tcp(7, 80, .ack, seq: 5, ack: 9))
        engine.receives(.toHost.tcp(7, 80, .ack, seq: 5, ack: 9).payload("GET"))
        engine.receives(.toHost.tcp(7, 80, .ack, seq: 1 << 30, ack: 9))
        engine.receives(.toHost.syn(7, 80))
        engine.sends(.fromHost.tcp(80, 7, .rst, seq: 9, ack: 0))
        engine.receives(.toHost.tcp(8, 80, .rst, seq: 9, ack: 0))
        engine.receives(.toHost.tcp(8, 80, [.fin, .ack], seq: 9, ack: 1))
        engine.receives(.toHost.tcp(8, 81, .ack, seq: 9, ack: 1))
        // SYNs that pass before the queue.
        _ = engine.engine.beginCookies(to: .host, 80, version: 4, passed: 30, at: engine.clock.now)
        engine.receives(.toHost.tcp(1, 80, .ack, seq: 77, ack: 9))
        engine.idles(70)
        engine.receives(.toHost.tcp(9, 80, .ack, seq: 5, ack: 9))
        engine.idles(600)
        engine.receives(.toHost.tcp(10, 80, .ack, seq: 5, ack: 9))
        #expect(engine.mirror?.differences == [])
        #expect((engine.mirror?.compared ?? 0) > 30)
    }

    @Test("An ACK for which there is no room to wait")
    func noRoomToWait() throws {
        let engine = try EngineUnderTest.withCookies(threshold: 1)
        engine.flood(2)
        let refused = try #require(
            (1...60_000 as ClosedRange<UInt16>).first { port in
                engine.receives(.toHost.tcp(port, 80, .ack, seq: 5, ack: 9)) != .pass
            })
        engine.mirror = Mirror()
        engine.receives(.toHost.tcp(refused, 80, .ack, seq: 5, ack: 9))
        #expect(engine.lastEvent?.reason == .outOfConnection)
        #expect(engine.mirror?.differences == [])
        #expect(engine.mirror?.compared == 1)
    }

    @Test("Where the policy is another one, the opening is judged again by it")
    func otherPolicy() throws {
        let engine = try EngineUnderTest("rules: [{ name: Web, action: allow, direction: incoming, protocol: tcp }]")
        engine.receives(.toHost.syn(7, 80))
        engine.sends(.fromHost.tcp(80, 7, [.syn, .ack], seq: 9, ack: 1_001))
        let bytes = PacketBuilder.toHost.tcp(7, 80, .ack, seq: 1_001, ack: 10).bytes
        let stricter = try EngineUnderTest.policy(
            "rules: [{ name: No web, action: deny, direction: incoming, protocol: tcp }]", epoch: 9)
        let refused = try #require(
            Mirror.judge(bytes, engine.metadata(of: bytes), by: stricter, asToldBy: engine, false))
        #expect(refused.reason == .deny)
        #expect(Mirror.judge(bytes, engine.metadata(of: bytes), by: engine.policy, asToldBy: engine, true) == nil)
    }

    @Test("Rules that are not there decide nothing")
    func hostileRules() throws {
        let engine = try EngineUnderTest("rules: [{ name: Web, action: allow, direction: incoming, protocol: tcp }]")
        engine.receives(.toHost.syn(7, 80))
        var list: [Connection] = []
        _ = engine.engine.connections(from: 0, atMost: 9, into: &list)
        for rule in [Int32.max, -2, .min, 1] {
            let bytes = PacketBuilder.toHost.syn(7, 80).bytes
            let packet = unsafe try #require(PacketIdentity(bytes.span.bytes, engine.metadata(of: bytes)))
            var told = engine.engine.circumstances(of: packet, on: 2, at: engine.clock.now)
            var hostile = list[0]
            hostile.refusal = Refusal(reason: 255, rule: rule)
            hostile.decisionOfLow.rule = rule
            hostile.decisionOfHigh.logOnlyRule = rule
            told.connections = [hostile]
            let other = try EngineUnderTest(engine.policy)
            other.engine.assume(told, of: packet, isInForce: true)
            _ = unsafe other.engine.inspect(bytes.span.bytes, engine.metadata(of: bytes), at: told.now)
            #expect(other.engine.counters.inspected == 1)
        }
    }
}

extension EngineUnderTest {
    /// Of a packet that comes in from outside.
    fileprivate func metadata(of bytes: [UInt8]) -> PacketMetadata {
        var metadata = PacketMetadata()
        metadata.inInterface = 2
        metadata.fullLength = UInt32(bytes.count)
        return metadata
    }
}

/// Judges each packet beside an engine, by another that is told of the present, and compares.
final class Mirror {
    private(set) var differences: [String] = []
    private(set) var compared = 0

    /// To be called before the engine judges the packet.
    func foretell(_ bytes: [UInt8], _ metadata: PacketMetadata, by engine: EngineUnderTest) -> Step.Refused?? {
        var headers = PacketHeaders()
        let traits = PacketTraits(fullLength: metadata.fullLength, isCapture: metadata.hook == .none)
        guard unsafe (try? headers.decodePacket(bytes.span.bytes, etherType: metadata.etherType, traits)) != nil,
            headers.isIP
        else {
            return nil
        }
        let settings = engine.policy.document
        let ftp = settings.stateful.ftp
        let readsPayload =
            settings.engine.antiEvasion.evasiveRetransmit != .allow || ftp.admitsIncomingActive
            || ftp.admitsOutgoingActive
            || ftp.admitsIncomingPassive || ftp.admitsOutgoingPassive
        if headers.fragment.isFragment || readsPayload && headers.transport == .tcp { return nil }
        // The copy of what this host has sent to a group.
        if metadata.direction == .incoming, [.host, .host6, "fe80::10"].contains(headers.source) { return nil }
        return Mirror.judge(bytes, metadata, by: engine.policy, asToldBy: engine, true)
    }

    func compare(_ foretold: Step.Refused?, with engine: EngineUnderTest, _ last: Step.Refused?) {
        compared += 1
        func text(_ r: Step.Refused?) -> String {
            r.map { "\($0.reason) \($0.cause) \($0.rule) \($0.remedy.causes) \($0.remedyRule) \($0.passes)" }
                ?? "passes"
        }
        if text(foretold) != text(last) { differences.append("told: \(text(foretold)); is: \(text(last))") }
    }

    /// Why it is refused; nil: it passes.
    static func judge(
        _ bytes: [UInt8], _ metadata: PacketMetadata, by policy: Policy, asToldBy engine: EngineUnderTest,
        _ isInForce: Bool
    ) -> Step.Refused? {
        guard let packet = unsafe PacketIdentity(bytes.span.bytes, metadata) else { return nil }
        var told = engine.engine.circumstances(of: packet, on: metadata.inInterface, at: engine.clock.now)
        engine.engine.tell(of: packet, into: &told)
        // As on the way through the control socket.
        told.connections = told.connections.compactMap {
            unsafe ConnectionRecord.decodeWhole(ConnectionRecord.whole($0).span.bytes, now: told.now)
        }
        guard let other = try? EngineUnderTest(policy) else { return nil }
        other.engine.assume(told, of: packet, isInForce: isInForce)
        other.engine.steps = []
        _ = unsafe other.engine.inspect(bytes.span.bytes, metadata, at: told.now)
        return other.engine.steps?.lastRefusal
    }
}

extension [Step] {
    var lastRefusal: Step.Refused? {
        if case .refused(let refused)? = last { return refused }
        return nil
    }
}
