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

    private let engine: JudgingEngine
    private var count = 0

    /// After so many exchanges an engine is replaced; its tables have room for as many.
    private static let mostJudged = 1_000
    private static let room: UInt32 = 4_096

    package init(_ policy: Policy) {
        let document = policy.document.forExchanges(room: Self.room)
        engine = JudgingEngine((try? Policy(document, epoch: policy.epoch)) ?? policy)
    }

    /// What becomes of an attempt at a time, in seconds since 1970.
    package func fate(of attempt: Attempt, at time: Int64, openingAlone: Bool = false) -> Fate {
        let packets = attempt.packets(sourcePort: 40_000 + UInt16(count % 20_000))
        let judged = openingAlone ? Array(packets.prefix(1)) : packets
        if count % Self.mostJudged == 0 { engine.begin() }
        let first = fate(of: judged, at: time)
        count += 1
        guard case .refused(let refused, _) = first, Self.dependsOnOthers(refused) else { return first }
        engine.begin()
        return fate(of: judged, at: time)
    }

    /// Whether another engine may say otherwise: what rules and headers decide is the same for every one.
    private static func dependsOnOthers(_ refused: Step.Refused) -> Bool {
        [.tracking, .connections, .agent].contains(refused.reason.stage)
    }

    private func fate(of packets: [PacketWords], at time: Int64) -> Fate {
        for (number, words) in packets.enumerated() {
            for case .refused(let refused) in engine.judge(words, at: time) { return .refused(refused, packet: number) }
        }
        return .passes
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
