// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import Testing

@testable import PacketFilterRules

@Suite("The rules of the fast path")
struct FastPathRulesTests {
    private func rules(_ family: AddressFamily, _ mode: FastPathMode = .on) -> OwnRules {
        var policy = PolicyDocument()
        policy.engine.fastPath = mode
        return QueueRulePlan(policy, incoming: .prerouting).rules(for: family)
    }

    @Test(
        "are the first of their chain, one for all protocols",
        arguments: [(AddressFamily.ipv4, "fast4"), (.ipv6, "fast6")])
    func order(family: AddressFamily, program: String) {
        let rule = "-m bpf --object-pinned /run/portreeve-fast-path/\(program) -j RETURN"
        for chain in rules(family).tables[0].chains where chain.name != OwnRules.queueChain {
            #expect(chain.rules.first == rule)
            #expect(chain.rules.filter { $0.contains("bpf") }.count == 1)
            #expect(chain.rules.contains { $0.hasSuffix("lo -j RETURN") })
        }
    }

    @Test("stand behind the marks of translated packets", arguments: AddressFamily.allCases)
    func translated(family: AddressFamily) throws {
        var policy = PolicyDocument()
        policy.engine.fastPath = .on
        let own = QueueRulePlan(policy, incoming: .input).rules(for: family)
        let chain = try #require(own.tables.flatMap { $0.chains }.first { $0.name == OwnRules.outgoingChain })
        let program = try #require(chain.rules.firstIndex { $0.contains("bpf") })
        let mark = chain.rules.firstIndex { $0.contains("MARK --set") }
        let queue = try #require(chain.rules.firstIndex { $0.contains("NFQUEUE") || $0.hasSuffix(OwnRules.queueChain) })
        #expect((mark ?? -1) < program && program < queue)
    }

    @Test("stand before the queue's on the way through a router", arguments: AddressFamily.allCases)
    func forwarded(family: AddressFamily) throws {
        var policy = PolicyDocument()
        policy.engine.fastPath = .on
        policy.interfaces.inside = ["eth1"]
        let own = QueueRulePlan(policy, incoming: .prerouting).rules(for: family)
        let chain = try #require(
            own.tables.flatMap { $0.chains }.first { $0.name == OwnRules.forwardedChain })
        let program = try #require(chain.rules.firstIndex { $0.contains("-m bpf") })
        let queue = try #require(chain.rules.firstIndex { $0.contains("NFQUEUE") || $0.hasSuffix(OwnRules.queueChain) })
        #expect(program < queue)
    }

    @Test("are not there where the policy has none", arguments: AddressFamily.allCases)
    func off(family: AddressFamily) {
        #expect(!rules(family, .off).nameProgramsOfFastPath)
        #expect(rules(family).nameProgramsOfFastPath)
    }

    @Test("are all that is left out where the program cannot be loaded", arguments: AddressFamily.allCases)
    func without(family: AddressFamily) {
        #expect(rules(family).withoutPrograms == rules(family, .off))
    }

    @Test("are told apart by the check: missing ones cost speed, where they are wanted, and those left over are named")
    func check() {
        for (inPlace, policyMode, word, severity) in [
            (FastPathMode.off, FastPathMode.on, "missing", Finding.Severity.misfit), (.off, .auto, "missing", .advice),
            (.on, .off, "policy does not have", .misfit),
        ] {
            var policy = PolicyDocument()
            policy.engine.fastPath = policyMode
            let text = AddressFamily.allCases.map { family in
                SavedRuleset(
                    rules(family, inPlace).lines.joined(separator: "\n"), command: family.command, family: family)
            }
            let inspection = RulesInspection(
                rulesets: text, nftables: NFTablesRuleset(""), host: RulesInspection.Host(), policy: policy)
            let found = inspection.findings.filter {
                $0.text.contains(word) && $0.lines.contains { $0.contains("fast4") }
            }
            #expect(found.count == 1)
            #expect(found.allSatisfy { $0.severity == severity })
        }
    }

    private static func bypass(_ change: (inout Rule) -> Void = { _ in }) -> PolicyDocument {
        var policy = PolicyDocument()
        policy.engine.fastPath = .auto
        var rule = Rule(
            name: "Bulk", action: .bypass, priority: 4, direction: .incoming,
            position: SourcePosition(file: "policy.yaml", line: 1, column: 1))
        rule.offload = true
        rule.protocols = Criterion(.tcpAndUDP)
        change(&rule)
        policy.rules = [rule]
        return policy
    }

    private func marks(_ policy: PolicyDocument, hasProgram: Bool = true) -> Int {
        QueueRulePlan(policy, incoming: .input, hasProgram: hasProgram).rules(for: .ipv4).lines
            .filter { $0.lowercased().contains("connmark") }.count
    }

    @Test(
        "take flows that are offloaded, and no connection needs a mark, but where the program sees too little or is missing"
    )
    func offloaded() {
        #expect(marks(Self.bypass()) == 0)
        #expect(marks(Self.bypass(), hasProgram: false) == 2)
        var off = Self.bypass()
        off.engine.fastPath = .off
        #expect(marks(off) == 2)
        #expect(marks(Self.bypass { $0.protocols = nil }) == 2)
        #expect(marks(Self.bypass { $0.protocols = Criterion(.number(47)) }) == 2)
        #expect(marks(Self.bypass { $0.interfaces = Criterion(["eth0"]) }) == 0)
        #expect(marks(Self.bypass { ($0.direction, $0.interfaces) = (.outgoing, Criterion(["eth0"])) }) == 2)
        var checksums = Self.bypass()
        checksums.engine.sanity.verifyTCPChecksum = true
        #expect(marks(checksums) == 2)
    }

    @Test("and marks are told apart by the check: either of the two will do, neither of them is a missing short cut")
    func offloadCheck() {
        let policy = Self.bypass()
        func findings(_ inPlace: QueueRulePlan) -> [Finding] {
            let text = AddressFamily.allCases.map { family in
                SavedRuleset(
                    inPlace.rules(for: family).lines.joined(separator: "\n"), command: family.command, family: family)
            }
            return RulesInspection(
                rulesets: text, nftables: NFTablesRuleset(""), host: RulesInspection.Host(), policy: policy
            ).findings.filter {
                $0.severity != .advice && ($0.text.contains("in place") || $0.text.contains("missing"))
            }
        }
        #expect(findings(QueueRulePlan(policy, incoming: .input)).isEmpty)
        #expect(findings(QueueRulePlan(policy, incoming: .input, hasProgram: false)).isEmpty)
        var both = QueueRulePlan(policy, incoming: .input, hasProgram: false)
        both.fastPathDirectory = FastPathMode.directory
        #expect(findings(both).isEmpty, "as an earlier release put them there")
        var neither = policy
        neither.rules = []
        neither.engine.fastPath = .off
        #expect(findings(QueueRulePlan(neither, incoming: .input)).map(\.severity) == [.misfit])
    }
}
