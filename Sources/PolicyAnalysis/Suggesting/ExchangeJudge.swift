// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
package import FirewallEngine
package import FirewallPolicy
import PacketWire
import PolicyFile

/// Has an engine judge whole exchanges, packet by packet, one exchange after another. One that does not pass is judged again by an
/// engine that has seen nothing else: limits count what came before.
package final class ExchangeJudge {
    package enum Fate: Sendable {
        case passes
        /// The first packet that does not pass, and why.
        case refused(Step.Refused, packet: Int)
    }

    private let policy: Policy
    private let zones: CalendarZones
    private var engine: Engine?
    private var interfaces: [String: UInt32] = [:]
    private var unixTime: Int64?
    private var count = 0

    /// After so many exchanges an engine is replaced; its tables have room for as many.
    private static let mostJudged = 1_000
    private static let room: UInt32 = 4_096
    /// A day after the agent began, so that its cold start is over.
    private static let now = Instant(nanoseconds: 10 * 86_400 * 1_000_000_000)

    package init(_ policy: Policy) {
        let document = policy.document.forExchanges(room: Self.room)
        self.policy = (try? Policy(document, epoch: policy.epoch)) ?? policy
        zones = SystemTimeZones.zones(of: document)
    }

    /// What becomes of an attempt at a time, in seconds since 1970.
    package func fate(of attempt: Attempt, at time: Int64, openingAlone: Bool = false) -> Fate {
        let packets = attempt.packets(sourcePort: 40_000 + UInt16(count % 20_000))
        let judged = openingAlone ? Array(packets.prefix(1)) : packets
        if count % Self.mostJudged == 0 { begin() }
        let first = fate(of: judged, at: time)
        count += 1
        guard case .refused(let refused, _) = first, Self.dependsOnOthers(refused) else { return first }
        begin()
        return fate(of: judged, at: time)
    }

    /// Whether another engine may say otherwise: what rules and headers decide is the same for every one.
    private static func dependsOnOthers(_ refused: Step.Refused) -> Bool {
        [.tracking, .connections, .agent].contains(refused.reason.stage)
    }

    private func fate(of packets: [PacketWords], at time: Int64) -> Fate {
        if time != unixTime {
            engine?.setActiveSchedules(policy.scheduleActivity(zones, unixTime: time), at: Self.now)
            unixTime = time
        }
        for (number, words) in packets.enumerated() {
            let metadata = words.metadata(interface: words.interface.map { index(ofInterface: $0) } ?? 0)
            engine?.steps = []
            _ = unsafe words.bytes.withUnsafeBytes { engine?.inspect(unsafe $0.bytes, metadata, at: Self.now) }
            for case .refused(let refused) in engine?.steps ?? [] { return .refused(refused, packet: number) }
        }
        return .passes
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

extension PolicyDocument {
    /// As it decides inline, with tables that are soon made.
    fileprivate func forExchanges(room: UInt32) -> PolicyDocument {
        var document = self
        document.mode = .inline
        document.engine.limits.tcp = min(document.engine.limits.tcp, room)
        document.engine.limits.udp = min(document.engine.limits.udp, room)
        document.engine.limits.icmp = min(document.engine.limits.icmp, room)
        document.engine.limits.fragmentedDatagrams = min(document.engine.limits.fragmentedDatagrams, 64)
        return document
    }
}
