// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import PolicyFile
import TestSupport
import Testing

@testable import PolicyAnalysis

@Suite("Rates and ends of rules in what two policies are said to decide, and in what is said of one")
struct RateAndEndTests {
    private static let now: Int64 = 1_800_000_000

    private func policy(_ rules: String..., settings: String = "", epoch: UInt32 = 1) throws -> Policy {
        let text = "version: 1\n\(settings)\nrules:\n" + rules.map { "  - { \($0) }\n" }.joined()
        return try Policy(PolicyFile.parse([("test.yaml", Array(text.utf8))], for: .replay).get(), epoch: epoch)
    }

    private func rule(_ name: String, _ more: String, port: Int = 80) -> String {
        "name: \(name), action: allow, direction: incoming, protocol: tcp, destination: { ports: \(port) }\(more)"
    }

    private func difference(_ old: Policy, _ new: Policy) -> PolicyDifference {
        let moments = PacketUniverse.moments([old, new].map { ($0, CalendarZones()) }, from: Self.now)
        return PolicyDifference(from: old, to: new, moments: moments)
    }

    @Test("A rate that comes, goes or changes, whatever the rule is called")
    func rates() throws {
        let (without, rated) = (try policy(rule("a", "")), try policy(rule("b", ", rate: 10/1m")))
        #expect(difference(without, rated).verdict == .moreRestrictive)
        #expect(difference(rated, without).verdict == .morePermissive)
        #expect(difference(rated, rated).verdict == .equivalent)
        #expect(difference(without, rated).parts.first?.newEffect == .ration)
        let refused = try policy(rule("c", "", port: 81))
        #expect(difference(rated, refused).parts.contains { $0.oldEffect == .ration && $0.newEffect == .refuse })
        for (rate, verdict) in [
            ("20/2m", PolicyDifference.Verdict.morePermissive), ("20/1m", .morePermissive), ("10/2m", .moreRestrictive),
            ("5/30s", .moreRestrictive), ("20/4m", .both), ("10/60s", .equivalent),
        ] {
            let other = try policy(rule("b", ", rate: \(rate)"))
            #expect(difference(rated, other).verdict == verdict, "\(rate)")
            #expect(difference(rated, other).rates.count == (verdict == .equivalent ? 0 : 1))
        }
    }

    @Test("A rate is nothing that a rule is spared by: what is forbidden is found")
    func forbidden() throws {
        let rated = try policy(rule("a", ", rate: 1/1d"))
        let forbidding = try policy(
            "name: f, action: deny, direction: incoming, protocol: tcp, destination: { ports: 80 }")
        #expect(ForbiddenAccess(rated, forbidding: forbidding, moments: []).parts.count > 0)
        #expect(!rated.isOpenToAll(address: "192.0.2.1", port: 80, version: 4))
    }

    @Test("A rule that has ended decides nothing, and one that will end does until then")
    func ends() throws {
        let past = try policy(rule("a", ", until: 2026-01-31T18:00Z"), rule("b", "", port: 81))
        let later = try policy(rule("a", ", until: 2027-02-15T18:00Z"), rule("b", "", port: 81))
        let gone = try policy(rule("b", "", port: 81))
        #expect(difference(past, gone).verdict == .equivalent)
        #expect(difference(later, gone).verdict == .moreRestrictive)
        let moments = PacketUniverse.moments([(later, CalendarZones())], from: Self.now)
        #expect(moments.count == 2, "before its end and after it")
        func emptiness(_ policy: Policy) -> RuleVerdict.Emptiness? {
            let moments = PacketUniverse.moments([(policy, CalendarZones())], from: Self.now)
            let finding = PolicyCheck(policy, moments: moments).findings().first { $0.rule == 0 }
            if case .matchesNothing(let emptiness)? = finding?.verdict { return emptiness }
            return nil
        }
        #expect(emptiness(past) == .ended("2026-01-31T18:00:00Z", hasSchedule: false))
        #expect(emptiness(later) == nil)
    }
}
