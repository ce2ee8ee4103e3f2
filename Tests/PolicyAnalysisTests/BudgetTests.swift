// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import PolicyAnalysis
import PolicyFile
import Testing

@Suite("Where the work does not suffice, that is said, and nothing else")
struct BudgetTests {
    private static func policy(_ rules: [String]) throws -> Policy {
        let text = "version: 1\nrules:\n" + rules.map { "  - { direction: incoming, protocol: tcp, \($0) }\n" }.joined()
        return try Policy(PolicyFile.parse([("p.yaml", Array(text.utf8))]).get(), epoch: 1)
    }

    /// A hundred ports from a hundred, which as many rules tile, each with a band of its own; `gap`: one pair of ports is left out.
    private static func tiles(_ side: Int, gap: Bool = false) -> [String] {
        var rules: [String] = []
        for from in 0..<side {
            for to in 0..<side where !(gap && from == side / 2 && to == side / 3) {
                rules.append(
                    "name: T\(from)-\(to), action: deny, source: { ports: \(from) }, destination: { ports: \(to) }")
            }
        }
        let last = "source: { ports: 0-\(side - 1) }, destination: { ports: 0-\(side - 1) }"
        return rules + ["name: Last, action: allow, \(last)"]
    }

    @Test(
        "A rule that many tile exactly: covered by all of them, effective where one is missing, undecided where few may be looked at"
    )
    func check() throws {
        let tiled = try Self.policy(Self.tiles(40))
        let last = Int32(tiled.document.rules.count - 1)
        let finding = { (policy: Policy, budget: Int) in
            PolicyCheck(policy, budget: budget).findings().first { $0.rule == Int32(policy.document.rules.count - 1) }
        }
        guard case .covered(let by, let agrees)? = finding(tiled, 100_000)?.verdict else {
            Issue.record("it decides nothing, and that is not said")
            return
        }
        #expect(by.count == Int(last) && !agrees)
        let open = try Self.policy(Self.tiles(40, gap: true))
        #expect(finding(open, 100_000)?.witness?.options.contains("--tcp 198.51.100.7:20 192.0.2.10:13 ") == true)

        let undecided = try #require(finding(tiled, 1_000))
        #expect(undecided.verdict == .undecided && undecided.witness == nil)
        #expect(undecided.text(tiled).hasPrefix("not decided: within the budget"))
        let lint = try #require(PolicyLint(undecided, tiled))
        #expect(lint.code == "undecided" && lint.level == .note)
    }

    @Test("Two policies of which the difference is small and hidden")
    func difference() throws {
        let (old, new) = try (Self.policy(Self.tiles(12)), Self.policy(Self.tiles(12, gap: true)))
        let whole = PolicyDifference(from: old, to: new)
        #expect(!whole.isIncomplete && whole.verdict == .morePermissive && whole.conclusion == "more permissive")
        let cut = PolicyDifference(from: old, to: new, budget: 0)
        #expect(cut.isIncomplete && cut.parts.isEmpty)
        #expect(cut.conclusion == "not decided within the budget" && cut.summary == cut.conclusion)
        let stopped = PolicyDifference(from: old, to: new, while: { false })
        #expect(stopped.isIncomplete && stopped.conclusion.hasPrefix("not decided within the budget"))
    }

    @Test("What must never pass is not said to be refused")
    func forbidden() throws {
        let globs = (0..<14).map { number -> String in
            let (a, b) = (UInt8(97 + number), UInt8(97 + number * 7 % 26))
            let glob = "*\(Character(UnicodeScalar(a)))*\(Character(UnicodeScalar(b)))*"
            return "name: R\(number), action: deny, interfaces: [\"\(glob)\"], destination: { ports: \(number) }"
        }
        let policy = try Self.policy(globs)
        #expect(PolicyCheck(policy).findings().filter { $0.verdict == .undecided }.count >= 14)
        #expect(ForbiddenAccess(policy, forbidding: policy).isIncomplete)
        #expect(PolicyDifference(from: policy, to: policy).isIncomplete)
    }
}
