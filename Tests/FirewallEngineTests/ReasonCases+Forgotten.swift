// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import PacketWire
import TestSupport
import Testing

/// Packets of connections that were forgotten, in each stage of their life, as each reason that this can have.
extension ReasonCase {
    static let forgotten: [ReasonCase] =
        forgottenInside("", .outOfConnection) + forgottenInside(onlyWeb, .outOfAllowedPolicy)
        + forgottenInside(onlyWeb, .outOfAllowedPolicyOpenPort) + lateDatagrams(onlyWeb, .outOfAllowedPolicy)
        + lateDatagrams(onlyWeb, .outOfAllowedPolicyOpenPort) + lateDatagrams("", .unsolicitedUDP) + lateReplies
        + beside

    private static let onlyWeb =
        "rules: [{ name: Web, action: allow, direction: incoming, protocol: tcp+udp, destination: { ports: 80 } }]"

    /// A rule that admits the opening of a connection, and not what follows.
    private static let openedByFlags = """
        rules: [{ name: SYN, action: allow, direction: incoming, protocol: tcp, destination: { ports: 2000 },
                  flags: { set: [syn] } }]
        """

    private static func only(
        _ reason: DropReason, _ what: String, _ policy: String,
        raises: @escaping @Sendable (EngineUnderTest) throws -> Fate
    ) -> ReasonCase {
        ReasonCase(
            reason, what, policy,
            scene: {
                guard reason == .outOfAllowedPolicyOpenPort else { return }
                $0.engine.listeningPorts.insert(tcp: 2_000)
                $0.engine.listeningPorts.insert(udp: 5_000)
            }, raises: raises, spares: { _ in .pass })
    }

    /// A connection of the host's own, brought into one stage, left alone until it is forgotten, and answered then.
    private static func forgottenInside(_ policy: String, _ reason: DropReason) -> [ReasonCase] {
        func late(
            _ stage: String, after span: Instant.Span, by make: @escaping @Sendable (TCPTalk) -> Void,
            then: TCPFlags = .ack
        ) -> ReasonCase {
            only(reason, "late in \(stage)", policy) {
                let talk = TCPTalk($0, hostPort: 2_000, peerPort: 443)
                make(talk)
                $0.waits(span)
                return talk.send(.peer, then)
            }
        }
        @Sendable func opened(_ talk: TCPTalk, _ segments: (TCPTalk.Party, TCPFlags)...) {
            talk.open(by: .host)
            for (party, flags) in segments { talk.send(party, flags) }
        }
        return [
            late("SYN-SENT", after: .seconds(20), by: { $0.send(.host, .syn) }, then: [.syn, .ack]),
            late(
                "SYN-RECEIVED", after: .seconds(60),
                by: {
                    $0.send(.host, .syn)
                    $0.send(.peer, [.syn, .ack])
                }, then: [.syn, .ack]),
            late("ESTABLISHED", after: .hours(3), by: { opened($0) }),
            late("FIN-WAIT-1", after: .minutes(2), by: { opened($0, (.host, [.fin, .ack])) }),
            late("FIN-WAIT-2", after: .minutes(2), by: { opened($0, (.host, [.fin, .ack]), (.peer, .ack)) }),
            late("CLOSE-WAIT", after: .minutes(2), by: { opened($0, (.peer, [.fin, .ack]), (.host, .ack)) }),
            late("CLOSING", after: .seconds(30), by: { opened($0, (.host, [.fin, .ack]), (.peer, [.fin, .ack])) }),
            late("LAST-ACK", after: .seconds(30), by: { opened($0, (.peer, [.fin, .ack]), (.host, [.fin, .ack])) }),
            late(
                "TIME-WAIT", after: .seconds(60),
                by: { opened($0, (.host, [.fin, .ack]), (.peer, [.fin, .ack]), (.host, .ack)) }),
            late("CLOSED", after: .seconds(10), by: { opened($0, (.host, [.rst, .ack])) }),
            // Where a local socket listens, the other end must have opened it.
            only(
                reason, "older than the agent", reason == .outOfAllowedPolicyOpenPort ? openedByFlags : policy
            ) {
                $0.receives(.toHost.tcp(443, 2_000, .ack, seq: 5, ack: 7).payload("x"))
            },
        ]
    }

    private static func lateDatagrams(_ policy: String, _ reason: DropReason) -> [ReasonCase] {
        [
            only(reason, "the answer to a datagram, too late", policy) {
                $0.sends(.fromHost.udp(5_000, 999))
                $0.waits(.seconds(20))
                return $0.receives(.toHost.udp(999, 5_000))
            },
            only(reason, "a stream of datagrams that paused", policy) {
                $0.sends(.fromHost.udp(5_000, 999))
                $0.receives(.toHost.udp(999, 5_000))
                $0.waits(.minutes(3))
                return $0.receives(.toHost.udp(999, 5_000))
            },
        ]
    }

    private static let lateReplies: [ReasonCase] = [
        "", "rules: [{ name: Web, action: allow, direction: incoming, protocol: tcp }]",
    ]
    .map { policy in
        only(policy.isEmpty ? .unsolicitedICMP : .outOfAllowedPolicy, "a late reply", policy) {
            $0.sends(.fromHost.echoRequest(id: 7, seq: 1))
            $0.waits(.seconds(60))
            return $0.receives(.toHost.echoReply(id: 7, seq: 1))
        }
    }

    /// What was forgotten, and would be refused if it were not.
    private static let beside: [ReasonCase] = [
        only(.outOfConnection, "outside the window of a connection that was forgotten", "") {
            let talk = TCPTalk($0)
            talk.open()
            $0.waits(.hours(3))
            return talk.deliver(talk.segment(.peer, data: 1, by: 8_000 << 7), from: .peer)
        },
        only(
            .outOfConnection, "admitted by its flags, and no opening of it would be",
            """
            rules:
              - { name: Acks, action: allow, direction: incoming, protocol: tcp, flags: [ack] }
              - { name: Names, action: allow, direction: outgoing, protocol: udp }
            """
        ) { $0.receives(.toHost.tcp(443, 2_000, .ack)) },
        only(
            .outOfConnection, "without a flag, where that is allowed", "engine: { anti-evasion: { zero-flags: allow } }"
        ) {
            $0.receives(.toHost.tcp(443, 2_000, []))
        },
    ]
}
