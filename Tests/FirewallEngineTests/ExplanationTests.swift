// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import TestSupport
import Testing

@Suite("What an event's explanation names, turned, lets the packet pass, and no less does")
struct ExplanationTests {
    private static let refusals = ReasonCase.all.filter { $0.action == .deny } + ReasonCase.explained

    @Test("All that is named, turned, lets it pass", arguments: refusals)
    func suffices(_ reasonCase: ReasonCase) throws {
        let event = try explained(reasonCase)
        #expect(event.cause != .none)
        guard !event.remedy.isEmpty, !Self.cannotBeReplayed(event) else { return }
        let fate = try fate(of: reasonCase, turning: event.remedy.causes)
        #expect(fate == .pass || fate == .hold, "\(event.remedy.causes.map(\.row.slug)) turned")
    }

    @Test("Any proper subset of it does not", arguments: refusals)
    func isNeeded(_ reasonCase: ReasonCase) throws {
        let event = try explained(reasonCase)
        guard !Self.cannotBeReplayed(event) else { return }
        for causes in event.remedy.causes.properSubsets {
            let fate = try fate(of: reasonCase, turning: causes)
            #expect(fate != .pass && fate != .hold, "\(causes.map(\.row.slug)) turned")
        }
    }

    @Test("Where nothing is named, all that can be turned does not let it pass", arguments: refusals)
    func nothingHelps(_ reasonCase: ReasonCase) throws {
        let event = try explained(reasonCase)
        guard event.remedy.isEmpty else { return }
        let all = Cause.allCases.filter { $0.setting != nil && $0 != .copyRange }
        let fate = try fate(of: reasonCase, turning: all + [.noAllowRule])
        #expect(fate != .pass, "everything turned")
    }

    @Test("The cause is one that the table lists for the reason", arguments: refusals)
    func isListed(_ reasonCase: ReasonCase) throws {
        let event = try explained(reasonCase)
        #expect(event.reason.causes.contains(event.cause), "\(event.cause) of \(event.reason)")
    }

    /// What a packet was found to want for is its cause, and the first that is named.
    @Test("A cause that can be turned is named", arguments: refusals)
    func isConsistent(_ reasonCase: ReasonCase) throws {
        let event = try explained(reasonCase)
        #expect(event.cause.isTurnable || event.remedy.isEmpty)
        #expect((event.remedyRule >= 0) == (event.remedy.contains(.denyRule) || event.remedy.contains(.ruleRate)))
        if !event.remedy.isEmpty { #expect(event.remedy.contains(event.cause)) }
    }

    @Test("In tap mode the same is named, for the first packet and for those that follow", arguments: refusals)
    func tapped(_ reasonCase: ReasonCase) throws {
        let dropped = try explained(reasonCase)
        let engine = try EngineUnderTest(reasonCase.policy + "\nmode: tap")
        try reasonCase.scene(engine)
        _ = try reasonCase.raises(engine)
        let tapped = try #require(engine.events.last { $0.isRefusal && $0.reason == reasonCase.reason })
        #expect(tapped.cause == dropped.cause)
        #expect(tapped.remedy == dropped.remedy)
    }

    private func explained(_ reasonCase: ReasonCase) throws -> Event {
        let engine = try EngineUnderTest(reasonCase.policy)
        try reasonCase.scene(engine)
        _ = try reasonCase.raises(engine)
        return try #require(engine.lastEvent)
    }

    private func fate(of reasonCase: ReasonCase, turning causes: [Cause]) throws -> Fate {
        let policy = try Turning.policy(
            reasonCase.policy, turning: causes, rule: reasonCase.rule, reasonCase.direction)
        let engine = try EngineUnderTest(policy)
        try reasonCase.scene(engine)
        return try reasonCase.raises(engine)
    }

    /// What the copy range cut off is not there to be judged.
    private static func cannotBeReplayed(_ event: Event) -> Bool { event.remedy.contains(.copyRange) }
}

@Suite("Each cause that the table lists is raised")
struct CauseCoverageTests {
    @Test("By a case of its reason")
    func covered() throws {
        var raised: [DropReason: Set<Cause>] = [:]
        for reasonCase in ReasonCase.all.filter({ $0.action == .deny }) + ReasonCase.explained {
            let engine = try EngineUnderTest(reasonCase.policy)
            try reasonCase.scene(engine)
            _ = try reasonCase.raises(engine)
            for event in engine.events { raised[event.reason, default: []].insert(event.cause) }
        }
        for frame in DiscardedFramesTests.frames { raised[frame.reason, default: []].insert(frame.cause) }
        for row in ReasonRow.all where row.isAvailable && row.stage != .notice {
            let missing = Set(row.reason.causes).subtracting(raised[row.reason] ?? [])
            #expect(missing.isEmpty, "\(row.slug): \(missing)")
        }
    }
}
