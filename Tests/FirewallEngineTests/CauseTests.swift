// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import PolicyFile
import Testing

@Suite("The table of causes")
struct CauseTests {
    @Test("Rows stand in the order of the causes, each slug once")
    func order() {
        #expect(CauseRow.all.map(\.cause) == Cause.allCases)
        #expect(Set(CauseRow.all.map(\.slug)).count == Cause.allCases.count)
    }

    @Test("What can be turned is what has a remedy", arguments: Cause.allCases)
    func turnable(_ cause: Cause) { #expect(cause.isTurnable == (cause.row.remedy != .nothing)) }

    @Test("A set names its members in order, and one after the other")
    func sets() {
        var set = CauseSet()
        for cause in [Cause.icmpTable, .malformed, .denyRule] { set.insert(cause) }
        #expect(set.causes == [.malformed, .denyRule, .icmpTable])
        #expect(set.next(after: .none) == .malformed)
        #expect(set.next(after: .denyRule) == .icmpTable)
        #expect(set.next(after: .icmpTable) == nil)
        set.remove(.denyRule)
        #expect(!set.contains(.denyRule) && set.contains(.malformed))
    }

    @Test("Every setting that a cause names is one of the policy file", arguments: Cause.allCases)
    func settings(_ cause: Cause) {
        guard let path = cause.setting, path != "queue.copy-bytes" else { return }
        let text = Turning.text(path, in: "")
        #expect((try? PolicyFile.parse([("policy.yaml", Array(text.utf8))], for: .replay).get()) != nil, "\(text)")
    }
}
