// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import Testing

@testable import PacketFilterRules

@Suite("Own rules of an earlier policy")
struct OwnRulesInspectionTests {
    private static func bypass(_ change: (inout Rule) -> Void = { _ in }) -> Rule {
        var rule = Rule(
            name: "Bulk", action: .bypass, priority: 4, direction: .incoming,
            position: SourcePosition(file: "policy.yaml", line: 1, column: 1))
        rule.offload = true
        change(&rule)
        return rule
    }

    /// What is found where the rules of `earlier` are in place and `policy` is in force.
    private func findings(
        _ earlier: PolicyDocument, _ policy: PolicyDocument, _ incoming: QueueRulePlan.IncomingHook = .input
    ) -> [Finding] {
        var rules = Rules()
        rules.policy = policy
        rules.add(QueueRulePlan(earlier, incoming: incoming))
        return rules.inspection.findings.filter { $0.severity != .advice }
    }

    private func document(_ change: (inout PolicyDocument) -> Void) -> PolicyDocument {
        var document = PolicyDocument()
        change(&document)
        return document
    }

    @Test("Those of the policy itself are fine, whatever it offloads", arguments: QueueRulePlan.IncomingHook.allCases)
    func same(incoming: QueueRulePlan.IncomingHook) {
        for policy in [
            document { _ in }, document { $0.rules = [Self.bypass()] },
            document { $0.rules = [Self.bypass { $0.direction = .outgoing }] },
            document {
                $0.interfaces.inside = ["in0"]
                $0.rules = [Self.bypass { $0.interfaces = Criterion(["eth0"]) }]
            },
        ] {
            #expect(findings(policy, policy, incoming).isEmpty)
        }
    }

    @Test(
        "A flow offloaded no more is a hole, one offloaded from now on a missing short cut",
        arguments: QueueRulePlan.IncomingHook.allCases)
    func offload(incoming: QueueRulePlan.IncomingHook) throws {
        let without = document { _ in }
        let with = document { $0.rules = [Self.bypass()] }
        let hole = findings(with, without, incoming)
        #expect(hole.count == 1)
        #expect(hole.first?.severity == .refusal && hole.first?.text.contains("accept flows") == true)
        // Accepting and saving, with the jump to it, for each family.
        #expect(hole.first?.lines.count == 6)
        let missing = findings(without, with, incoming)
        #expect(missing.count == 1)
        #expect(missing.first?.severity == .misfit && missing.first?.text.contains("rules are missing") == true)
    }

    @Test("An interface that is ignored no more is a hole, and one that is from now on is left to the agent")
    func ignored() {
        let before = document { $0.interfaces.ignore = ["lo", "wg*"] }
        let after = document { $0.interfaces.ignore = ["lo", "tap0"] }
        let found = findings(before, after)
        #expect(found.map(\.severity) == [.refusal, .misfit])
        #expect(found.first?.lines.contains("iptables mangle: -A PORTREEVE-IN -i wg+ -j RETURN") == true)
        #expect(found.last?.lines.contains("ip6tables mangle: -A PORTREEVE-IN -i tap0 -j RETURN") == true)
        #expect(
            found.last?.lines.contains(
                "ip6tables security: -A PORTREEVE-OUT -o tap0 -m conntrack ! --ctstate DNAT -j RETURN")
                == true)
    }

    @Test("The order in which iptables prints the values of a list is no difference")
    func order() {
        var rules = Rules()
        rules.policy = document { $0.rules = [Self.bypass()] }
        rules.add(QueueRulePlan(rules.policy, incoming: .input))
        rules.ipv4 = rules.ipv4.split(separator: "NEW,ESTABLISHED", omittingEmptySubsequences: false)
            .joined(separator: "ESTABLISHED,NEW")
        #expect(rules.refusals.isEmpty)
    }

    @Test("Rules by hand that offload nothing are advised, those that do are left alone")
    func byHand() {
        func advised(_ more: String) -> Bool {
            let text = "*filter\n\(more)-A INPUT -j NFQUEUE --queue-num 0\n-A OUTPUT -j NFQUEUE --queue-num 0\nCOMMIT\n"
            var rules = Rules(ipv4: text, ipv6: text)
            rules.policy = document { $0.rules = [Self.bypass()] }
            return rules.advice.contains { $0.text.contains("no rule accepts packets by their connection mark") }
        }
        #expect(advised(""))
        #expect(!advised("-A INPUT -m connmark --mark 0x2000000/0x2000000 -j ACCEPT\n"))
    }
}
