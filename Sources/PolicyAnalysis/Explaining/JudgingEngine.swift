// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import PolicyFile

/// An engine of a policy for packets in words, one after another, as on a host whose agent began long ago.
final class JudgingEngine {
    private let policy: Policy
    private let zones: CalendarZones
    private var engine: Engine?
    /// Of the present engine.
    private var interfaces: [String: UInt32] = [:]
    private var unixTime: Int64?

    /// A day after the agent began, so that its cold start is over.
    private static let now = Instant(nanoseconds: 10 * 86_400 * 1_000_000_000)
    private static let begun = Instant(nanoseconds: 9 * 86_400 * 1_000_000_000)

    init(_ policy: Policy) {
        self.policy = policy
        zones = SystemTimeZones.zones(of: policy.document)
    }

    /// Knows nothing any more of what came before.
    func begin() {
        let clock = EngineClock(agentStarted: Self.begun, kernelBooted: Instant(nanoseconds: 0))
        let shared = SharedLimits(
            tables: policy.document.engine.limits, computers: policy.document.stateful.limits, seed: (1, 2))
        engine = Engine(policy: policy, clock: clock, seed: (3, 4), shared: shared, workers: 1)
        interfaces = [:]
        unixTime = nil
    }

    /// The steps of the next packet; schedules are as at this time, in seconds since 1970.
    func judge(_ words: PacketWords, at time: Int64) -> [Step] {
        if engine == nil { begin() }
        if time != unixTime {
            engine?.setActiveSchedules(policy.scheduleActivity(zones, unixTime: time), at: Self.now)
            unixTime = time
        }
        let interface = words.interface.map { index(ofInterface: $0) } ?? 0
        var metadata = words.metadata(interface: interface)
        if let sender = words.sender { metadata.mark |= engine?.mark(ofUnits: sender.units) ?? 0 }
        engine?.steps = []
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
}
