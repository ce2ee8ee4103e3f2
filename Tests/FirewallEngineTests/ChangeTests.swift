// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import PolicyAnalysis
import PolicyFile
import TestSupport
import Testing

@Suite(
    "What explain says of a refused packet is what the engine says, and the change that it proposes lets the packet pass"
)
struct ChangeTests {
    private static let refusals = ReasonCase.all.filter { $0.action == .deny } + ReasonCase.explained

    @Test("For each reason and cause", arguments: refusals)
    func proposes(_ reasonCase: ReasonCase) throws {
        let engine = try EngineUnderTest(reasonCase.policy)
        try reasonCase.scene(engine)
        _ = try reasonCase.raises(engine)
        let event = try #require(engine.lastEvent)

        let explanation = try #require(
            Self.explanation(reasonCase, try EngineUnderTest.policy(reasonCase.policy, epoch: 1)))
        let refusal = try #require(explanation.refusal)
        #expect(refusal.reason == event.reason)
        #expect(refusal.cause == event.cause)
        #expect(refusal.rule == event.rule)
        let text = explanation.lines.map(\.text).joined(separator: "\n")
        #expect(text.contains(" \(event.reason.row.slug) "), "\(text)")

        let change = Self.search(reasonCase).toPass(explanation)
        if Self.isBeyondOneChange(reasonCase) {
            #expect(change == nil)
            let said = try #require(ChangeSearch.absence(explanation))
            let settings = refusal.remedy.causes.compactMap(\.setting)
            #expect(said.hasPrefix(settings.isEmpty ? "No setting and no rule" : "No change of a setting"), "\(said)")
            #expect(settings.allSatisfy { said.contains($0) }, "\(said)")
            return
        }
        // Of what the copy range cut off nothing can be tried.
        guard !event.remedy.isEmpty, !event.remedy.contains(.copyRange) else { return }
        let proposed = try #require(change, "\(event.remedy.causes.map(\.row.slug))\n\(text)")
        let document = try #require(Self.document(reasonCase, proposed.file), "\(proposed.file)")
        let changed = try EngineUnderTest(Policy(EngineUnderTest.withSmallTables(document), epoch: 1))
        try reasonCase.scene(changed)
        let fate = try reasonCase.raises(changed)
        #expect(fate == .pass || fate == .hold, "\(proposed.file)")
    }

    /// A fragment whose first one never came: nothing lets it pass, and that is said.
    private static func isBeyondOneChange(_ reasonCase: ReasonCase) -> Bool {
        reasonCase.reason == .incompleteDatagram && !reasonCase.what.contains("gave way")
    }

    private static func search(_ reasonCase: ReasonCase) -> ChangeSearch {
        ChangeSearch(reread: { document(reasonCase, $0) }, judge: { explanation(reasonCase, $0) })
    }

    private static func document(_ reasonCase: ReasonCase, _ file: String) -> PolicyDocument? {
        let sources = [("test.yaml", "version: 1\n" + reasonCase.policy), ("change.yaml", file)]
        return PolicyFile.parse(sources.map { ($0.0, Array($0.1.utf8)) }, for: .replay).document
    }

    /// The steps of the case's last packet by a policy.
    private static func explanation(_ reasonCase: ReasonCase, _ policy: Policy) -> Explanation? {
        guard let small = try? Policy(EngineUnderTest.withSmallTables(policy.document), epoch: 1),
            let engine = try? EngineUnderTest(small)
        else { return nil }
        do {
            try reasonCase.scene(engine)
            engine.engine.steps = []
            _ = try reasonCase.raises(engine)
        } catch {
            return nil
        }
        // Steps of the packet that is judged last: a case may send several.
        var steps = engine.engine.steps ?? []
        if let last = steps.lastIndex(where: \.isFirst) { steps.removeSubrange(..<last) }
        return Explanation(small, steps, interfaces: [2: "eth0"])
    }
}

extension Step {
    fileprivate var isFirst: Bool {
        switch self {
        case .placed, .untouched: true
        default: false
        }
    }
}
