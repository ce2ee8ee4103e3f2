// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import TestSupport
import Testing

@testable import AgentRuntime

@Suite("Which interface leads to a translated destination")
struct ConnectedNetworksTests {
    private let networks = ConnectedNetworks([
        .init(first: "198.18.0.0", last: "198.18.255.255", interface: 2),
        .init(first: "198.18.16.0", last: "198.18.16.255", interface: 3),
        .init(first: "198.18.16.1", last: "198.18.16.1", interface: 1),
        .init(first: "fd00:1::", last: "fd00:1::ffff:ffff:ffff:ffff", interface: 4),
    ])

    private func interface(_ packet: [UInt8]) -> UInt32? {
        unsafe networks.interface(towardsDestinationOf: packet.span.bytes)
    }

    @Test(
        "That of the smallest network that has it",
        arguments: [
            ("198.18.16.7", 3), ("198.18.16.1", 1), ("198.18.17.1", 2), ("203.0.113.1", nil),
        ] as [(IPAddress, UInt32?)])
    func ipv4(_ destination: IPAddress, _ expected: UInt32?) {
        #expect(interface(PacketBuilder.ipv4(from: "198.18.0.1", to: destination).udp(1, 2).bytes) == expected)
    }

    @Test("Of either family, and none of a packet that is cut")
    func others() {
        let packet = PacketBuilder.ipv6(from: "fd00:1::1", to: "fd00:1::2").udp(1, 2).bytes
        #expect(interface(packet) == 4)
        for length in 0..<40 { #expect(interface(Array(packet.prefix(length))) == nil) }
    }
}
