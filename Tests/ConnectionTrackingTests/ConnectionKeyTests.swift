// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import PacketWire
import TestSupport
import Testing

@Suite("Connection keys")
struct ConnectionKeyTests {
    private static let there = PacketBuilder.ipv4(from: "198.18.0.1", to: "198.18.0.2")
    private static let back = PacketBuilder.ipv4(from: "198.18.0.2", to: "198.18.0.1")
    private static let there6 = PacketBuilder.ipv6(from: "fd00::1", to: "fd00::2")
    private static let back6 = PacketBuilder.ipv6(from: "fd00::2", to: "fd00::1")

    @Test(
        "both directions have one key, and senders on opposite sides",
        arguments: [
            (there.tcp(40_000, 80, [.syn]), back.tcp(80, 40_000, [.syn, .ack])),
            (there.udp(40_000, 53), back.udp(53, 40_000)),
            (there6.tcp(40_000, 80, [.syn]), back6.tcp(80, 40_000, [.syn, .ack])),
            (there6.udp(40_000, 53), back6.udp(53, 40_000)),
            (there.echoRequest(id: 7, seq: 1), back.echoReply(id: 7, seq: 1)),
            (there.icmpQuery(13, id: 7, seq: 1), back.icmpQuery(14, id: 7, seq: 1)),
            (there.icmpQuery(15, id: 7, seq: 1), back.icmpQuery(16, id: 7, seq: 1)),
            (there.icmpQuery(17, id: 7, seq: 1), back.icmpQuery(18, id: 7, seq: 1)),
        ])
    func bothDirections(request: PacketBuilder, answer: PacketBuilder) {
        let (first, second) = (ConnectionKey.make(request.headers), ConnectionKey.make(answer.headers))
        #expect(first != nil)
        #expect(first?.key == second?.key)
        #expect(first?.sender == .low)
        #expect(second?.sender == .high)
    }

    @Test("what differs in one field has another key")
    func differences() {
        let packets = [
            Self.there.tcp(40_000, 80, [.syn]), Self.there.tcp(40_001, 80, [.syn]), Self.there.tcp(40_000, 81, [.syn]),
            Self.there.tcp(80, 40_000, [.syn]), Self.there.udp(40_000, 80),
            PacketBuilder.ipv4(from: "198.18.0.1", to: "198.18.0.3").tcp(40_000, 80, [.syn]),
            PacketBuilder.ipv6(from: "::ffff:198.18.0.1", to: "::ffff:198.18.0.2").tcp(40_000, 80, [.syn]),
            Self.there.echoRequest(id: 7, seq: 1), Self.there.echoRequest(id: 8, seq: 1),
            Self.there.icmpQuery(13, id: 7, seq: 1), Self.there.icmpQuery(15, id: 7, seq: 1),
            Self.there.icmpQuery(17, id: 7, seq: 1),
        ]
        let keys = packets.compactMap { ConnectionKey.make($0.headers)?.key }
        #expect(Set(keys).count == packets.count)
    }

    @Test("between two ports of one address the lower port is low")
    func sameAddress() {
        let local = PacketBuilder.ipv4(from: "198.18.0.1", to: "198.18.0.1")
        let (first, second) = (
            ConnectionKey.make(local.tcp(80, 40_000, []).headers), ConnectionKey.make(local.tcp(40_000, 80, []).headers)
        )
        #expect(first?.key == second?.key)
        #expect(first?.sender == .low)
        #expect(second?.sender == .high)
        #expect(ConnectionKey.make(local.tcp(80, 80, []).headers)?.sender == .low)
    }

    @Test("addresses and ports of a side are those of its packets")
    func sides() throws {
        let keyed = try #require(ConnectionKey.make(Self.back.tcp(80, 40_000, []).headers))
        #expect(keyed.key.address(of: keyed.sender) == "198.18.0.2")
        #expect(keyed.key.portOrIdentifier(of: keyed.sender) == 80)
        #expect(keyed.key.address(of: keyed.sender.opposite) == "198.18.0.1")
        #expect(keyed.key.portOrIdentifier(of: keyed.sender.opposite) == 40_000)
    }

    @Test(
        "no key: later fragments, ICMP errors and other ICMP, ICMPv6, other protocols",
        arguments: [
            there.udp(1, 2).payload(count: 2_000).fragment(1_480..<2_000),
            there.unreachable(code: 3, quoting: back.udp(1, 2)), there.icmp(9), there6.echoRequest(id: 1, seq: 1),
            there.upperLayer(47), there6.upperLayer(132),
        ])
    func none(packet: PacketBuilder) {
        #expect(ConnectionKey.make(packet.headers) == nil)
    }

    @Test("a quoted packet has the key of the connection it belongs to, and the side that sent it")
    func quoted() {
        for sent in [
            Self.there.tcp(40_000, 80, [.syn]), Self.there.udp(40_000, 53), Self.there.echoRequest(id: 7, seq: 1),
        ] {
            let error = PacketBuilder.ipv4(from: "192.0.2.254", to: "198.18.0.1").timeExceeded(quoting: sent)
            #expect(ConnectionKey.make(error.headers.quoted) == ConnectionKey.make(sent.headers))
        }
    }
}
