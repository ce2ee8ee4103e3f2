// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import Testing

@testable import portreeve

@Suite("The rule that admitted a connection")
struct DecidingRuleTests {
    private func text(_ name: String?, _ epoch: UInt32?, _ standing: DecidingRule.Standing) -> String {
        DecidingRule(name: name, place: name.map { _ in "policy.yaml:7" }, epoch: epoch, standing: standing).text
    }

    @Test("is its name; with its place and epoch where another policy is in force; and it is said where it is gone")
    func named() {
        #expect(text("Web", 2, .inForce) == "Web")
        #expect(text("Web", 1, .earlier) == "Web (policy.yaml:7, epoch 1)")
        #expect(text("Web", 1, .gone) == "Web (policy.yaml:7, epoch 1; gone since)")
    }

    @Test("is called forgotten where nobody knows its name any more")
    func forgotten() {
        #expect(text(nil, 3, .gone) == "(a rule of epoch 3, forgotten)")
        #expect(text(nil, nil, .gone) == "(a rule of an earlier policy, forgotten)")
    }
}
