// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import TestSupport
import Testing

@Suite("Each rule counts the packets that it has decided about")
struct RuleCountTests {
    private static let rules = """
        rules:
          - { name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }
          - { name: No telnet, action: deny, direction: incoming, priority: 2, protocol: tcp, destination: { ports: 23 } }
          - { name: Seen, action: log-only, direction: incoming, protocol: tcp, destination: { ports: [23, 80] } }
          - { name: Past, action: bypass, direction: incoming, protocol: udp, destination: { ports: 53 } }
        """

    private func count(_ engine: EngineUnderTest, _ name: String) -> RuleCount {
        let rule = engine.policy.rules.firstIndex { $0.name == name } ?? -1
        return engine.engine.countsOfRules[rule]
    }

    @Test(
        "Of a connection each packet that it decided, dropped ones, and what a Log Only rule told of; with the first and last time"
    )
    func packets() throws {
        let engine = try EngineUnderTest(Self.rules)
        let began = engine.clock.now
        let talk = TCPTalk(engine)
        for _ in 0..<1 {
            talk.send(.peer, .syn)
            talk.send(.host, [.syn, .ack])
            talk.send(.peer)
        }
        engine.waits(.seconds(3))
        talk.exchange(500)
        #expect(engine.receives(.toHost.syn(40_000, 23)) == .drop(.deny))
        #expect(engine.receives(.toHost.udp(9, 53)) == .pass)
        let syn = UInt64(talk.segment(.peer, .syn).bytes.count)
        let web = count(engine, "Web")
        #expect(web.packets == 4 && web.bytes == syn + 3 * 40 + 500, "what the host sends is for outgoing rules")
        #expect(web.first == began && web.last == engine.clock.now)
        #expect(count(engine, "No telnet").packets == 1 && count(engine, "Past").packets == 1)
        #expect(count(engine, "Seen").packets == 4, "not of what was dropped")
        // What no rule decides counts for none.
        #expect(engine.engine.countsOfRules.reduce(0) { $0 + $1.packets } == 10)
    }

    @Test("Over a reload the rules that are kept go on, wherever they stand, and others begin")
    func reload() throws {
        let engine = try EngineUnderTest(Self.rules)
        for _ in 0..<3 { engine.receives(.toHost.syn(40_000, 23)) }
        engine.receives(.toHost.udp(9, 53))
        let before = engine.policy.rules
        let new = try EngineUnderTest.policy(
            """
            rules:
              - { name: Past, action: bypass, direction: incoming, protocol: udp, destination: { ports: 53 } }
              - { name: New, action: deny, direction: incoming, protocol: udp, destination: { ports: 54 } }
              - { name: No telnet, action: deny, direction: incoming, priority: 2, protocol: tcp, destination: { ports: 23 } }
            """, epoch: 2)
        let kept = new.rules.map { rule in Int32(before.firstIndex { $0.name == rule.name } ?? -1) }
        engine.engine.adopt(
            new, interfaces: EngineUnderTest.interfaces(new), activeSchedules: 0, keepingCountsOf: kept)
        engine.receives(.toHost.syn(40_000, 23))
        engine.receives(.toHost.udp(9, 54))
        #expect(engine.engine.countsOfRules.prefix(3).map(\.packets) == [1, 1, 4])
    }

    @Test(
        "What passes in the kernel is counted for the rule that let it there, and after a reload for where that is now",
        .loadsPrograms)
    func fastPath() throws {
        let engine = try EngineUnderTest.withProgram(Self.fastRules)
        let talk = TCPTalk(engine)
        talk.open()
        for _ in 0..<20 { talk.exchange(100) }
        engine.waits(.seconds(2))
        let counts = engine.engine.countsOfRules
        #expect(engine.engine.fastPathCounts.packets > 20)
        #expect(counts[1].packets == 2 + 40, "the SYN, its last ACK, and two packets of each exchange")
        let new = try EngineUnderTest.policy(Self.fastRulesTurned, epoch: 2)
        for _ in 0..<20 { talk.exchange(100) }
        engine.engine.adopt(
            new, interfaces: EngineUnderTest.interfaces(new), activeSchedules: 0, keepingCountsOf: [1, 0])
        engine.waits(.seconds(2))
        #expect(engine.engine.countsOfRules[0].packets == 2 + 80, "with what was taken up only afterwards")
        #expect(engine.engine.countsOfRules[1].packets == 0)
    }

    private static let fastRules = """
        rules:
          - { name: Other, action: allow, direction: incoming, protocol: tcp, destination: { ports: 81 } }
          - { name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }
        """
    private static let fastRulesTurned = """
        rules:
          - { name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }
          - { name: Other, action: allow, direction: incoming, protocol: tcp, destination: { ports: 81 } }
        """
}
