// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
package import FirewallEngine
package import FirewallPolicy
import PacketWire

/// A probe and its answer, judged packet by packet by an engine with a policy, as `portreeve explain` judges one.
package struct ProbeExchange {
    /// What becomes of a probe.
    package struct Outcome: Sendable {
        /// Why its exchange ends; nil: it is answered.
        package var refusal: Step.Refused?
        /// What the rules said of its first packet.
        package var decision: RuleDecision?
        /// The packet that was refused.
        package var refused: PacketWords?

        package var passes: Bool { refusal == nil }
    }

    private let policy: OnePacketPolicy
    private let reach: ProbeReach

    package init(_ policy: Policy, _ reach: ProbeReach) {
        self.policy = OnePacketPolicy(policy)
        self.reach = reach
    }

    package func outcome(of probe: PlannedProbe) -> Outcome {
        var outcome = Outcome()
        let packets = packets(of: probe)
        for (words, explanation) in zip(packets, PacketScene.judge(packets, now: reach.unixTime, by: policy)) {
            if outcome.decision == nil { outcome.decision = explanation.ruling?.decision }
            if let refusal = explanation.refusal, !refusal.passes {
                (outcome.refusal, outcome.refused) = (refusal, words)
                return outcome
            }
        }
        return outcome
    }

    /// A handshake, the payload and its answer, or a datagram and its answer.
    private func packets(of probe: PlannedProbe) -> [PacketWords] {
        let port = reach.sourcePorts.first?.lowerBound ?? 40_000
        func packet(isAnswer: Bool, _ flags: TCPFlags, _ numbers: (UInt32, UInt32), payload: Int) -> PacketWords {
            let ends = isAnswer ? (probe.port, port) : (port, probe.port)
            let transport: PacketWords.Transport =
                probe.isTCP
                ? .tcp(source: ends.0, destination: ends.1, flags) : .udp(source: ends.0, destination: ends.1)
            var words = PacketWords(isAnswer ? reach.direction.opposite : reach.direction, transport)
            words.interface = reach.interface
            words.isIPv6 = probe.isIPv6
            (words.source, words.destination) =
                isAnswer ? (probe.destination, probe.source) : (probe.source, probe.destination)
            (words.sequence, words.acknowledgement) = numbers
            words.payload = payload
            words.unixTime = reach.unixTime
            return words
        }
        let length = Self.payload
        guard probe.isTCP else {
            return [false, true].map { packet(isAnswer: $0, [], (0, 0), payload: length) }
        }
        let (mine, theirs): (UInt32, UInt32) = (1_000, 5_000)
        let end = mine + 1 + UInt32(length)
        return [
            packet(isAnswer: false, .syn, (mine, 0), payload: 0),
            packet(isAnswer: true, .syn | .ack, (theirs, mine + 1), payload: 0),
            packet(isAnswer: false, .ack, (mine + 1, theirs + 1), payload: 0),
            packet(isAnswer: false, .ack | .psh, (mine + 1, theirs + 1), payload: length),
            packet(isAnswer: true, .ack | .psh, (theirs + 1, end), payload: length),
        ]
    }

    /// Bytes of a probe's least payload, and of its answer.
    private static let payload = 48
}
