// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// Well-formed packets of every kind that the decoder knows, each with a name. Tests cut and mutate them; the fuzzers
/// start from them.
package struct PacketCorpus: Sendable {
    package let name: String
    package let packet: PacketBuilder

    init(_ name: String, _ packet: PacketBuilder) {
        self.name = name
        self.packet = packet
    }

    private static let v4 = PacketBuilder.ipv4(from: "198.18.0.1", to: "198.18.0.2")
    private static let v6 = PacketBuilder.ipv6(from: "fd00::1", to: "fd00::2")
    private static let back4 = PacketBuilder.ipv4(from: "198.18.0.2", to: "198.18.0.1")
    private static let back6 = PacketBuilder.ipv6(from: "fd00::2", to: "fd00::1")

    package static let all = link + network + tcp + udpAndICMP + errors + fragments

    private static let link = [
        PacketCorpus("ethernet-ipv4", v4.udp(5353, 53).payload("abc").ethernet().padded()),
        PacketCorpus("vlan-ipv6", v6.udp(5353, 53).payload("abc").vlan(5)),
        PacketCorpus("two-vlans", v4.tcp(40_000, 80, [.syn]).vlan(7, type: 0x88a8).vlan(6, priority: 3)),
        PacketCorpus("arp", .arpRequest(for: "198.18.0.2", from: "198.18.0.1").ethernet().padded()),
        PacketCorpus("other-ethertype", .raw(etherType: 0x88cc, [2, 7, 4, 1]).ethernet().padded()),
    ]

    private static let network = [
        PacketCorpus("ipv4-options", v4.ipOptions([7, 7, 4, 0, 0, 0, 0]).udp(1, 2).payload("abc")),
        PacketCorpus("ipv4-other-protocol", v4.upperLayer(47).payload(count: 20)),
        PacketCorpus("ipv4-empty", v4),
        PacketCorpus("ipv6-other-protocol", v6.upperLayer(50).payload(count: 20)),
        PacketCorpus("ipv6-empty", v6),
        PacketCorpus("ipv6-no-next-header", v6.destinationOptions().noNextHeader().payload(count: 3)),
        PacketCorpus(
            "ipv6-chain",
            v6.hopByHop().destinationOptions().routing(type: 2, segmentsLeft: 1, addresses: ["fd00::3"])
                .authentication().destinationOptions().tcp(40_000, 80, [.syn], options: [.mss(1440)])),
        PacketCorpus("ipv6-routing-0", v6.routing(type: 0, segmentsLeft: 0, addresses: ["fd00::3"]).udp(1, 2)),
        PacketCorpus(
            "ipv6-router-alert",
            v6.timeToLive(1).hopByHop(options: [5, 2, 0, 0, 1, 0]).icmp(143).payload(count: 24)),
    ]

    private static let tcp = [
        PacketCorpus(
            "syn",
            v4.dontFragment().tcp(
                40_000, 80, [.syn, .ece, .cwr], seq: 0xffff_fff0,
                options: [.mss(1460), .sackPermitted, .timestamps(0x0102_0304, echo: 0), .noOperation, .windowScale(7)])
        ),
        PacketCorpus(
            "syn-fast-open",
            v6.tcp(40_000, 443, [.syn], options: [.mss(1440), .fastOpen(cookie: [1, 2, 3, 4, 5, 6, 7, 8])])
                .payload("GET /")),
        PacketCorpus(
            "syn-experimental-fast-open",
            v4.tcp(40_000, 443, [.syn], options: [.experimentalFastOpen(cookie: [1, 2, 3, 4])])),
        PacketCorpus(
            "sack",
            back4.tcp(
                80, 40_000, [.ack], seq: 5, ack: 100, window: 500,
                options: [
                    .noOperation, .noOperation, .timestamps(9, echo: 8), .noOperation, .noOperation,
                    .sack([(300, 400), (200, 250), (0xffff_ff00, 50)]),
                ])),
        PacketCorpus("data", back4.tcp(80, 40_000, [.ack, .psh], seq: 5, ack: 100).payload(count: 100)),
        PacketCorpus("urgent", v6.tcp(40_000, 80, [.ack, .urg], seq: 5, ack: 100, urgent: 3).payload(count: 5)),
        PacketCorpus("broken-options", v4.tcp(1, 2, [.syn], options: [.bytes([1, 2, 0, 5, 9, 3, 255, 7])])),
    ]

    private static let udpAndICMP = [
        PacketCorpus("udp", v4.udp(5353, 53).payload("abc")),
        PacketCorpus("udp-without-checksum", v4.udp(5353, 53).payload("abc").transportChecksum(0)),
        PacketCorpus("udp-surplus", v4.udp(5353, 53).payload("abcdef").udpLength(11)),
        PacketCorpus("udp-6", v6.udp(5353, 53).payload("abc")),
        PacketCorpus("echo-request", v4.echoRequest(id: 7, seq: 9).payload(count: 56)),
        PacketCorpus("echo-reply", back4.echoReply(id: 7, seq: 9).payload(count: 56)),
        PacketCorpus("timestamp-request", v4.icmpQuery(13, id: 7, seq: 9).payload(count: 12)),
        PacketCorpus("echo-request-6", v6.echoRequest(id: 7, seq: 9).payload(count: 56)),
        PacketCorpus("neighbor-solicitation", v6.timeToLive(255).icmp(135).payload(count: 24)),
        PacketCorpus("router-advertisement", v6.timeToLive(255).icmp(134, rest: 0x4000_0708).payload(count: 8)),
    ]

    private static let errors = [
        PacketCorpus("port-unreachable", back4.unreachable(code: 3, quoting: v4.udp(5353, 53).payload("abc"))),
        PacketCorpus(
            "fragmentation-needed", back4.packetTooBig(mtu: 1280, quoting: v4.tcp(1, 2, [.ack], seq: 9).payload("abc"))),
        PacketCorpus("redirect", back4.icmpError(5, code: 1, quoting: v4.echoRequest(id: 7, seq: 9))),
        PacketCorpus(
            "time-exceeded-of-fragment",
            back4.timeExceeded(quoting: v4.udp(5353, 53).payload(count: 100).fragmented(at: 48)[1])),
        PacketCorpus("error-quoting-options", back4.timeExceeded(quoting: v4.ipOptions([1, 1, 1, 0]).udp(5353, 53))),
        PacketCorpus(
            "error-quoting-error", back4.timeExceeded(quoting: v4.unreachable(code: 3, quoting: back4.udp(1, 2)))),
        PacketCorpus("packet-too-big", back6.packetTooBig(mtu: 1280, quoting: v6.tcp(1, 2, [.ack], seq: 9))),
        PacketCorpus(
            "error-quoting-chain",
            back6.timeExceeded(quoting: v6.hopByHop().destinationOptions().udp(5353, 53).payload("abc"))),
        PacketCorpus(
            "error-quoting-fragment-6",
            back6.timeExceeded(quoting: v6.udp(5353, 53).payload(count: 100).fragmented(at: 48)[1])),
        PacketCorpus("error-quoting-echo-6", back6.unreachable(code: 0, quoting: v6.echoRequest(id: 7, seq: 9))),
    ]

    private static let fragments = [
        PacketCorpus("first-fragment", v4.udp(5353, 53).payload(count: 100).fragmented(at: 48)[0]),
        PacketCorpus("later-fragment", v4.udp(5353, 53).payload(count: 100).fragmented(at: 48)[1]),
        PacketCorpus("last-fragment", v4.udp(5353, 53).payload(count: 100).fragmented(at: 48)[2]),
        PacketCorpus("tiny-first-fragment", v4.tcp(1, 2, [.syn], options: [.mss(1460)]).fragmented(at: 8)[0]),
        PacketCorpus("first-fragment-short-of-options", v4.tcp(1, 2, [.syn], options: [.mss(1460)]).fragment(0..<20)),
        PacketCorpus(
            "first-fragment-6",
            v6.hopByHop().destinationOptions().udp(5353, 53).payload(count: 100).fragmented(at: 48)[0]),
        PacketCorpus("last-fragment-6", v6.hopByHop().udp(5353, 53).payload(count: 100).fragmented(at: 48)[2]),
        PacketCorpus("first-fragment-short-of-chain", v6.destinationOptions().udp(1, 2).fragment(0..<8)),
        PacketCorpus("atomic-fragment", v6.tcp(1, 2, [.syn]).fragmentFields(offset: 0, more: false)),
    ]
}
