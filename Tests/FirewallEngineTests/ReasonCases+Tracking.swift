// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import PacketWire
import TestSupport
import Testing

@testable import FirewallEngine

/// Stage T.
extension ReasonCase {
    private static func syn(_ flags: TCPFlags, options: [TCPOption] = []) -> PacketBuilder {
        .toHost.tcp(40_000, 80, flags, seq: 7, options: options)
    }
    private static let strict = "engine: { anti-evasion: strict }"

    static let flags: [ReasonCase] = [
        ReasonCase(.invalidFlags, "none", "", syn([]), but: syn(.syn)),
        ReasonCase(.invalidFlags, "only ECN bits", "", syn([.ece, .cwr]), but: syn([.syn, .ece, .cwr])),
        ReasonCase(.invalidFlags, "SYN and FIN", "", syn([.syn, .fin]), but: syn([.fin, .ack])),
        ReasonCase(.invalidFlags, "SYN and RST", "", syn([.syn, .rst]), but: syn(.rst)),
        ReasonCase(.invalidFlags, "RST and FIN", "", syn([.rst, .fin]), but: syn([.rst, .ack])),
        ReasonCase(
            .invalidFlags, "a FIN without ACK", "", syn([.fin, .urg, .psh]), but: syn([.fin, .urg, .psh, .ack])),
        ReasonCase(
            .invalidFlags, "PSH alone, where all that is out of connection passes",
            "engine: { anti-evasion: { outgoing-out-of-connection: allow } }",
            raises: { $0.sends(.fromHost.tcp(80, 40_000, .psh).payload("a")) },
            spares: { $0.sends(.fromHost.tcp(80, 40_000, .ack).payload("a")) }
        ).with { $0.direction = .outgoing },
        ReasonCase(.invalidFlags, "all six", "", syn(.ruleFlags), but: syn(.syn)),
        ReasonCase(
            .invalidFlags, "a SYN with data", "", syn(.syn).payload("GET /"),
            but: syn(.syn, options: [.fastOpen(cookie: [1, 2, 3, 4])]).payload("GET /")),
        ReasonCase(
            .invalidFlags, "a SYN with data in later fragments", "", syn(.syn).payload(count: 300).fragment(0..<104),
            but: syn(.syn)),
        ReasonCase(.invalidFlags, "urgent, where refused", strict, syn([.syn, .urg]), but: syn([.syn, .psh])),
        ReasonCase(
            .invalidFlags, "a SYN+ACK of the opener", scene: { TCPTalk($0).send(.peer, .syn) },
            raises: { $0.receives(.toHost.tcp(40_000, 80, [.syn, .ack], seq: 5_000, ack: 1)) },
            spares: { $0.receives(.toHost.tcp(40_000, 80, .syn, seq: 5_000)) }),
        ReasonCase(
            .invalidFlags, "a split handshake", scene: { TCPTalk($0, hostPort: 2_000, peerPort: 80).send(.host, .syn) },
            raises: {
                $0.receives(.toHost.tcp(80, 2_000, .ack, seq: 5_000, ack: 0xffff_ff01))
                return $0.receives(.toHost.tcp(80, 2_000, .syn, seq: 5_000))
            },
            spares: { $0.receives(.toHost.tcp(80, 2_000, [.syn, .ack], seq: 5_000, ack: 0xffff_ff01)) }),
        ReasonCase(
            .ceFlags, "where refused", "stateful: { tcp: { congestion-flags: deny } }", syn([.syn, .ece, .cwr]),
            but: syn(.syn)),
        ReasonCase(
            .ceFlags, "by the posture", "engine: { anti-evasion: { congestion-flags: deny } }", syn([.syn, .ece]),
            but: syn(.syn)),
    ]

    /// The third segment of a connection that its peer opened.
    private static func opened(_ engine: EngineUnderTest) -> TCPTalk {
        let talk = TCPTalk(engine)
        talk.open()
        return talk
    }

