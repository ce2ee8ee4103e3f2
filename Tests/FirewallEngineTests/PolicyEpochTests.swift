// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import TestSupport
import Testing

@Suite("A connection leads to the policy that admitted it")
struct PolicyEpochTests {
    private static let first = "rules: [{ name: Web, action: allow, direction: incoming, protocol: tcp }]"
    private static let second = """
        rules:
          - { name: Other, action: deny, direction: incoming, protocol: udp }
          - { name: Web too, action: allow, direction: incoming, protocol: tcp }
        """

    /// Rule and epoch of the one connection's opener.
    private func admission(_ engine: EngineUnderTest) throws -> (rule: Int32, epoch: UInt32?) {
        var found: [Connection] = []
        _ = engine.engine.connections(from: 0, atMost: 8, into: &found)
        let connection = try #require(found.first)
        let decision = connection[decisionOf: connection.opener]
        return (decision.rule, engine.engine.epochs[generation: decision.generation])
    }

    @Test("while it is idle, whatever policies follow and whatever else makes decisions void")
    func idle() throws {
        let engine = try EngineUnderTest(PolicyEpochTests.first)
        TCPTalk(engine).open()
        #expect(try admission(engine) == (0, 1))
        try engine.reloads(PolicyEpochTests.second)
        engine.engine.setInterfaces(EngineUnderTest.interfaces(engine.policy))
        #expect(try admission(engine) == (0, 1))
        try engine.reloads("")
        #expect(try admission(engine) == (0, 1))
    }

    @Test("and to the one in force once that has judged it")
    func used() throws {
        let engine = try EngineUnderTest(PolicyEpochTests.first)
        let talk = TCPTalk(engine)
        talk.open()
        try engine.reloads(PolicyEpochTests.second)
        talk.exchange()
        #expect(try admission(engine) == (1, 2))
        engine.engine.setInterfaces(EngineUnderTest.interfaces(engine.policy))
        talk.exchange()
        #expect(try admission(engine) == (1, 2))
    }

    @Test("Nothing decided in generation 0; and the oldest are forgotten where there were too many")
    func bounds() throws {
        let engine = try EngineUnderTest(PolicyEpochTests.first)
        #expect(engine.engine.epochs[generation: 0] == nil)
        TCPTalk(engine).open()
        for _ in 0..<PolicyEpochs.kept - 1 { try engine.reloads("") }
        #expect(try admission(engine) == (0, 1))
        try engine.reloads("")
        #expect(try admission(engine) == (0, nil))
    }
}
