// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import Testing

@testable import PacketFilterRules

@Suite("Units are known by marks that rules set before the queue")
struct UnitRulesTests {
    private func policy(_ units: String..., mask: UInt32 = 0xff00_0000) -> PolicyDocument {
        var policy = PolicyDocument()
        policy.queue.markMask = mask
        var rule = Rule(
            name: "units", action: .allow, priority: 0, direction: .outgoing,
            position: SourcePosition(file: "test.yaml", line: 1, column: 1))
        rule.sender.units = Criterion(units)
        policy.rules = [rule]
        return policy
    }

    private func plan(_ policy: PolicyDocument, running: [String]) -> QueueRulePlan {
        var plan = QueueRulePlan(policy, incoming: .prerouting)
        plan.controlGroups = Dictionary(uniqueKeysWithValues: running.map { ($0, "system.slice/\($0)") })
        return plan
    }

    private func lines(_ plan: QueueRulePlan) -> [String] {
        plan.rules(for: .ipv4).tables.first { $0.name == "raw" }?.lines ?? []
    }

    @Test("each by a bit of its own, after all of them were cleared")
    func bits() {
        let plan = plan(policy("web.service", "mail.service"), running: ["web.service", "mail.service"])
        #expect(
            lines(plan) == [
                ":PORTREEVE-UNIT - [0:0]", "-A OUTPUT -j PORTREEVE-UNIT",
                "-A PORTREEVE-UNIT -j MARK --set-xmark 0x0/0xf0000000",
                "-A PORTREEVE-UNIT -m cgroup --path \"system.slice/web.service\" -j MARK --set-xmark 0x10000000/0x10000000",
                "-A PORTREEVE-UNIT -m cgroup --path \"system.slice/mail.service\" -j MARK --set-xmark 0x20000000/0x20000000",
            ])
        #expect(
            plan.rules(for: .ipv4).unitMarks == [
                UnitMark(unit: "web.service", bit: 0x1000_0000), UnitMark(unit: "mail.service", bit: 0x2000_0000),
            ])
    }

    @Test("in the quotes of iptables, since systemd escapes a dash in the slice of an instance by a backslash")
    func escapes() {
        var plan = plan(policy("wg-quick@wg0.service"), running: [])
        let path = #"system.slice/system-wg\x2dquick.slice/wg-quick@wg0.service"#
        plan.controlGroups = ["wg-quick@wg0.service": path]
        let line = lines(plan).last ?? ""
        #expect(line.contains(#"--path "system.slice/system-wg\\x2dquick.slice/wg-quick@wg0.service" -j"#), "\(line)")
        let own = plan.rules(for: .ipv4)
        #expect(own.controlGroups == [path] && own.unitMarks.map(\.unit) == ["wg-quick@wg0.service"])
        #expect(own.withoutControlGroups(but: [path]) == own)
        #expect(own.withoutControlGroups(but: []).controlGroups.isEmpty)
    }

    @Test("and no rule where no rule of the policy names one")
    func none() {
        #expect(lines(QueueRulePlan(PolicyDocument(), incoming: .prerouting)).isEmpty)
    }

    @Test("one that does not run has no rule, and its bit is cleared all the same")
    func asleep() {
        let plan = plan(policy("web.service", "mail.service"), running: ["mail.service"])
        #expect(plan.unitsWithoutGroup == ["web.service"])
        #expect(lines(plan).count == 4 && !lines(plan).joined().contains("web"))
    }

    @Test("a unit keeps its bit while others come and go, and a new one gets a bit that means nothing yet")
    func keeping() {
        let before = plan(policy("a.service", "b.service"), running: ["a.service", "b.service"]).rules(for: .ipv4)
        var after = plan(policy("c.service", "b.service"), running: ["b.service", "c.service"])
        after.keepUnits(of: before)
        #expect(
            after.unitMarks == [
                UnitMark(unit: "c.service", bit: 0x4000_0000), UnitMark(unit: "b.service", bit: 0x2000_0000),
            ])
        var full = plan(policy("c.service", "d.service", mask: 0x3f), running: [])
        full.keepUnits(
            of: plan(policy("a.service", "b.service", mask: 0x3f), running: ["a.service", "b.service"]).rules(
                for: .ipv4))
        #expect(full.unitMarks.map(\.bit) == [0x10, 0x20], "where there is no other")
    }

    @Test("rules that were kept are put in place without those for units that do not run")
    func restoring() {
        let kept = plan(policy("a.service", "b.service"), running: ["a.service", "b.service"]).rules(for: .ipv6)
        #expect(kept.controlGroups == ["system.slice/a.service", "system.slice/b.service"])
        let possible = kept.withoutControlGroups(but: ["system.slice/b.service"])
        #expect(possible.unitMarks == [UnitMark(unit: "b.service", bit: 0x2000_0000)])
        #expect(possible.tables.map(\.jumps) == kept.tables.map(\.jumps))
    }

    @Test("what is missing of them, and what is too much, is found")
    func inspection() {
        let policy = policy("a.service", "b.service")
        var host = RulesInspection.Host()
        host.readQueues = [0]
        host.controlGroups = ["a.service": "system.slice/a.service"]
        func findings(_ running: [String]) -> [Finding] {
            let own = plan(policy, running: running).rules(for: .ipv4)
            let ruleset = SavedRuleset(own.lines.joined(separator: "\n"), command: "iptables", family: .ipv4)
            let inspection = RulesInspection(
                rulesets: [ruleset], nftables: NFTablesRuleset(""), host: host, policy: policy)
            return (inspection.absentRules + inspection.leftoverRules).filter {
                !$0.lines.joined().contains("object-pinned")
            }
        }
        #expect(findings(["a.service"]).isEmpty)
        #expect(findings([]).map(\.severity) == [.refusal])
        #expect(findings(["a.service", "b.service"]).map(\.severity) == [.misfit])
    }
}
