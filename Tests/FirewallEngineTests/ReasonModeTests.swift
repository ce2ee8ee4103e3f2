// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import FirewallPolicy
import TestSupport
import Testing

@Suite("Each reason of a packet alone obeys the mode, the failure settings, and the list of ignored ones")
struct ReasonModeTests {
    static let cases = ReasonCase.all.filter {
        $0.action == .deny && ($0.reason.stage == .sanity || $0.reason.stage == .fragments)
    }

    private func run(_ reasonCase: ReasonCase, _ more: String) throws -> (engine: EngineUnderTest, fate: Fate) {
        let engine = try EngineUnderTest(reasonCase.policy + "\n" + more)
        try reasonCase.scene(engine)
        return (engine, try reasonCase.raises(engine))
    }

    @Test("Tap lets it pass and tells of it", arguments: cases)
    func tap(_ reasonCase: ReasonCase) throws {
        let (engine, fate) = try run(reasonCase, "mode: tap")
        #expect(fate == .passReporting(reasonCase.reason))
        #expect(engine.events.map(\.action) == [.tapDeny])
    }

    @Test("So does failure.sanity: open", arguments: cases)
    func sanityOpen(_ reasonCase: ReasonCase) throws {
        let (engine, fate) = try run(reasonCase, "failure: { sanity: open }")
        #expect(fate == .passReporting(reasonCase.reason))
        #expect(engine.events.map(\.action) == [.failOpen])
    }

    @Test("failure.engine: open is not about it", arguments: cases)
    func engineOpen(_ reasonCase: ReasonCase) throws {
        let (engine, fate) = try run(reasonCase, "failure: { engine: open }")
        #expect(fate == .drop(reasonCase.reason))
        #expect(engine.events.map(\.action) == [.deny])
    }

    @Test("Ignored, it is dropped and counted", arguments: cases)
    func ignored(_ reasonCase: ReasonCase) throws {
        let (engine, fate) = try run(reasonCase, "events: { ignore: [\(reasonCase.reason.row.slug)] }")
        #expect(fate == .drop(reasonCase.reason))
        #expect(engine.events.isEmpty)
        #expect(engine.engine.counters.silenced[Int(reasonCase.reason.rawValue)] == 1)
    }

    @Test("No rule lets it by, not even a Bypass of the highest priority", arguments: cases)
    func bypassed(_ reasonCase: ReasonCase) throws {
        let rules = """
            rules:
              - { name: In, action: bypass, priority: 4, direction: incoming, frame: any, protocol: any }
              - { name: Out, action: bypass, priority: 4, direction: outgoing, frame: any, protocol: any }
            """
        guard !reasonCase.policy.contains("rules:") else { return }
        let (_, fate) = try run(reasonCase, rules)
        #expect(fate == .drop(reasonCase.reason))
    }
}
