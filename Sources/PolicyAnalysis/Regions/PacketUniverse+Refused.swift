// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire

/// What stage V refuses by several fields together; of one address alone `AddressDomain` tells (docs/design.md 2).
extension PacketUniverse {
    /// What of a region gets as far as the rules: disjoint parts, none where nothing does.
    func judged(_ region: Region) -> [Region] {
        var parts = [region]
        for refused in refusals[region.kind.rawValue] where region.intersects(refused) {
            parts = parts.flatMap { $0.intersects(refused) ? $0.subtracting(refused, in: self) : [$0] }
        }
        return parts.filter { !$0.isVoid(in: self) }
    }

    /// Packets of a kind that are refused whatever the rules say.
    func refusals(of kind: PacketKind, _ settings: [SanitySettings]) -> [Region] {
        guard kind.isIP else { return [] }
        var regions = kind == .icmp4 || kind == .icmp6 ? impossibleQuotes(kind) : []
        if settings.contains(where: \.denyLinkLocal) { regions += linkLocalRefusals(of: kind) }
        if kind == .udp4, settings.contains(where: { !$0.allowNullIP }) { regions += Self.nullRefusals }
        return regions
    }

    /// Only errors quote, and no packet is known that a group or, elsewhere than on a loopback interface, a loopback address has sent.
    private func impossibleQuotes(_ kind: PacketKind) -> [Region] {
        var quotes = Region(kind)
        quotes[.quote] = NumberSet(1...1)
        var (plain, fromGroup) = (quotes, quotes)
        plain[.icmp] = domain(.icmp, of: kind).subtracting(kind == .icmp4 ? Self.errors4 : Self.errors6)
        let groups = kind == .icmp4 ? Self.groups4 : NumberSet(0xff00 << 112...UInt128.max)
        fromGroup[.destination] = domain(.destination, of: kind).intersection(groups)
        guard kind == .icmp4 else { return [plain, fromGroup] }
        var fromLoopback = quotes
        fromLoopback[.destination] = domain(.destination, of: kind).intersection(NumberSet(0x7f00_0000...0x7fff_ffff))
        if let loopback {
            fromLoopback[.interface] = domain(.interface, of: kind).subtracting(NumberSet(loopback...loopback))
        }
        return [plain, fromGroup, fromLoopback]
    }

    /// RFC 792: destination unreachable, source quench, redirect, time exceeded, parameter problem.
    private static let errors4 = NumberSet([3, 4, 5, 11, 12].map { .init(first: $0 << 8, last: $0 << 8 | 255) })
    /// RFC 4443 section 2.1, and the redirect of RFC 4861, which quotes too.
    private static let errors6 = NumberSet([1, 2, 3, 4, 137].map { .init(first: $0 << 8, last: $0 << 8 | 255) })
    private static let groups4 = NumberSet([
        .init(first: 0xe000_0000, last: 0xefff_ffff), .init(first: 0xffff_ffff, last: 0xffff_ffff),
    ])

    /// Addresses of the link: this host uses them towards groups of the link (RFC 6724 section 5), and anybody for DHCPv6 and redirects
    /// (RFC 8415 section 7.2, RFC 4861 section 4.5).
    private func linkLocalRefusals(of kind: PacketKind) -> [Region] {
        guard kind != .discovery6 else { return [] }
        var base = Region(kind)
        if let loopback {
            base[.interface] = domain(.interface, of: kind).subtracting(NumberSet(loopback...loopback))
        }
        if kind == .udp6 { base[.destinationPort] = NumberSet(0...0xffff).subtracting(NumberSet(546...547)) }
        if kind == .icmp6 { base[.icmp] = domain(.icmp, of: kind).subtracting(NumberSet(137 << 8...137 << 8 | 255)) }
        let link = kind.isIPv4 ? Self.linkLocal4 : Self.linkLocal6
        var (from, to) = (base, base)
        from[.source] = link
        to[.destination] = link
        if direction == .outgoing {
            let groups = kind.isIPv4 ? Self.linkGroups4 : Self.linkGroups6
            from[.destination] = domain(.destination, of: kind).subtracting(groups)
        }
        return [from, to]
    }

    /// The address of nobody, but for what DHCP says from it (RFC 2131 section 4.1).
    private static let nullRefusals: [Region] = {
        func region(_ sets: [(Dimension, NumberSet)]) -> Region {
            sets.reduce(into: Region(.udp4)) { $0[$1.0] = $1.1 }
        }
        let null = NumberSet(0...0)
        func but(_ ports: Int...) -> NumberSet { NumberSet(0...0xffff).subtracting(NumberSet(members: ports)) }
        return [
            region([(.destination, null)]), region([(.source, null), (.sourcePort, but(67, 68))]),
            region([(.source, null), (.sourcePort, NumberSet(67...67)), (.destinationPort, but(68))]),
            region([(.source, null), (.sourcePort, NumberSet(68...68)), (.destinationPort, but(67))]),
        ]
    }()

    private static let linkLocal4 = NumberSet(0xa9fe_0000...0xa9fe_ffff)
    private static let linkLocal6 = NumberSet(0xfe80 << 112...(0xfec0 << 112) - 1)
    private static let linkGroups4 = NumberSet(0xe000_0000...0xe000_00ff)
    private static let linkGroups6 = NumberSet(0xff02 << 112...(0xff03 << 112) - 1)
}
