// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import TestSupport
import Testing

@Suite("Each reason is raised by its packet, and not by the nearest other")
struct ReasonTests {
    @Test("The packet raises the reason, once", arguments: ReasonCase.all)
    func raises(_ reasonCase: ReasonCase) throws {
        let engine = try EngineUnderTest(reasonCase.policy)
        try reasonCase.scene(engine)
        let fate = try reasonCase.raises(engine)
        #expect(fate == (reasonCase.action == .deny ? .drop(reasonCase.reason) : .pass))
        #expect(engine.events.map(\.reason) == [reasonCase.reason])
        let event = try #require(engine.lastEvent)
        #expect(event.action == reasonCase.action)
        #expect(event.metadata.direction == reasonCase.direction)
        #expect(engine.rule(of: event) == reasonCase.rule)
        #expect(event.policyEpoch == 1)
        #expect(event.instant <= engine.clock.now)
    }

    @Test("The nearest other packet does not", arguments: ReasonCase.all)
    func spares(_ reasonCase: ReasonCase) throws {
        let engine = try EngineUnderTest(reasonCase.policy)
        try reasonCase.scene(engine)
        #expect(try reasonCase.spares(engine) == reasonCase.spared)
        #expect(engine.events(of: reasonCase.reason) == 0)
        if reasonCase.spared == .pass { #expect(engine.events.isEmpty) }
    }

    /// The agent raises these itself: no packet does.
    private static let ofTheAgent: Set<DropReason> = [.internalDriverError, .invalidAdapterConfiguration]
    /// `ConnectionLogTests` has it: nothing is refused.
    private static let ofTheLog: Set<DropReason> = [.newConnection]

    @Test("No reason that this version raises is without a case")
    func complete() {
        let due = ReasonRow.all.filter { $0.isAvailable && $0.stage != .notice }.map(\.reason)
        let others = ReasonTests.ofTheAgent.union(ReasonTests.ofTheLog)
        #expect(Set(ReasonCase.all.map(\.reason)) == Set(due).subtracting(others))
    }
}
