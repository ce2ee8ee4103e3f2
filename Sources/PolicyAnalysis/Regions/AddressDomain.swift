// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy

/// The addresses with which packets of a kind get as far as the rules: what stage V refuses is left out (docs/design.md 2). The tests
/// hold its every edge against the engine.
struct AddressDomain: Sendable {
    /// Whatever the interface.
    let source: NumberSet
    let destination: NumberSet
    /// What of these is refused but on a loopback interface.
    let refusedSource: NumberSet
    let refusedDestination: NumberSet

    init(_ kind: PacketKind, _ direction: Direction, _ documents: [PolicyDocument]) {
        let settings = documents.map(\.engine.sanity)
        let all = NumberSet(0...(kind.isIPv4 ? UInt128(UInt32.max) : UInt128.max))
        var (sources, destinations): ([NumberSet], [NumberSet]) = ([], [])
        var (offSources, offDestinations): ([NumberSet], [NumberSet]) = ([], [])
        if kind.isIPv4 {
            sources.append(Self.groups4)
            offSources.append(Self.loopback4)
            if settings.contains(where: \.denyReservedAddresses) {
                sources.append(Self.reserved4)
                destinations.append(Self.reserved4)
            }
        } else {
            sources.append(NumberSet(prefix: 0xff00 << 112, 8))
            if kind != .discovery6 {
                for settings in settings { offSources += Self.refused6(settings) }
                offDestinations = offSources
            }
        }
        // A DHCP client speaks from nowhere, and neighbour discovery does.
        if settings.contains(where: { !$0.allowNullIP }), kind != .udp4, kind != .discovery6 {
            sources.append(NumberSet(0...0))
            destinations.append(NumberSet(0...0))
        }
        // DHCPv6, neighbour discovery and redirects have to use them, and this host does towards groups of the link.
        if settings.contains(where: \.denyLinkLocal), ![.udp6, .icmp6, .discovery6].contains(kind) {
            let linkLocal = kind.isIPv4 ? Self.linkLocal4 : NumberSet(prefix: 0xfe80 << 112, 10)
            offDestinations.append(linkLocal)
            if direction == .incoming { offSources.append(linkLocal) }
        }
        func without(_ sets: [NumberSet]) -> NumberSet { sets.reduce(all) { $0.subtracting($1) } }
        (source, destination) = (without(sources), without(destinations))
        refusedSource = source.subtracting(without(offSources))
        refusedDestination = destination.subtracting(without(offDestinations))
    }

    /// 224.0.0.0/4 and the limited broadcast.
    private static let groups4 = NumberSet([
        .init(first: 0xe000_0000, last: 0xefff_ffff), .init(first: 0xffff_ffff, last: 0xffff_ffff),
    ])
    private static let loopback4 = NumberSet(0x7f00_0000...0x7fff_ffff)
    private static let reserved4 = NumberSet(0xf000_0000...0xffff_fffe)
    private static let linkLocal4 = NumberSet(0xa9fe_0000...0xa9fe_ffff)

    /// The sets of IPv6 addresses that settings refuse, but for the unspecified one and those of NAT64.
    private static func refused6(_ settings: SanitySettings) -> [NumberSet] {
        var sets: [NumberSet] = []
        if settings.denyBogon {
            sets += [
                NumberSet(1...0xffff_ffff), NumberSet(prefix: 0xffff << 32, 96), NumberSet(prefix: 0x0200 << 112, 7),
                NumberSet(prefix: 0x3ffe << 112, 16), NumberSet(prefix: 0x2001_0db8 << 96, 32),
            ]
        }
        if settings.denyReserved {
            sets += [NumberSet(1...(0x2000 << 112) - 1), NumberSet(0x4000 << 112...(0xfc00 << 112) - 1)]
        }
        if settings.denySiteLocal { sets.append(NumberSet(prefix: 0xfec0 << 112, 10)) }
        if settings.deny6to4Bogon {
            let embedded: [(UInt128, Int)] = [
                (0x0a00, 8), (0xac10, 12), (0xc0a8, 16), (0xe000, 4), (0x0000, 8), (0x7f00, 8), (0xff00, 8),
            ]
            sets += embedded.map { NumberSet(prefix: 0x2002 << 112 | $0.0 << 96, 16 + $0.1) }
        }
        let nat64 = [NumberSet(prefix: 0x0064_ff9b << 96, 96), NumberSet(prefix: 0x0064_ff9b_0001 << 80, 48)]
        return sets.map { set in nat64.reduce(set) { $0.subtracting($1) } }
    }
}

extension NumberSet {
    /// The IPv6 addresses that begin with the same bits.
    fileprivate init(prefix: UInt128, _ length: Int) { self.init(prefix...(prefix | UInt128.max >> UInt128(length))) }
}
