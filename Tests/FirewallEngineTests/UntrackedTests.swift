// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import FirewallPolicy
import PacketWire
import TestSupport
import Testing

/// Ways of a policy to leave the connections of the tests alone.
private let untracking = [
    "stateful: { tcp: { enabled: false } }",
    "interfaces: { ignore: [lo, eth0] }",
    """
    lists: { web: { ports: [80] } }
    rules:
      - { name: In, action: bypass, direction: incoming, protocol: tcp, destination: { ports: web } }
      - { name: Out, action: bypass, direction: outgoing, protocol: tcp, source: { ports: web } }
    """,
]

@Suite("TCP connections that a policy left untracked, and the next one tracks")
struct UntrackedTests {
    private static let web = """
        rules: [{ name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }]
        """

    @Test("What was opened untracked goes on", arguments: untracking)
    func openedUntracked(_ before: String) throws {
        let engine = try EngineUnderTest(before)
        let talk = TCPTalk(engine)
        talk.open()
        talk.exchange()
        try engine.reloads(UntrackedTests.web)
        talk.exchange()
        talk.close()
        #expect(engine.events.isEmpty)
    }

    @Test("What was tracked before and went on untracked goes on", arguments: untracking)
    func wentOnUntracked(_ between: String) throws {
        let engine = try EngineUnderTest(UntrackedTests.web)
        let talk = TCPTalk(engine)
        talk.open()
        try engine.reloads(between)
        for _ in 0..<3 { talk.exchange(1 << 15) }
        talk.host.next &+= 1 << 30
        talk.peer.expected = talk.host.next
        talk.exchange()
        try engine.reloads(UntrackedTests.web)
        talk.exchange()
        talk.close()
        #expect(engine.events.isEmpty)
    }

    @Test("What the next policy would not admit is not admitted", arguments: untracking)
    func refused(_ before: String) throws {
        let engine = try EngineUnderTest(before)
        let talk = TCPTalk(engine)
        talk.open()
        try engine.reloads(
            """
            rules:
              - { name: Other, action: allow, direction: incoming, protocol: tcp, destination: { ports: 81 } }
              - { name: Out, action: allow, direction: outgoing, protocol: tcp, destination: { ports: 443 } }
            """)
        #expect(talk.send(.peer, data: 5) == .drop(.outOfAllowedPolicy))
    }

    @Test("Forwarded connections go on when they begin to be judged")
    func forwarded() throws {
        let engine = try EngineUnderTest()
        let segment = PacketBuilder.ipv4(from: .peer, to: .other).tcp(1, 80, .ack, seq: 7, ack: 9).payload(count: 5)
        #expect(engine.forwards(segment, from: 2, to: 3) == .pass)
        try engine.reloads("interfaces: { inside: [eth1] }")
        #expect(engine.forwards(segment, from: 2, to: 3) == .pass)
        #expect(engine.events.isEmpty)
    }

    @Test("The end of a schedule ends a Bypass rule the same way")
    func schedule() throws {
        let engine = try EngineUnderTest(
            """
            schedules: { night: { timezone: UTC, weekly: { mon: ["00:00-06:00"] } } }
            rules:
              - { name: In, action: bypass, direction: incoming, protocol: tcp, schedule: night }
              - { name: Out, action: bypass, direction: outgoing, protocol: tcp, schedule: night }
            """)
        engine.engine.setActiveSchedules(1, at: engine.clock.now)
        let talk = TCPTalk(engine)
        talk.open()
        engine.engine.setActiveSchedules(0, at: engine.clock.now)
        talk.exchange()
        #expect(engine.events.isEmpty)
    }

    @Test("A policy that leaves nothing more untracked than before admits nothing in mid-stream", arguments: untracking)
    func sameAsBefore(_ policy: String) throws {
        let stranger = PacketBuilder.toHost6.tcp(1, 81, .ack, seq: 7, ack: 9).payload(count: 5)
        let engine = try EngineUnderTest(policy)
        let fate = engine.receives(stranger, on: 3)
        let renamed = policy.replacing("web", "http").replacing("In", "Into").replacing("rules:", "# moved\nrules:")
        for next in [policy, renamed, policy + "\nevents: { fold: 2s }"] {
            try engine.reloads(next)
            #expect(engine.receives(stranger, on: 3) == fate, "\(next)")
        }
        try engine.reloads(UntrackedTests.web.replacing("80", "81"))
        #expect(engine.receives(stranger, on: 3) == .pass)
    }

    @Test("The end of a Bypass rule that cannot match TCP, or of its offload alone, is no cold start")
    func bypassOfOthers() throws {
        let bypass = "  - { name: NTP, action: bypass, direction: incoming, protocol: PROTOCOL, offload: false }"
        let rules = { (name: String) in "rules:\n" + bypass.replacing("PROTOCOL", name) }
        let stranger = PacketBuilder.ipv4(from: .peer, to: .host).tcp(1, 80, .ack, seq: 5, ack: 7)
        for (before, next, fate) in [
            (rules("udp"), "", .drop(.outOfConnection)), (rules("{ not: tcp }"), "", .drop(.outOfConnection)),
            (rules("udp"), rules("udp").replacing("offload: false", "offload: true"), .drop(.outOfConnection)),
            (rules("tcp"), "", .pass),
        ] as [(String, String, Fate)] {
            let engine = try EngineUnderTest(before)
            try engine.reloads(next)
            #expect(engine.receives(stranger) == fate, "\(before) → \(next)")
        }
    }

    /// Nothing tells a connection that was idle from one that has moved on while nobody looked.
    @Test("A connection idle until long after that cold start is taken up where it is, and then has its windows")
    func idle() throws {
        let engine = try EngineUnderTest("interfaces: { ignore: [lo, eth0] }\n" + UntrackedTests.web)
        try engine.reloads(UntrackedTests.web)
        engine.waits(.minutes(10))
        let talk = TCPTalk(engine)
        talk.open()
        engine.waits(.seconds(1))
        try engine.reloads("interfaces: { ignore: [lo, eth0] }\n" + UntrackedTests.web)
        try engine.reloads(UntrackedTests.web)
        engine.waits(.minutes(10))
        talk.peer.next &+= 1 << 30
        talk.host.expected = talk.peer.next
        #expect(talk.send(.peer, data: 10) == .pass)
        talk.exchange()
        #expect(talk.deliver(talk.segment(.peer, data: 10, by: 1 << 30), from: .peer) != .pass)
        talk.exchange()
        talk.close()
    }
}

extension String {
    fileprivate func replacing(_ old: String, _ new: String) -> String {
        split(separator: old, omittingEmptySubsequences: false).joined(separator: new)
    }
}
