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

    static let explained: [ReasonCase] = severalCauses + forgotten + tests + misnamed + fragmentsOfRefused + shortages

    static func only(
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
            .invalidFragmentOffset, "Don't Fragment on a first fragment that is too small as well",
            "stateful: { udp: { enabled: false } }\nengine: { sanity: { df-fragments: deny } }"
        ) { $0.receives(PacketBuilder.toHost.udp(1, 2).payload(count: 600).dontFragment().fragment(0..<64)) },
        only(
            .sourceRouted, "with a route to be recorded, from a link-local address that is foreign to the interface",
            "stateful: { udp: { enabled: false } }\n"
                + "engine: { sanity: { record-route: deny, link-local: deny, reverse-path: deny } }"
        ) {
            $0.receives(
                PacketBuilder.ipv4(from: "169.254.0.1", to: .host).udp(1, 2)
                    .ipOptions([131, 4, 4, 0, 7, 4, 4, 0]), on: 3)
        },
        only(
            .fragmented, "by the setting and the row",
            "stateful: { ip: { fragments: deny }, udp: { enabled: false } }\nengine: { anti-evasion: { fragments: deny } }"
        ) { $0.receives(PacketBuilder.toHost.udp(1, 2).payload(count: 600).fragment(0..<304)) },
    ]

    private static let tests: [ReasonCase] = [
        only(.invalidSequence, "past the FIN") {
            let talk = TCPTalk($0)
            talk.open()
            talk.send(.peer, [.fin, .ack])
            return talk.send(.peer, data: 1)
        },
        only(.invalidSequence, "a RST that is none of the opening's", scene: { $0.receives(.toHost.syn(40_000, 80)) }) {
            $0.receives(.toHost.tcp(40_000, 80, .rst, seq: 900_000))
        },
        only(.invalidACK, "of a SYN that was not sent", scene: { $0.sends(.fromHost.syn(2_000, 443)) }) {
            $0.receives(.toHost.tcp(443, 2_000, [.syn, .ack], seq: 5, ack: 77))
        },
        only(.invalidACK, "a SACK block of what was never sent") {
            let talk = TCPTalk($0)
            talk.open()
            let (peer, host) = (talk.peer, talk.host)
            return $0.receives(
                .toHost.tcp(
                    peer.port, host.port, .ack, seq: peer.next, ack: peer.expected,
                    options: [.sack([(peer.expected &+ 1_000, peer.expected &+ 2_000)])]))
        },
    ]

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

    private static let service =
        "rules: [{ name: DNS, action: force-allow, direction: incoming, protocol: udp, destination: { ports: 53 } }]"
    private static let datagram = PacketBuilder.toHost.udp(5_000, 53).payload(count: 600)

    private static func later(_ number: UInt32) -> PacketBuilder { datagram.identification(number).fragment(304..<608) }
    private static func first(_ number: UInt32) -> PacketBuilder { datagram.identification(number).fragment(0..<304) }

    private static let shortages: [ReasonCase] = [
        only(.incompleteDatagram, "one too many that wait", service) {
            let other = PacketBuilder.ipv4(from: .other, to: .host).udp(5_000, 53).payload(count: 600)
            for number in UInt32(1)...33 {
                $0.receives(later(number))
                $0.receives(other.identification(number).fragment(304..<608))
            }
            return $0.released.last ?? .hold
        },
        only(
            .incompleteDatagram, "its record gave way", service + "\nengine: { limits: { fragmented-datagrams: 2 } }"
        ) {
            $0.receives(later(1))
            $0.receives(first(2))
            $0.receives(first(3))
            return $0.released.last ?? .hold
        },
        only(.incompleteDatagram, "64 newer datagrams have begun", service) {
            $0.receives(later(1))
            for number in 2...65 { $0.receives(first(UInt32(number))) }
            return $0.released.last ?? .hold
        },
        only(
            .incompleteDatagram, "the datagram's own time is over",
            service + "\nengine: { timeouts: { fragment: 1s, fragment-hold: 60s } }"
        ) {
            $0.receives(later(1))
            $0.waits(.seconds(1))
            return $0.released.last ?? .hold
        },
    ]
}
