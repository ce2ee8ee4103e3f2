// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
package import FirewallPolicy
import PacketWire
import PolicyFile

/// Has an engine judge the packets that prove something, before they are printed: the regions of `PacketUniverse` say which packets get
/// as far as the rules, and what they leave out is noticed here.
///
/// Most packets are judged one after another by one engine. Only where that does not say what is claimed, or knows a connection of an
/// earlier one, another engine judges the packet alone, as `portreeve explain` does.
package final class WitnessJudge {
    private let policy: Policy
    private let zones: CalendarZones
    private lazy var alone = OnePacketPolicy(policy)
    private var engine: Engine?
    /// Of the present engine.
    private var interfaces: [String: UInt32] = [:]
    private var unixTime: Int64?
    private var count = 0

    /// After so many packets an engine is replaced: its tables are full of their connections.
    private static let mostJudged = 10_000
    /// A day after the agent began, so that its cold start is over.
    private static let now = Instant(nanoseconds: 10 * 86_400 * 1_000_000_000)

    package init(_ policy: Policy) {
        self.policy = policy
        zones = SystemTimeZones.zones(of: policy.document)
    }

    /// Whether the rules are asked about the packet, and decide so; with an effect, also whether that is what becomes of it, as far as
    /// that depends on nothing but the packet.
    package func confirms(_ witness: Witness, _ claim: RuleDecision, _ effect: Effect? = nil) -> Bool {
        if !witness.isOfKnownExchange, witness.otherInterface == nil,
            Self.agrees(judge(PacketWords(witness)), claim, effect, witness)
        {
            return true
        }
        let steps = PacketScene(PacketWords(witness), now: 0).judge(by: alone).steps
        return Self.agrees(steps, claim, effect, witness)
    }

    private static func agrees(_ steps: [Step], _ claim: RuleDecision, _ effect: Effect?, _ witness: Witness) -> Bool {
        var decision: RuleDecision?
        var isRefused = false
        for step in steps {
            switch step {
            case .ruled(_, let said, _): decision = said
            case .refused: isRefused = true
            case .lookedUp(_?, _, _) where !witness.isOfKnownExchange: return false
            default: break
            }
        }
        guard let decision, decision.rule == claim.rule, decision.outcome == claim.outcome else { return false }
        // What a known connection's errors come to depends on that connection too.
        guard let effect, !witness.isOfKnownExchange else { return true }
        switch effect {
        case .drop, .refuse: return isRefused
        case .admit: return !isRefused || !witness.opensSomething
        case .bypass: return !isRefused
        }
    }

    private func judge(_ words: PacketWords) -> [Step] {
        if count % Self.mostJudged == 0 { begin() }
        count += 1
        let time = words.unixTime ?? 0
        if time != unixTime {
            engine?.setActiveSchedules(policy.scheduleActivity(zones, unixTime: time), at: Self.now)
            unixTime = time
        }
        engine?.steps = []
        let metadata = words.metadata(interface: words.interface.map { index(ofInterface: $0) } ?? 0)
        _ = unsafe words.bytes.withUnsafeBytes { engine?.inspect(unsafe $0.bytes, metadata, at: Self.now) }
        return engine?.steps ?? []
    }

    private func index(ofInterface name: String) -> UInt32 {
        if let index = interfaces[name] { return index }
        let index = UInt32(interfaces.count + 2)
        interfaces[name] = index
        engine?.learnInterface(index, name: name, isLoopback: name == "lo")
        return index
    }

    private func begin() {
        let clock = EngineClock(
            agentStarted: Instant(nanoseconds: Self.now.nanoseconds - 86_400 * 1_000_000_000),
            kernelBooted: Instant(nanoseconds: 0))
        let shared = SharedLimits(
            tables: policy.document.engine.limits, computers: policy.document.stateful.limits, seed: (1, 2))
        engine = Engine(policy: policy, clock: clock, seed: (3, 4), shared: shared, workers: 1)
        interfaces = [:]
        unixTime = nil
    }
}
