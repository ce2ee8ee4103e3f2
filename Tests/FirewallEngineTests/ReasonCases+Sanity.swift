// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import PacketWire
import TestSupport
import Testing

/// Stage V, and what of stage E a packet can raise.
extension ReasonCase {
    private static let udp = PacketBuilder.toHost.udp(5_000, 5_001).payload("abc")
    private static let tcp = PacketBuilder.toHost.tcp(40_000, 80, .ack)
    private static let udp6 = PacketBuilder.toHost6.udp(5_000, 5_001).payload("abc")

    static let headers: [ReasonCase] =
        linkHeaders + ipv4Headers + ipv6Headers + transportHeaders + [
            ReasonCase(
                .invalidPacketInfo, "no packet", stateless,
                raises: { $0.receives(udp, cutTo: 0, from: 0) }, spares: { $0.receives(udp) }),
            ReasonCase(
                .invalidPacketInfo, "a hook that nobody knows", stateless,
                raises: { $0.receives(udp, hook: .unknown) }, spares: { $0.receives(udp, hook: .input) }),
            ReasonCase(
                .invalidPacketInfo, "the copy ends in the TCP header", stateless,
                raises: { $0.receives(tcp.payload(count: 50), cutTo: 39) },
                spares: { $0.receives(tcp.payload(count: 50), cutTo: 40) }),
            ReasonCase(
                .invalidPacketInfo, "the copy ends in the TCP options", stateless,
                raises: { $0.receives(PacketBuilder.toHost.syn(1, 2), cutTo: 48) },
                spares: { $0.receives(PacketBuilder.toHost.syn(1, 2), cutTo: 52) }),
            ReasonCase(
                .invalidPacketInfo, "the copy ends in the packet that an error quotes", stateless,
                raises: { $0.receives(.toHost.unreachable(code: 1, quoting: .fromHost.udp(1, 2)), cutTo: 55) },
                spares: { $0.receives(.toHost.unreachable(code: 1, quoting: .fromHost.udp(1, 2)), cutTo: 56) }),
        ]

    private static let linkHeaders: [ReasonCase] = [
        ReasonCase(
            .noIPHeader, "an empty IP frame", stateless, .raw(etherType: 0x0800, []).ethernet(), but: udp.ethernet()),
        ReasonCase(
            .unreadableEthernetHeader, "13 bytes", stateless,
            raises: { $0.receives(frame: udp.ethernet().cut(to: 13)) },
            spares: { $0.receives(frame: udp.ethernet().bytes) }),
        ReasonCase(
            .unreadableEthernetHeader, "a cut VLAN tag", stateless,
            raises: { $0.receives(frame: udp.vlan(7).cut(to: 17)) }, spares: { $0.receives(frame: udp.vlan(7).bytes) }),
        ReasonCase(.ipVersionUnknown, "version 5", udp.version(5), but: udp),
        ReasonCase(
            .unknownIPVersion, "IPv6 in an IPv4 frame", stateless,
            raises: { $0.receives(udp6) { $0.etherType = 0x0800 } },
            spares: { $0.receives(udp6) { $0.etherType = 0 } }),
        ReasonCase(
            .unknownIPVersion, "IPv4 in an IPv6 frame", udp.ethernet(etherType: 0x86dd), but: udp.ethernet()),
    ]

    private static let ipv4Headers: [ReasonCase] = [
        ReasonCase(.invalidIPDatagramLength, "one byte too much said", udp.totalLength(32), but: udp.totalLength(31)),
        ReasonCase(
            .unreadableIPv4Header, "19 bytes", stateless, raises: { $0.receives(udp, cutTo: 19, from: 19) },
            spares: { $0.receives(udp) }),
        ReasonCase(.unreadableIPv4Header, "a header longer than the packet", udp.headerLength(words: 15), but: udp),
        ReasonCase(
            .unreadableIPv4Header, "a total length within the header",
            PacketBuilder.toHost.upperLayer(253).payload("a").totalLength(19),
            but: PacketBuilder.toHost.upperLayer(253).payload("a")),
        ReasonCase(.invalidIPHeaderLength, "four words", udp.headerLength(words: 4), but: udp.headerLength(words: 5)),
    ]

