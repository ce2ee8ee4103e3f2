// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire
import Testing

@testable import AgentRuntime

@Suite("The rules of earlier policies are known by their epoch")
struct RuleHistoryTests {
    private func policy(_ epoch: UInt32, _ names: [String]) throws -> Policy {
        var document = PolicyDocument()
        document.engine.dhcpAndDNS = .off
        document.engine.pathMTU = false
        document.rules = names.enumerated().map { line, name in
            Rule(
                name: name, action: .allow, priority: 0, direction: .incoming,
                position: SourcePosition(file: "policy.yaml", line: line + 1, column: 1))
        }
        return try Policy(document, epoch: epoch)
    }

    @Test("whatever has their number, or their name, since")
    func editions() throws {
        var history = RuleHistory()
        history.register(try policy(1, ["a", "b"]))
        history.register(try policy(2, ["c", "a"]))
        #expect(history.rule(1, epoch: 1)?.name == "b")
        #expect(history.rule(1, epoch: 1)?.place == "policy.yaml:2")
        #expect(history.rule(1, epoch: 2)?.name == "a")
        #expect(history.names(epoch: 2) == ["a", "c"])
        #expect(history.names(epoch: 1) == ["a", "b"])
    }

    @Test("A number that the policy does not have, or a policy that is not known, names no rule")
    func nothing() throws {
        var history = RuleHistory()
        history.register(try policy(1, ["a"]))
        #expect(history.rule(-1, epoch: 1) == nil)
        #expect(history.rule(1, epoch: 1) == nil)
        #expect(history.rule(0, epoch: 2) == nil)
    }

    @Test("The oldest go where there are too many policies, or too many rules in them; the newest stays")
    func bounds() throws {
        var history = RuleHistory(editionsKept: 3, rulesKept: 10)
        for epoch in 1...UInt32(4) { history.register(try policy(epoch, ["a"])) }
        #expect(history.rule(0, epoch: 1) == nil)
        #expect(history.rule(0, epoch: 2) != nil)
        history.register(try policy(5, (0...10).map { "\($0)" }))
        #expect(history.rule(0, epoch: 3) != nil)
        history.register(try policy(6, ["a"]))
        #expect(history.rule(0, epoch: 5) == nil)
        #expect(history.rule(0, epoch: 6) != nil)
    }
}
