// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import EventLog
import FirewallEngine
import FirewallPolicy
import PacketWire
import Testing

@Suite("What an event says would let its packet pass")
struct ExplainTests {
    private func explain(
        by resolver: RecordResolver = someResolver(), epoch: UInt32 = 4, rule: Int32 = -1, _ remedy: Cause...
    ) -> [String]? {
        resolver.fields(
            event(.deny) {
                $0.policyEpoch = epoch
                $0.remedyRule = rule
                for cause in remedy { $0.remedy.insert(cause) }
            }
        ).explain
    }

    @Test("a setting has its path and its value in the policy of the event; without a policy or a value its path")
    func settings() {
        #expect(explain(.pawsZeroRow) == ["engine.anti-evasion.paws-zero: deny"])
        #expect(explain(epoch: 3, .pawsZeroRow) == ["engine.anti-evasion.paws-zero"])
        #expect(explain(.ipv6Bogon) == ["engine.sanity.ipv6.bogon"])
    }

    @Test("values are those of the event's own policy, also after the next one is in force")
    func valuesOfTheirEpoch() {
        var resolver = someResolver()
        let next = PolicyNames(epoch: 5, mode: .inline, rules: [], values: ["engine.anti-evasion.paws-zero": "log"])
        #expect(explain(by: resolver, .pawsZeroRow) == ["engine.anti-evasion.paws-zero: deny"])
        resolver.register(next)
        #expect(explain(by: resolver, .pawsZeroRow) == ["engine.anti-evasion.paws-zero: deny"])
        #expect(explain(by: resolver, epoch: 5, .pawsZeroRow) == ["engine.anti-evasion.paws-zero: log"])
        resolver.register(PolicyNames(epoch: 5, mode: .inline, rules: [], values: [:]))
        #expect(explain(by: resolver, epoch: 5, .pawsZeroRow) == ["engine.anti-evasion.paws-zero"])
    }

    @Test("a rule has its name, place and action; a built-in one no place; one that is gone only that it was a rule")
    func rules() {
        #expect(explain(rule: 0, .denyRule) == ["rule \"No telnet\" (/etc/portreeve/policy.yaml:34:5): deny"])
        #expect(explain(rule: 1, .denyRule) == ["rule \"built-in: path MTU\": force-allow"])
        #expect(explain(rule: 9, .denyRule) == ["rule: no longer known"])
        #expect(explain(epoch: 3, rule: 0, .denyRule) == ["rule: no longer known"])
        #expect(explain(.noAllowRule) == ["rules: no allow or force-allow rule matches"])
    }

    @Test("the rule to turn is that of the remedy, also where another rule, or none, decided")
    func remedyRule() {
        let fields = someResolver().fields(
            event(.deny) {
                $0.policyEpoch = 4
                $0.rule = 1
                $0.remedyRule = 0
                $0.remedy.insert(.denyRule)
            })
        #expect(fields.rule?.name == "built-in: path MTU")
        #expect(fields.explain == ["rule \"No telnet\" (/etc/portreeve/policy.yaml:34:5): deny"])
    }

    @Test("all that must change is named, in the order of the packet's way; where nothing helps the list is empty")
    func several() {
        #expect(
            explain(.pawsZeroRow, .noAllowRule, .ipv6Bogon) == [
                "engine.sanity.ipv6.bogon", "rules: no allow or force-allow rule matches",
                "engine.anti-evasion.paws-zero: deny",
            ])
        #expect(explain() == [])
    }

    @Test("nothing is explained where nothing was refused, nor where the events of a record differ in it")
    func left() {
        let logged = event(.logOnly, action: .logOnly) { $0.remedy.insert(.pawsZeroRow) }
        #expect(someResolver().fields(logged).explain == nil)
        func merged(_ a: Cause, _ b: Cause) -> RecordFields {
            var merged = MergedEvents()
            for cause in [a, b] {
                merged.merge(
                    EventSummary(
                        event(.invalidTCPHeaderLength) {
                            $0.policyEpoch = 4
                            $0.cause = cause
                            $0.remedy.insert(cause)
                        }))
            }
            return someResolver().fields(EventRecord(merged.summaries[0]))
        }
        let same = merged(.pawsZeroRow, .pawsZeroRow)
        #expect(same.cause?.slug == "paws-zero-row" && same.explain == ["engine.anti-evasion.paws-zero: deny"])
        let different = merged(.pawsZeroRow, .ipv6Bogon)
        #expect(different.cause == nil && different.explain == nil)
    }

    @Test("more kinds than are remembered are told right, each time")
    func manyKinds() {
        let rules = (0..<1000).map { number in
            Rule(
                name: "R\(number)", action: .deny, priority: 0, direction: .incoming,
                position: SourcePosition(file: "", line: 0, column: 0))
        }
        var resolver = someResolver()
        resolver.register(PolicyNames(epoch: 6, mode: .inline, rules: rules))
        for round in 0..<2 {
            for number in 0..<1000 {
                let found = resolver.fields(
                    EventRecord(
                        EventSummary(
                            event(.deny) {
                                $0.policyEpoch = 6
                                $0.remedyRule = Int32(number)
                                $0.remedy.insert(.denyRule)
                            })), clockOffset: .zero
                ).explain
                #expect(found == ["rule \"R\(number)\": deny"], "round \(round)")
            }
        }
    }
}
