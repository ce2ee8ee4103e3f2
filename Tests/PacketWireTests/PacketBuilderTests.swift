// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import TestSupport
import Testing

/// The builder is the oracle of the other tests; here it is held against bytes that another packet library made.
@Suite("Packet builder")
struct PacketBuilderTests {
    static let v4 = PacketBuilder.ipv4(from: "198.18.0.1", to: "198.18.0.2")
    static let v6 = PacketBuilder.ipv6(from: "fd00::1", to: "fd00::2")
    static let answer = PacketBuilder.ipv4(from: "198.18.0.2", to: "198.18.0.1").udp(53, 5353).payload("abc")
    static let answer6 = PacketBuilder.ipv6(from: "fd00::2", to: "fd00::1").udp(53, 5353).payload("abc")

    struct Sample: Sendable {
        let packet: PacketBuilder
        let hex: String
        init(_ packet: PacketBuilder, _ hex: String) {
            self.packet = packet
            self.hex = hex
        }
    }

    static let samples: [Sample] = [
        Sample(
            v4.tcp(
                40_000, 80, [.syn], seq: 1,
                options: [.mss(1460), .sackPermitted, .timestamps(1, echo: 2), .noOperation, .windowScale(7)]),
            "4500003c000100004006ee93c6120001c61200029c4000500000000100000000a002ffff1f4400000204"
                + "05b40402080a000000010000000201030307"
        ),
        Sample(
            v4.dontFragment().timeToLive(3).udp(53, 5353).payload("abc"),
            "4500001f000140000311eba5c6120001c6120002003514e9000b9a2f616263"
        ),
        Sample(
            v6.hopByHop().destinationOptions().udp(53, 5353).payload("abc"),
            "60000000001b0040fd000000000000000000000000000001fd0000000000000000000000000000023c00"
                + "0104000000001100010400000000003514e9000b2c53616263"
        ),
        Sample(
            v4.echoRequest(id: 7, seq: 9).payload("abc"),
            "4500001f000100004001eeb5c6120001c61200020800338d00070009616263"
        ),
        Sample(
            v6.echoRequest(id: 7, seq: 9).payload("abc"),
            "60000000000b3a40fd000000000000000000000000000001fd0000000000000000000000000000028000"
                + "c14200070009616263"
        ),
        Sample(
            v4.unreachable(code: 3, quoting: answer),
            "45000038000100004001ee9cc6120001c612000203034da4000000004500001f000100004011eea5c612"
                + "0002c6120001003514e9000b9a2f"
        ),
        Sample(
            v6.packetTooBig(mtu: 1280, quoting: answer6),
            "60000000003b3a40fd000000000000000000000000000001fd00000000000000000000000000000202008d56"
                + "0000050060000000000b1140fd000000000000000000000000000002fd00000000000000000000000000"
                + "0001003514e9000b2c53616263"
        ),
        Sample(
            v4.identification(5).udp(53, 5353).payload(String(repeating: "x", count: 20)).fragmented(at: 16)[0],
            "45000024000520004011ce9cc6120001c6120002003514e9001ca9bb7878787878787878"
        ),
        Sample(
            v4.identification(5).udp(53, 5353).payload(String(repeating: "x", count: 20)).fragmented(at: 16)[1],
            "45000020000500024011ee9ec6120001c6120002787878787878787878787878"
        ),
        Sample(
            v6.identification(9).udp(53, 5353).payload(String(repeating: "x", count: 20)).transportChecksum(0x1111)
                .fragment(0..<16),
            "6000000000182c40fd000000000000000000000000000001fd0000000000000000000000000000021100"
                + "000100000009003514e9001c11117878787878787878"
        ),
        Sample(
            answer.vlan(5, type: 0x88a8).vlan(6, priority: 3),
            "02000000000202000000000188a800058100600608004500001f000100004011eea5c6120002c6120001"
                + "003514e9000b9a2f616263"
        ),
        Sample(
            .arpRequest(for: "198.18.0.2", from: "198.18.0.1").ethernet(to: "ff:ff:ff:ff:ff:ff"),
            "ffffffffffff02000000000108060001080006040001020000000001c6120001000000000000c6120002"
        ),
    ]

    @Test("the bytes are those of an independent implementation", arguments: samples)
    func agreesWithIndependentBytes(sample: Sample) {
        #expect(sample.packet.bytes.hex == sample.hex)
    }

    @Test("the fragments of a datagram with extension headers repeat what every router needs and add up to the rest")
    func ipv6Fragments() {
        let whole = Self.v6.hopByHop().destinationOptions().udp(53, 5353).payload(count: 100)
        let fragments = whole.fragmented(at: 48)
        #expect(fragments.count == 3)
        #expect(fragments.allSatisfy { $0.bytes[6] == 0 && $0.bytes[40] == 44 })
        let joined = fragments.flatMap { $0.bytes.dropFirst(56) }
        #expect(joined == Array(whole.bytes.dropFirst(48)))
    }
}

extension [UInt8] {
    var hex: String {
        map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
