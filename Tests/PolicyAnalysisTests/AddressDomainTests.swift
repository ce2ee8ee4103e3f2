// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import TestSupport
import Testing

@testable import PolicyAnalysis

/// The analysis has the addresses as intervals which the engine has as tests of bits: at every edge both say the same.
@Suite("The packets that are said to get as far as the rules do, and no others")
struct AddressDomainTests {
    static let settings: [(String, @Sendable (inout SanitySettings) -> Void)] = [
        ("the defaults", { _ in }), ("null addresses refused", { $0.allowNullIP = false }),
        (
            "reserved ones allowed",
            {
                $0.denyReservedAddresses = false; $0.denyReserved = false
            }
        ),
        (
            "site-local refused, bogons allowed",
            {
                $0.denySiteLocal = true; $0.denyBogon = false
            }
        ),
        (
            "6to4 allowed, link-local refused",
            {
                $0.deny6to4Bogon = false; $0.denyLinkLocal = true
            }
        ),
    ]

    @Test(
        "at every edge of every set", arguments: settings.indices,
        [PacketKind.tcp4, .udp4, .other4, .tcp6, .udp6, .icmp6, .discovery6, .other6])
    func edges(_ setting: Int, _ kind: PacketKind) throws {
        var document = PolicyDocument()
        document.interfaces.ignore = []
        Self.settings[setting].1(&document.engine.sanity)
        for direction in Direction.allCases {
            let domain = AddressDomain(kind, direction, [document])
            for onLoopback in [false, true] {
                let sets = [
                    (Dimension.source, onLoopback ? domain.source : domain.source.subtracting(domain.refusedSource)),
                    (
                        .destination,
                        onLoopback ? domain.destination : domain.destination.subtracting(domain.refusedDestination)
                    ),
                ]
                for (dimension, set) in sets {
                    for number in Self.edges(of: set, isIPv4: kind.isIPv4) {
                        let passes = try Self.passes(number, dimension, kind, direction, onLoopback, document)
                        // What depends on ports, or on both addresses, is not left out.
                        if !passes, Self.isExempt(kind, direction, document) { continue }
                        #expect(
                            passes == set.contains(number),
                            "\(Self.settings[setting].0): \(kind) \(dimension) \(IPAddress(number: number, of: kind))")
                    }
                }
            }
        }
    }

    /// Link-local addresses of what has to use them, and null ones of DHCP.
    private static func isExempt(_ kind: PacketKind, _ direction: Direction, _ document: PolicyDocument) -> Bool {
        let sanity = document.engine.sanity
        if sanity.denyLinkLocal, direction == .outgoing || [.udp6, .icmp6].contains(kind) { return true }
        return !sanity.allowNullIP && kind == .udp4
    }

    private static func edges(of set: NumberSet, isIPv4: Bool) -> [UInt128] {
        let top: UInt128 = isIPv4 ? UInt128(UInt32.max) : .max
        let edges = set.intervals.flatMap { interval -> [UInt128] in
            [
                interval.first, interval.last, interval.first == 0 ? 0 : interval.first - 1,
                interval.last == top ? top : interval.last + 1,
            ]
        }
        return Array(Set(edges))
    }

    private static func passes(
        _ number: UInt128, _ dimension: Dimension, _ kind: PacketKind, _ direction: Direction, _ onLoopback: Bool,
        _ document: PolicyDocument
    ) throws -> Bool {
        let transport: PacketWords.Transport =
            switch kind {
            case .tcp4, .tcp6: .tcp(source: 40_000, destination: 80, .syn)
            case .udp4, .udp6: .udp(source: 40_000, destination: 80)
            case .icmp6: .icmp(type: 128, code: 0)
            case .discovery6: .icmp(type: 135, code: 0)
            default: .other(47)
            }
        var words = PacketWords(direction, transport)
        words.isIPv6 = kind.isIPv6
        words.interface = onLoopback ? "lo" : "eth0"
        words.source = kind.isIPv4 ? "198.51.100.7" : "fd00::7"
        words.destination = kind.isIPv4 ? "192.0.2.10" : "fd00::10"
        let address = IPAddress(number: number, of: kind)
        if dimension == .source { words.source = address } else { words.destination = address }
        let explanation = PacketScene(words, now: 0).judge(try Policy(document, epoch: 1))
        return explanation.steps.contains { if case .sane = $0 { true } else { false } }
    }
}