    private static let ipv6Headers: [ReasonCase] = [
        ReasonCase(
            .unreadableIPv6Header, "39 bytes", stateless, raises: { $0.receives(udp6, cutTo: 39, from: 39) },
            spares: { $0.receives(udp6) }),
        ReasonCase(
            .unreadableIPv6Header, "one byte too much said", udp6.payloadLength(12), but: udp6.payloadLength(11)),
        ReasonCase(
            .unreadableIPv6Header, "payload length 0 before hop-by-hop options that say no other",
            udp6.hopByHop().payloadLength(0), but: udp6.hopByHop()),
        ReasonCase(
            .ipv6RoutingHeader0, "type 0 with nothing left",
            udp6.routing(type: 0, segmentsLeft: 0, addresses: ["fd00::3"]),
            but: udp6.routing(type: 2, segmentsLeft: 0, addresses: ["fd00::3"])),
        ReasonCase(
            .invalidExtensionChain, "hop-by-hop options that are not first", udp6.destinationOptions().hopByHop(),
            but: udp6.hopByHop().destinationOptions()),
        ReasonCase(
            .invalidExtensionChain, "seventeen headers",
            (0..<17).reduce(udp6) { packet, _ in packet.destinationOptions() },
            but: (0..<16).reduce(udp6) { packet, _ in packet.destinationOptions() }),
        ReasonCase(
            .invalidExtensionChain, "a header beyond the packet",
            PacketBuilder.toHost6.upperLayer(17).extensionHeader(60, body: [1, 4, 0, 0, 0, 0], lengthField: 1),
            but: udp6.extensionHeader(60, body: [1, 4, 0, 0, 0, 0], lengthField: 0)),
    ]

    private static let transportHeaders: [ReasonCase] = [
        ReasonCase(
            .invalidDataOffset, "24 bytes said, 20 there", tcp.dataOffset(words: 6), but: tcp.dataOffset(words: 5)),
        ReasonCase(
            .invalidDataOffset, "60 bytes said, 56 there", tcp.dataOffset(words: 15).payload(count: 36),
            but: tcp.dataOffset(words: 15).payload(count: 40)),
        ReasonCase(.invalidTCPHeaderLength, "four words", tcp.dataOffset(words: 4), but: tcp.dataOffset(words: 5)),
        ReasonCase(
            .unreadableProtocolHeader, "19 bytes of TCP", PacketBuilder.toHost.upperLayer(6).payload(count: 19),
            but: tcp),
        ReasonCase(
            .unreadableProtocolHeader, "seven bytes of UDP", PacketBuilder.toHost6.upperLayer(17).payload(count: 7),
            but: PacketBuilder.toHost6.udp(1, 2)),
        ReasonCase(
            .unreadableProtocolHeader, "seven bytes of ICMP", PacketBuilder.toHost.upperLayer(1).payload(count: 7),
            but: PacketBuilder.toHost.echoRequest(id: 1, seq: 1)),
        ReasonCase(
            .unreadableProtocolHeader, "seven bytes of ICMPv6", PacketBuilder.toHost6.upperLayer(58).payload(count: 7),
            but: PacketBuilder.toHost6.echoRequest(id: 1, seq: 1)),
        ReasonCase(
            .unreadableProtocolHeader, "a first fragment that ends in the TCP header",
            stateless + "\nengine: { sanity: { minimum-fragment-size: 0 } }", tcp.payload(count: 100).fragment(0..<16),
            but: tcp.payload(count: 100).fragment(0..<24)),
        ReasonCase(.invalidTransportHeaderLength, "UDP of seven bytes", udp.udpLength(7), but: udp.udpLength(8)),
        ReasonCase(.invalidTransportHeaderLength, "UDP beyond the packet", udp.udpLength(12), but: udp.udpLength(11)),
    ]
}

extension ReasonCase {
    private static func from(_ source: IPAddress, to destination: IPAddress = .host) -> PacketBuilder {
        PacketBuilder.ip(from: source, to: destination).udp(5_000, 5_001)
    }
    private static func from6(_ source: IPAddress, to destination: IPAddress = .host6) -> PacketBuilder {
        PacketBuilder.ipv6(from: source, to: destination).udp(5_000, 5_001)
    }

    private static let noNullIP = stateless + "\nengine: { sanity: { allow-null-ip: false } }"

    static let addresses: [ReasonCase] =
        sources + sets + options + links + origins + [
            ReasonCase(
                .ipv6Packet, "IPv6 while blocked", stateless + "\nengine: { sanity: { block-ipv6: true } }",
                from6(.peer6), but: from(.peer)),
            ReasonCase(.ipv6SourceIsMulticast, "from a group", from6("ff02::1"), but: from6(.peer6, to: "ff02::1")),
            ReasonCase(
                .sameSourceAndDestinationIP, "LAND", stateless + "\ninterfaces: { ignore: [] }",
                raises: { $0.receives(from(.host)) }, spares: { $0.receives(from(.host), on: 1) }),
            ReasonCase(
                .sameSourceAndDestinationIP, "LAND by neighbour discovery",
                PacketBuilder.ipv6(from: .host6, to: .host6).icmp(135),
                but: PacketBuilder.ipv6(from: .peer6, to: .host6).icmp(135)),
            ReasonCase(.nullIP, "no source", noNullIP, from("0.0.0.0"), but: from("0.0.0.1")),
            ReasonCase(.nullIP, "no destination", noNullIP, from(.peer, to: "0.0.0.0"), but: from(.peer)),
            ReasonCase(
                .nullIP, "nearly DHCP", noNullIP,
                PacketBuilder.ipv4(from: "0.0.0.0", to: "255.255.255.255").udp(68, 68),
                but: PacketBuilder.ipv4(from: "0.0.0.0", to: "255.255.255.255").udp(68, 67)),
            ReasonCase(
                .nullIP, "no IPv6 source", noNullIP, PacketBuilder.ipv6(from: "::", to: "ff02::1").icmp(128),
                but: PacketBuilder.ipv6(from: "::", to: "ff02::1").icmp(135)),
        ]