    static let sequences: [ReasonCase] =
        outOfConnection + [
            inConnection(
                .invalidSequence, "data beyond the window", by: { $0.segment(.peer, data: 1, by: 8_000 << 7) }),
            inConnection(
                .invalidSequence, "data from long ago", by: { $0.segment(.peer, data: 1, by: -(8_000 << 7) - 2) }),
            inConnection(
                .invalidSequence, "a RST outside the window", by: { $0.segment(.peer, [.rst, .ack], by: -1_100_000) }),
            inConnection(.invalidACK, "of what was never sent", by: { $0.segment(.peer, acknowledging: 1) }),
            inConnection(.invalidACK, "from long ago", by: { $0.segment(.peer, acknowledging: -(8_000 << 7) - 2) }),
            ReasonCase(
                .invalidSequence, "a time stamp from the past, where refused", strict,
                raises: { stamped($0, by: -1_001) }, spares: { stamped($0, by: -1_000) }),
            ReasonCase(
                .invalidSequence, "a time stamp of 0", raises: { stamped($0, to: 0) }, spares: { stamped($0, by: 1) }),
            ReasonCase(
                .internalStatesError, "an entry that contradicts itself",
                raises: {
                    let talk = opened($0)
                    $0.corruptOnlyConnection()
                    return talk.send(.peer, data: 1)
                },
                spares: { opened($0).send(.peer, data: 1) }),
            ReasonCase(
                .packetOnClosedConnection, "after a RST",
                raises: {
                    let talk = opened($0)
                    talk.send(.peer, [.rst, .ack])
                    return talk.send(.peer, data: 5)
                },
                spares: {
                    let talk = opened($0)
                    talk.send(.peer, [.rst, .ack])
                    return talk.send(.peer, .syn)
                }),
            ReasonCase(
                .packetOnClosedConnection, "after both FINs",
                raises: {
                    let talk = opened($0)
                    talk.close()
                    return talk.send(.peer, data: 5)
                },
                spares: {
                    let talk = opened($0)
                    talk.close()
                    return talk.send(.peer, .ack)
                }),
        ]

    private static func inConnection(
        _ reason: DropReason, _ what: String, by make: @escaping @Sendable (TCPTalk) -> PacketBuilder
    ) -> ReasonCase {
        ReasonCase(
            reason, what,
            raises: {
                let talk = opened($0)
                return talk.deliver(make(talk), from: .peer)
            },
            spares: { opened($0).send(.peer, data: 1) })
    }

    private static func stamped(_ engine: EngineUnderTest, by difference: Int = 0, to value: UInt32? = nil) -> Fate {
        let talk = TCPTalk(engine)
        talk.peer.timestamp = 3_000_000
        talk.host.timestamp = 9_000_000
        talk.open()
        talk.exchange()
        talk.peer.timestamp = value ?? UInt32(3_000_000 + difference)
        return talk.send(.peer, data: 1)
    }

    private static let outOfConnection: [ReasonCase] = [
        ReasonCase(
            .outOfConnection, "an ACK", raises: { TCPTalk($0).send(.peer, data: 5) },
            spares: { opened($0).send(.peer, data: 5) }),
        ReasonCase(
            .outOfConnection, "a SYN+ACK that nobody asked for",
            raises: { TCPTalk($0, hostPort: 2_000, peerPort: 80).send(.peer, [.syn, .ack]) },
            spares: {
                let talk = TCPTalk($0, hostPort: 2_000, peerPort: 80)
                talk.send(.host, .syn)
                return talk.send(.peer, [.syn, .ack])
            }),
        ReasonCase(
            .outOfConnection, "idle for too long",
            raises: {
                let talk = opened($0)
                $0.waits(.hours(3))
                return talk.send(.peer, data: 5)
            },
            spares: {
                let talk = opened($0)
                $0.waits(.milliseconds(3 * 3_600_000 - 1))
                return talk.send(.peer, data: 5)
            }),
        ReasonCase(
            .outOfConnection, "a RST, where refused", strict, PacketBuilder.toHost.tcp(1, 2, .rst),
            but: PacketBuilder.toHost.tcp(1, 2, .syn)),
        ReasonCase(
            .outOfConnection, "a FIN, where refused", "engine: { anti-evasion: { fin-out-of-connection: deny } }",
            PacketBuilder.toHost.tcp(1, 2, [.fin, .ack]), but: PacketBuilder.toHost.tcp(1, 2, .rst)),
        ReasonCase(
            .outOfConnection, "outgoing, where refused", strict, raises: { $0.sends(.fromHost.tcp(1, 2, .ack)) },
            spares: { $0.sends(.fromHost.tcp(1, 2, .syn)) }
        ).with { $0.direction = .outgoing },
    ]
}

extension EngineUnderTest {
    /// Makes the entry of the only connection say what no packet can make it say.
    func corruptOnlyConnection() {
        guard let index = engine.table.first(from: 0) else { return }
        engine.table[index].tcp.phase = .synReceived
    }
}
