// SPDX-License-Identifier: GPL-3.0-or-later

import CFrameShim
import PacketWire
import TestSupport
import Testing

@testable import FrameGuard

@Suite("The guard's programs accept what the kernel discards, and nothing else")
struct DiscardFilterTests {
    private static let v4 = PacketBuilder.ipv4(from: "198.51.100.7", to: "192.0.2.10").udp(1, 2).payload("datagram")
    private static let v6 = PacketBuilder.ipv6(from: "fd00::7", to: "fd00::10").udp(1, 2).payload("datagram")

    /// What is wrong, the frame, and the nearest one that is good.
    static let frames4: [(what: String, bad: [UInt8], good: [UInt8])] = [
        ("19 bytes", v4.cut(to: 19), v4.bytes), ("version 6", v4.version(6).bytes, v4.version(4).bytes),
        ("version 5", v4.version(5).bytes, v4.bytes),
        ("four words", v4.headerLength(words: 4).bytes, v4.headerLength(words: 5).bytes),
        (
            "a header beyond the frame", v4.headerLength(words: 15).bytes,
            v4.ipOptions(Array(repeating: 1, count: 40)).bytes
        ),
        ("one byte too much said", v4.totalLength(37).bytes, v4.totalLength(36).bytes),
        ("a total length within the header", v4.totalLength(19).bytes, v4.totalLength(20).bytes),
        ("no total length", v4.totalLength(0).bytes, v4.bytes + [0, 0, 0]),
        ("a wrong header checksum", v4.headerChecksum(1).bytes, v4.bytes),
        (
            "a wrong header checksum behind options", v4.ipOptions([1, 1, 1, 1]).headerChecksum(1).bytes,
            v4.ipOptions([1, 1, 1, 1]).bytes
        ),
        (
            "an option that is wrong by one bit", flipped(v4.ipOptions([7, 4, 1, 2]).bytes, 23),
            v4.ipOptions([7, 4, 1, 2]).bytes
        ),
    ]

    static let frames6: [(what: String, bad: [UInt8], good: [UInt8])] = [
        ("39 bytes", v6.cut(to: 39), v6.payloadLength(0).cut(to: 40)), ("version 4", v6.version(4).bytes, v6.bytes),
        ("version 7", v6.version(7).bytes, v6.bytes), ("one byte too much said", v6.payloadLength(17).bytes, v6.bytes),
        (
            "from a group", PacketBuilder.ipv6(from: "ff02::1", to: "fd00::10").udp(1, 2).bytes,
            PacketBuilder.ipv6(from: "fe80::1", to: "ff02::1").udp(1, 2).bytes
        ),
        (
            "from ::1", PacketBuilder.ipv6(from: "::1", to: "fd00::10").udp(1, 2).bytes,
            PacketBuilder.ipv6(from: "::", to: "fd00::10").udp(1, 2).bytes
        ),
        (
            "to ::1", PacketBuilder.ipv6(from: "fd00::10", to: "::1").udp(1, 2).bytes,
            PacketBuilder.ipv6(from: "fd00::10", to: "::1:0:0:1").udp(1, 2).bytes
        ),
    ]

    private static func flipped(_ bytes: [UInt8], _ place: Int) -> [UInt8] {
        var bytes = bytes
        bytes[place] ^= 1
        return bytes
    }

    @Test("IPv4", arguments: frames4.indices)
    func ipv4(_ place: Int) {
        let (what, bad, good) = Self.frames4[place]
        #expect(BPFMachine().accepts(bad, DiscardFilter.ipv4), "\(what)")
        #expect(!BPFMachine().accepts(good, DiscardFilter.ipv4), "\(what)")
    }

    @Test("IPv6", arguments: frames6.indices)
    func ipv6(_ place: Int) {
        let (what, bad, good) = Self.frames6[place]
        #expect(BPFMachine().accepts(bad, DiscardFilter.ipv6), "\(what)")
        #expect(!BPFMachine().accepts(good, DiscardFilter.ipv6), "\(what)")
    }

    @Test("Headers of every length have their checksum summed up to the end", arguments: 0...10)
    func options(_ words: Int) {
        let options = (0..<4 * words).map { _ in UInt8.random(in: 0...255) }
        let packet = Self.v4.ipOptions(options)
        #expect(!BPFMachine().accepts(packet.bytes, DiscardFilter.ipv4))
        for place in [8, 19 + 4 * words] {
            #expect(BPFMachine().accepts(Self.flipped(packet.bytes, place), DiscardFilter.ipv4), "\(place)")
        }
    }

    @Test("A merged segment that is longer than a length can say is good, a shorter one without length is not")
    func mergedSegment() {
        let frame = Self.v4.totalLength(0).bytes
        #expect(!BPFMachine().accepts(frame, DiscardFilter.ipv4, length: 65_536))
        #expect(BPFMachine().accepts(frame, DiscardFilter.ipv4, length: 65_535))
    }

    @Test("Frames for others, what this host sends, and the loopback's are none of its business")
    func foreign() {
        for (bad, program) in [(Self.frames4[0].bad, DiscardFilter.ipv4), (Self.frames6[0].bad, DiscardFilter.ipv6)] {
            for type in UInt32(0)...2 { #expect(BPFMachine(packetType: type).accepts(bad, program)) }
            for type in UInt32(3)...6 { #expect(!BPFMachine(packetType: type).accepts(bad, program)) }
            #expect(!BPFMachine(linkType: 772).accepts(bad, program))
            #expect(BPFMachine(linkType: 0xfffe).accepts(bad, program))
        }
    }

    @Test("Frames of another EtherType, and those that a VLAN's interface will see, are none of it either")
    func kinds() {
        for (bad, program, own, other) in [
            (Self.frames4[0].bad, DiscardFilter.ipv4, UInt32(0x0800), UInt32(0x0806)),
            (Self.frames6[0].bad, DiscardFilter.ipv6, 0x86dd, 0x0800),
        ] {
            #expect(BPFMachine(etherType: own).accepts(bad, program))
            #expect(!BPFMachine(etherType: other).accepts(bad, program))
            #expect(!BPFMachine(etherType: own, vlanTag: 7).accepts(bad, program))
            #expect(BPFMachine(etherType: own, vlanTag: 0x2000).accepts(bad, program), "a priority alone")
        }
    }

    @Test("Packets of the corpus, which all are whole, pass by")
    func corpus() {
        for packet in PacketCorpus.all.map(\.packet) where !packet.isFrame {
            let bytes = packet.bytes
            guard let first = bytes.first else { continue }
            let program = first >> 4 == 4 ? DiscardFilter.ipv4 : DiscardFilter.ipv6
            #expect(!BPFMachine().accepts(bytes, program), "\(bytes)")
        }
    }
}
