// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import PacketWire
import TestSupport
import Testing

/// Packets that several things refuse, that a moment's forgetting refuses, or that look as if another setting did.
extension ReasonCase {
    private static let strict = "engine: { anti-evasion: strict }"
    private static let noTelnet =
        "rules: [{ name: No telnet, action: deny, direction: incoming, protocol: any, frame: any }]"

    static let explained: [ReasonCase] = severalCauses + forgotten + misnamed + fragmentsOfRefused

    private static func only(
        _ reason: DropReason, _ what: String, _ policy: String = "",
        scene: @escaping @Sendable (EngineUnderTest) throws -> Void = { _ in },
        raises: @escaping @Sendable (EngineUnderTest) throws -> Fate
    ) -> ReasonCase {
        ReasonCase(reason, what, policy, scene: scene, raises: raises, spares: { _ in .pass })
    }

    private static let severalCauses: [ReasonCase] = [
        only(.invalidFlags, "SYN and FIN, where FIN out of connection is refused too", strict) {
            $0.receives(.toHost.tcp(40_000, 80, [.syn, .fin]))
        },
        only(
            .invalidFlags, "SYN with URG and data, urgent refused", strict
        ) { $0.receives(.toHost.tcp(40_000, 80, [.syn, .urg]).payload("x")) },
        only(
            .ceFlags, "by the setting and the row",
            "stateful: { tcp: { congestion-flags: deny } }\nengine: { anti-evasion: { congestion-flags: deny } }"
        ) { $0.receives(.toHost.tcp(40_000, 80, [.syn, .ece])) },
        only(
            .sameSourceAndDestinationIP, "LAND, where a rule denies it too", noTelnet
        ) { $0.receives(PacketBuilder.ipv4(from: .host, to: .host).syn(80, 80)) }.with { $0.rule = "No telnet" },
        only(
            .outOfAllowedPolicy, "a SYN with data to a port that no rule allows",
            "rules: [{ name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }]"
        ) { $0.receives(.toHost.tcp(40_000, 81, .syn).payload("x")) },
        only(
            .invalidIPv6Address, "a bogon that is reserved as well"
        ) { $0.receives(PacketBuilder.ipv6(from: "::ffff:10.0.0.1", to: .host6).echoRequest(id: 1, seq: 1)) },
        only(
            .maxIncomingConnections, "at two limits",
            "stateful: { tcp: { limits: { incoming-per-computer: 1, half-open-per-computer: 1 } } }",
            scene: { $0.receives(.toHost.syn(1, 80)) }
        ) { $0.receives(.toHost.syn(2, 80)) },
        only(
            .outOfConnection, "an outgoing RST, where both rows refuse it", strict
        ) { $0.sends(.fromHost.tcp(1, 2, .rst)) }.with { $0.direction = .outgoing },
        only(
            .invalidChecksum, "by the setting and the row",
            "engine: { sanity: { verify-tcp-checksum: true }, anti-evasion: { checksum: deny } }"
        ) { $0.receives(.toHost.syn(1, 2).transportChecksum(1)) },
        only(
            .fragmented, "by the setting and the row",
            "stateful: { ip: { fragments: deny }, udp: { enabled: false } }\nengine: { anti-evasion: { fragments: deny } }"
        ) { $0.receives(PacketBuilder.toHost.udp(1, 2).payload(count: 600).fragment(0..<304)) },
    ]

    private static let forgotten: [ReasonCase] = [
        halfClosed(by: .peer, "close-wait"), halfClosed(by: .host, "fin-wait-2"),
        only(
            .outOfAllowedPolicy, "the late answer to a connection that went out, where little may come in",
            "rules: [{ name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }]"
        ) {
            let talk = TCPTalk($0, hostPort: 2_000, peerPort: 443)
            talk.open(by: .host)
            $0.waits(.hours(3))
            return talk.send(.peer, data: 5)
        },
        only(
            .outOfAllowedPolicy, "a late answer to a datagram, where little may come in",
            "rules: [{ name: Web, action: allow, direction: incoming, protocol: udp, destination: { ports: 80 } }]",
            scene: { $0.sends(.fromHost.udp(5_000, 999)) }
        ) {
            $0.waits(.seconds(20))
            return $0.receives(.toHost.udp(999, 5_000))
        },
        only(.unsolicitedICMP, "a late reply", scene: { $0.sends(.fromHost.echoRequest(id: 7, seq: 1)) }) {
            $0.waits(.seconds(60))
            return $0.receives(.toHost.echoReply(id: 7, seq: 1))
        },
        only(.unsolicitedUDP, "a stream that paused") {
            $0.sends(.fromHost.udp(5_000, 999))
            $0.receives(.toHost.udp(999, 5_000))
            $0.waits(.minutes(3))
            return $0.receives(.toHost.udp(999, 5_000))
        },
        only(.outOfConnection, "outside the window of a connection that was forgotten") {
            let talk = TCPTalk($0)
            talk.open()
            $0.waits(.hours(3))
            return talk.deliver(talk.segment(.peer, data: 1, by: 8_000 << 7), from: .peer)
        },
    ]

    private static func halfClosed(by party: TCPTalk.Party, _ timeout: String) -> ReasonCase {
        only(.outOfConnection, "a half-close idle for 130 s: \(timeout)") {
            let talk = TCPTalk($0)
            talk.open()
            talk.send(party, [.fin, .ack])
            talk.send(party == .peer ? .host : .peer, .ack)
            $0.waits(.seconds(130))
            return talk.send(.peer, .ack)
        }
    }

    private static let misnamed: [ReasonCase] = [
        only(.invalidFlags, "PSH without ACK in a connection") {
            let talk = TCPTalk($0)
            talk.open()
            return talk.send(.peer, .psh, data: 1)
        },
        only(.invalidFlags, "FIN without ACK in a connection") {
            let talk = TCPTalk($0)
            talk.open()
            return talk.send(.peer, .fin)
        },
        only(
            .invalidIP, "from the loopback network, where a rule denies it too", noTelnet
        ) { $0.receives(PacketBuilder.ipv4(from: "127.0.0.1", to: .host).syn(1, 2)) }.with { $0.rule = "No telnet" },
    ]

    private static let refusedFirst =
        "rules: [{ name: No telnet, action: deny, direction: incoming, protocol: udp, destination: { ports: 23 } }]"

    private static let fragmentsOfRefused: [ReasonCase] = [
        only(.deny, "the second fragment of a datagram that a rule denies", refusedFirst) {
            let whole = PacketBuilder.toHost.udp(5_000, 23).payload(count: 600)
            $0.receives(whole.fragment(0..<304))
            return $0.receives(whole.fragment(304..<608))
        }.with { $0.rule = "No telnet" },
        only(.firstFragmentTooSmall, "the second fragment of a datagram whose first was too small", refusedFirst) {
            let whole = PacketBuilder.toHost.udp(5_000, 23).payload(count: 600)
            $0.receives(whole.fragment(0..<64))
            return $0.receives(whole.fragment(64..<608))
        }.with { $0.rule = "No telnet" },
    ]
}