    private static let sources: [ReasonCase] = [
        ReasonCase(.invalidIP, "multicast", from("224.0.0.1"), but: from("223.255.255.255")),
        ReasonCase(.invalidIP, "limited broadcast", from("255.255.255.255"), but: from(.peer, to: "255.255.255.255")),
        ReasonCase(.invalidIP, "class E", from("240.0.0.1"), but: from("223.255.255.255")),
        ReasonCase(
            .invalidIP, "class E as destination", from(.peer, to: "255.255.255.254"),
            but: from(.peer, to: "255.255.255.255")),
        ReasonCase(
            .invalidIP, "loopback from outside", stateless + "\ninterfaces: { ignore: [] }",
            raises: { $0.receives(from("127.0.0.1")) }, spares: { $0.receives(from("127.0.0.1"), on: 1) }),
        ReasonCase(.invalidIP, "beside loopback", from("127.255.255.255"), but: from("126.255.255.255")),
    ]

    private static let sets: [ReasonCase] =
        [
            ("documentation", "2001:db8::1", "2001:db9::1"), ("loopback", "::1", "2000::1"),
            ("IPv4-compatible", "::198.51.100.7", "64:ff9b::198.51.100.7"),
            ("IPv4-mapped", "::ffff:198.51.100.7", "64:ff9b:1::198.51.100.7"), ("6bone", "3ffe::1", "3fff::1"),
            ("reserved 0100::/8", "100::1", "2000::1"), ("reserved 4000::/2", "4000::1", "3fff:ffff::1"),
            ("reserved up to fbff", "fbff::1", "fc00::1"), ("6to4 of 10/8", "2002:a00:1::1", "2002:b00:1::1"),
            ("6to4 of 172.16/12", "2002:ac1f:1::1", "2002:ac20:1::1"),
            ("6to4 of a group", "2002:efff::1", "2002:dfff::1"),
            ("6to4 of 192.168/16", "2002:c0a8::1", "2002:c0a9::1"), ("6to4 of 127/8", "2002:7f00::1", "2002:7e00::1"),
        ].map { (name: String, bad: IPAddress, good: IPAddress) in
            ReasonCase(.invalidIPv6Address, name, from6(bad), but: from6(good))
        } + [
            ReasonCase(
                .invalidIPv6Address, "as destination", from6(.peer6, to: "2001:db8::1"),
                but: from6(.peer6, to: "2001:db9::1")),
            ReasonCase(
                .invalidIPv6Address, "site-local, when refused",
                stateless + "\nengine: { sanity: { ipv6: { site-local: deny } } }", from6("feff::1"),
                but: from6("febf::1")),
        ]

    private static let checked = stateless + "\nengine: { sanity: { verify-tcp-checksum: true } }"

    private static let empty = stateless + "\nengine: { sanity: { drop-zero-payload: false } }"

    /// Where a packet without payload may pass, one of a protocol with a header may not.
    private static let emptyTransports: [ReasonCase] = [
        ("TCP", PacketBuilder.toHost, 6, PacketBuilder.toHost, 253), ("UDP", .toHost6, 17, .toHost6, 59),
        ("ICMP", .toHost, 1, .toHost6, 1), ("ICMPv6", .toHost6.destinationOptions(), 58, .toHost, 58),
    ].map { (name: String, bad: PacketBuilder, number: UInt8, good: PacketBuilder, other: UInt8) in
        ReasonCase(
            .unreadableProtocolHeader, "no byte of \(name)", empty, bad.upperLayer(number),
            but: good.upperLayer(other))
    }

    static let payloads: [ReasonCase] =
        emptyTransports + [
            ReasonCase(
                .ipZeroPayload, "an IPv4 header", PacketBuilder.toHost, but: PacketBuilder.toHost.payload("a")),
            ReasonCase(
                .ipZeroPayload, "nothing after No Next Header",
                PacketBuilder.toHost6.destinationOptions().noNextHeader(),
                but: PacketBuilder.toHost6.destinationOptions().upperLayer(253).payload("a")),
            ReasonCase(
                .invalidChecksum, "one bit wrong", checked, raises: { $0.receives(tcp.transportChecksum(1)) },
                spares: { $0.receives(tcp.transportChecksum(1)) { $0.checksumNotReady = true } }),
            ReasonCase(
                .invalidChecksum, "by the posture", stateless + "\nengine: { anti-evasion: { checksum: deny } }",
                PacketBuilder.toHost6.tcp(1, 2, .ack).transportChecksum(1), but: PacketBuilder.toHost6.tcp(1, 2, .ack)),
        ]
}
