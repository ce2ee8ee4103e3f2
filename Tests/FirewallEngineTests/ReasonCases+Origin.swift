// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import PacketWire
import TestSupport
import Testing

/// What the settings of `engine.sanity` refuse that stand for the demands of common criteria.
extension ReasonCase {
    private static func from(_ source: IPAddress, to destination: IPAddress = .host) -> PacketBuilder {
        PacketBuilder.ip(from: source, to: destination).udp(5_000, 5_001)
    }
    private static func from6(_ source: IPAddress, to destination: IPAddress = .host6) -> PacketBuilder {
        PacketBuilder.ipv6(from: source, to: destination).udp(5_000, 5_001)
    }
    private static func denying(_ setting: String) -> String {
        stateless + "\nengine: { sanity: { \(setting): deny } }"
    }

    private static let plain = from(.peer)
    private static let route: [UInt8] = [7, 4, 192, 0, 2, 1]

    static let options: [ReasonCase] = [
        ReasonCase(.sourceRouted, "loose", plain.ipOptions([131] + route), but: plain.ipOptions([7] + route)),
        ReasonCase(
            .sourceRouted, "strict", plain.ipOptions([1, 137] + route), but: plain.ipOptions([0, 137] + route)),
        ReasonCase(
            .sourceRouted, "behind another option", plain.ipOptions([7, 3, 4, 131, 3, 4]),
            but: plain.ipOptions([7, 6, 4, 131, 3, 4])),
        ReasonCase(
            .sourceRouted, "its length cut off", plain.ipOptions([1, 1, 1, 131]), but: plain.ipOptions([1, 1, 1, 130])),
        ReasonCase(
            .sourceRouted, "of this host's own", stateless,
            raises: { $0.sends(.fromHost.udp(1, 2).ipOptions([131] + route)) },
            spares: { $0.sends(.fromHost.udp(1, 2).ipOptions([148, 4, 0, 0])) }
        ).with { $0.direction = .outgoing },
        ReasonCase(
            .recordRoute, "refused", denying("record-route"), plain.ipOptions([7] + route),
            but: plain.ipOptions([68] + route)),
    ]

    private static let noLinks = denying("link-local")

    static let links: [ReasonCase] = [
        ReasonCase(.linkLocalAddress, "source", noLinks, from("169.254.0.1"), but: from("169.253.255.255")),
        ReasonCase(
            .linkLocalAddress, "destination", noLinks, from(.peer, to: "169.254.169.254"),
            but: from(.peer, to: "169.255.0.0")),
        ReasonCase(.linkLocalAddress, "IPv6 source", noLinks, from6("fe80::1"), but: from6("fdff::1")),
        ReasonCase(
            .linkLocalAddress, "IPv6 destination", noLinks, from6(.peer6, to: "febf::1"),
            but: from6(.peer6, to: "ff02::1")),
        ReasonCase(
            .linkLocalAddress, "nearly neighbour discovery", noLinks,
            PacketBuilder.ipv6(from: "fe80::1", to: .host6).icmp(128),
            but: PacketBuilder.ipv6(from: "fe80::1", to: .host6).icmp(137)),
        ReasonCase(
            .linkLocalAddress, "this host's own", noLinks,
            raises: { $0.sends(PacketBuilder.ipv6(from: "fe80::10", to: .peer6).udp(5353, 5353)) },
            spares: { $0.sends(PacketBuilder.ipv6(from: "fe80::10", to: "ff02::fb").udp(5353, 5353)) }
        ).with { $0.direction = .outgoing },
        ReasonCase(
            .linkLocalAddress, "from outside to a group of the link", noLinks, from6("fe80::1", to: "ff02::fb"),
            but: from6(.peer6, to: "ff02::fb")),
        ReasonCase(
            .linkLocalAddress, "nearly DHCPv6", noLinks, PacketBuilder.ipv6(from: "fe80::1", to: .host6).udp(547, 545),
            but: PacketBuilder.ipv6(from: "fe80::1", to: .host6).udp(547, 546)),
    ]

    private static let spoofed = denying("own-source")
    private static let strictPaths = denying("reverse-path")

    static let origins: [ReasonCase] = [
        ReasonCase(
            .spoofedOwnAddress, "on any interface", spoofed, raises: { $0.receives(from(.host, to: .other), on: 3) },
            spares: { $0.sends(from(.host, to: .other), on: 3) }),
        ReasonCase(.spoofedOwnAddress, "IPv6", spoofed, from6(.host6, to: .peer6), but: from6(.peer6)),
        ReasonCase(
            .spoofedOwnAddress, "on its way through", spoofed + "\ninterfaces: { inside: [eth2] }",
            raises: { $0.forwards(from(.host, to: .peer), from: 2, to: 4) },
            spares: { $0.forwards(from(.other, to: .peer), from: 2, to: 4) }),
        ReasonCase(
            .spoofedOwnAddress, "a link-local one on its own link", spoofed,
            raises: { $0.receives(from6("fe80::10", to: "ff02::1"), on: 2) },
            spares: { $0.receives(from6("fe80::10", to: "ff02::1"), on: 3) }),
        ReasonCase(
            .spoofedOwnAddress, "nearly a neighbour who has the address too", spoofed,
            PacketBuilder.ipv6(from: .host6, to: "ff02::1").icmp(128),
            but: PacketBuilder.ipv6(from: .host6, to: "ff02::1").icmp(136)),
        ReasonCase(
            .broadcastSource, "of a network of this host", denying("broadcast-source"), from("192.0.2.255"),
            but: from("192.0.2.254")),
        ReasonCase(
            .reversePath, "by the other interface", strictPaths, raises: { $0.receives(from(.other), on: 2) },
            spares: { $0.receives(from(.other), on: 3) }),
        ReasonCase(
            .reversePath, "the default route's by another", strictPaths, raises: { $0.receives(plain, on: 3) },
            spares: { $0.receives(plain, on: 4) }),
        ReasonCase(
            .reversePath, "IPv6", strictPaths, raises: { $0.receives(from6("fd00:3::1"), on: 2) },
            spares: { $0.receives(from6("fd00:4::1"), on: 2) }),
        ReasonCase(
            .reversePath, "nearly DHCP", strictPaths,
            raises: { $0.receives(PacketBuilder.ipv4(from: .peer, to: .host).udp(67, 69), on: 3) },
            spares: { $0.receives(PacketBuilder.ipv4(from: .peer, to: .host).udp(67, 68), on: 3) }),
    ]
}
