// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import Testing

@testable import PacketFilterRules

@Suite("The table of a bridge")
struct BridgeTableTests {
    private func policy(_ change: (inout PolicyDocument) -> Void = { _ in }) -> PolicyDocument {
        var policy = PolicyDocument()
        policy.queue.family = .bridge
        policy.interfaces.inside = ["eth1"]
        change(&policy)
        return policy
    }

    /// The table as nftables lists it.
    private func feeds(of policy: PolicyDocument) -> [QueueFeed] {
        let lines = BridgeTable(policy).script.split(separator: "\n").dropFirst(2)
        return NFTablesRuleset(lines.joined(separator: "\n")).feeds
    }

    @Test("replaces an earlier one in one step and takes all that passes through")
    func script() {
        #expect(
            BridgeTable(policy()).script == """
                add table bridge portreeve
                delete table bridge portreeve
                table bridge portreeve {
                \tchain forward {
                \t\ttype filter hook forward priority 0; policy accept;
                \t\tqueue num 0
                \t}
                }

                """)
    }

    @Test("feeds all queues of the policy, and fails as it says")
    func queues() throws {
        let closed = try #require(feeds(of: policy { $0.queue.numbers = 2...5 }).first)
        #expect(closed.queues == 2...5 && !closed.bypasses && closed.layer == .bridge && closed.place.hook == .forward)
        #expect(feeds(of: policy { $0.failure.engine = .open }).first?.bypasses == true)
        #expect(feeds(of: policy { $0.mode = .tap }).first?.bypasses == true)
    }

    @Test("leaves frames alone whose ports are both ignored, and quotes no name that is none")
    func ignored() {
        let script = BridgeTable(policy { $0.interfaces.ignore = ["lo", "tap*", "e\"; flush ruleset", "a?b"] }).script
        #expect(script.contains("iifname \"tap*\" oifname \"tap*\" accept\n"))
        #expect(!script.contains("flush"))
        #expect(!script.contains("a?b"))
    }

    @Test("is found in a listing as it stands there, and no other is taken for it")
    func listing() {
        let table = BridgeTable(policy())
        let others = "table inet portreeve {\n\tchain a {\n\t}\n}\ntable bridge portreeve2 {\n}\n"
        #expect(BridgeTable(in: others + table.text + others) == table)
        #expect(BridgeTable(in: table.script) == table)
        #expect(BridgeTable(in: others) == nil)
        #expect(BridgeTable(in: "table bridge portreeve {") == nil)
    }

    @Test("is all that a bridge needs; without it the frames are not judged")
    func inspection() {
        func findings(_ nftables: String) -> [Finding] {
            var host = RulesInspection.Host()
            host.readQueues = [0]
            host.usesIPv6 = true
            return RulesInspection(rulesets: [], nftables: NFTablesRuleset(nftables), host: host, policy: policy())
                .findings
        }
        let table = BridgeTable(policy()).script.split(separator: "\n").dropFirst(2).joined(separator: "\n")
        #expect(findings(table).isEmpty)
        #expect(findings("").contains { $0.severity == .refusal })
        let routed = table.replacing("bridge", with: "inet")
        #expect(findings(routed).contains { $0.text.contains("no rule at a bridge's forward hook") })
    }
}

extension String {
    fileprivate func replacing(_ word: String, with other: String) -> String {
        split(separator: " ").map { $0 == word ? other : String($0) }.joined(separator: " ")
    }
}
