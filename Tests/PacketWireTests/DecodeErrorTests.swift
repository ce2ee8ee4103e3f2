// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import TestSupport
import Testing

/// A packet with one malformation, beside the nearest packet without it.
struct Malformation: Sendable, CustomTestStringConvertible {
    let error: DecodeError
    let what: String
    let bad: [UInt8]
    let good: [UInt8]
    var etherType: UInt16 = 0
    var isFrame = false
    var isSegmentationOffload = false

    var testDescription: String { "\(error): \(what)" }

    func decode(_ bytes: [UInt8], fullLength: Int? = nil) throws(DecodeError) -> PacketHeaders {
        isFrame
            ? try PacketHeaders(
                decodingFrame: bytes, fullLength: fullLength, isSegmentationOffload: isSegmentationOffload)
            : try PacketHeaders(
                decoding: bytes, etherType: etherType, fullLength: fullLength,
                isSegmentationOffload: isSegmentationOffload)
    }
}

private let v4 = PacketBuilder.ipv4(from: "198.18.0.1", to: "198.18.0.2")
private let v6 = PacketBuilder.ipv6(from: "fd00::1", to: "fd00::2")
private let syn = v4.tcp(40_000, 80, [.syn], seq: 1)
private let query = v4.udp(5353, 53).payload("abcd")
private let query6 = v6.udp(5353, 53).payload("abcd")

@Suite("Decode errors")
struct DecodeErrorTests {
    static let link: [Malformation] = [
        Malformation(
            error: .ethernetHeaderCut, what: "13 bytes", bad: query.ethernet().cut(to: 13),
            good: query.ethernet().bytes,
            isFrame: true),
        Malformation(
            error: .ethernetHeaderCut, what: "half a VLAN tag", bad: query.vlan(5).cut(to: 17),
            good: query.vlan(5).bytes, isFrame: true),
        Malformation(
            error: .ethernetHeaderCut, what: "half of the second VLAN tag", bad: query.vlan(5).vlan(6).cut(to: 21),
            good: query.vlan(5).vlan(6).bytes, isFrame: true),
        Malformation(
            error: .noIPHeader, what: "frame of type IPv4 that ends", bad: query.ethernet().cut(to: 14),
            good: query.ethernet().bytes, isFrame: true),
        Malformation(
            error: .noIPHeader, what: "tagged frame of type IPv6 that ends", bad: query6.vlan(5).cut(to: 18),
            good: query6.vlan(5).bytes, isFrame: true),
        Malformation(error: .noIPHeader, what: "no bytes at all", bad: [], good: query.bytes),
        Malformation(
            error: .versionNeitherFourNorSix, what: "version 5", bad: query.version(5).bytes, good: query.bytes),
        Malformation(
            error: .versionNeitherFourNorSix, what: "version 0 in a frame of type IPv6",
            bad: query6.version(0).ethernet().bytes, good: query6.ethernet().bytes, isFrame: true),
        Malformation(
            error: .versionContradictsFrame, what: "IPv4 called IPv6", bad: query.ethernet(etherType: 0x86dd).bytes,
            good: query.ethernet().bytes, isFrame: true),
        Malformation(
            error: .versionContradictsFrame, what: "IPv6 called IPv4", bad: query6.bytes, good: query.bytes,
            etherType: 0x0800),
    ]

    static let network: [Malformation] = [
        Malformation(
            error: .ipv4HeaderUnreadable, what: "19 bytes", bad: v4.totalLength(19).cut(to: 19),
            good: v4.totalLength(20).bytes),
        Malformation(
            error: .ipv4HeaderUnreadable, what: "header length beyond the packet", bad: v4.headerLength(words: 6).bytes,
            good: v4.ipOptions([1, 1, 1, 0]).bytes),
        Malformation(
            error: .ipv4HeaderUnreadable, what: "total length below the header length",
            bad: query.totalLength(19).bytes, good: query.totalLength(20).bytes),
        Malformation(
            error: .ipv4HeaderUnreadable, what: "total length inside the options",
            bad: query.ipOptions([1, 1, 1, 0]).totalLength(23).bytes,
            good: query.ipOptions([1, 1, 1, 0]).totalLength(24).bytes),
        Malformation(
            error: .ipv4HeaderUnreadable, what: "total length 0 outside segmentation offload",
            bad: query.totalLength(0).bytes, good: query.bytes),
        Malformation(
            error: .ipv4HeaderLengthBelowMinimum, what: "header length 4", bad: query.headerLength(words: 4).bytes,
            good: query.headerLength(words: 5).bytes),
        Malformation(
            error: .datagramLengthBeyondPacket, what: "one byte missing", bad: query.cut(to: 31), good: query.bytes),
        Malformation(
            error: .datagramLengthBeyondPacket, what: "one byte missing of a segmentation-offload packet",
            bad: query.totalLength(33).bytes, good: query.totalLength(32).bytes, isSegmentationOffload: true),
        Malformation(
            error: .ipv6HeaderUnreadable, what: "39 bytes", bad: v6.cut(to: 39), good: v6.bytes),
        Malformation(
            error: .ipv6HeaderUnreadable, what: "one byte missing", bad: query6.cut(to: 51), good: query6.bytes),
        Malformation(
            error: .ipv6HeaderUnreadable, what: "payload length beyond the frame", bad: query6.payloadLength(13).bytes,
            good: query6.payloadLength(12).bytes),
    ]

    static let chain: [Malformation] = [
        Malformation(
            error: .extensionChainInvalid, what: "hop-by-hop options after destination options",
            bad: query6.destinationOptions().hopByHop().bytes, good: query6.hopByHop().destinationOptions().bytes),
        Malformation(
            error: .extensionChainInvalid, what: "hop-by-hop options twice", bad: query6.hopByHop().hopByHop().bytes,
            good: query6.hopByHop().bytes),
        Malformation(
            error: .extensionChainInvalid, what: "header longer than the packet",
            bad: query6.extensionHeader(60, body: ExtensionHeader.padding, lengthField: 3).bytes,
            good: query6.extensionHeader(60, body: ExtensionHeader.padding, lengthField: 0).bytes),
        Malformation(
            error: .extensionChainInvalid, what: "packet that ends where an extension header should start",
            bad: v6.hopByHop().protocolNumber(60).bytes, good: v6.hopByHop().noNextHeader().bytes),
        Malformation(
            error: .extensionChainInvalid, what: "half a fragment header",
            bad: v6.upperLayer(44).payload(count: 7).bytes, good: v6.upperLayer(44).payload(count: 8).bytes),
        Malformation(
            error: .extensionChainInvalid, what: "two fragment headers",
            bad: v6.upperLayer(44).payload([17, 0, 0, 0, 0, 0, 0, 1]).fragmentFields(offset: 0, more: false).bytes,
            good: query6.fragmentFields(offset: 0, more: false).bytes),
        Malformation(
            error: .extensionChainInvalid, what: "authentication header of eight bytes",
            bad: query6.extensionHeader(51, body: [0, 0, 0, 0, 0, 1], lengthField: 0).bytes,
            good: query6.authentication().bytes),
        Malformation(
            error: .extensionChainInvalid, what: "seventeen extension headers",
            bad: (0..<17).reduce(query6) { packet, _ in packet.destinationOptions() }.bytes,
            good: (0..<16).reduce(query6) { packet, _ in packet.destinationOptions() }.bytes),
    ]

    static let transport: [Malformation] = [
        Malformation(
            error: .transportHeaderCut, what: "TCP of 19 bytes", bad: v4.upperLayer(6).payload(count: 19).bytes,
            good: syn.bytes),
        Malformation(
            error: .transportHeaderCut, what: "UDP of 7 bytes", bad: v4.upperLayer(17).payload(count: 7).bytes,
            good: v4.udp(1, 2).bytes),
        Malformation(
            error: .transportHeaderCut, what: "ICMP of 7 bytes", bad: v4.upperLayer(1).payload(count: 7).bytes,
            good: v4.echoRequest(id: 1, seq: 1).bytes),
        Malformation(
            error: .transportHeaderCut, what: "ICMPv6 of 7 bytes", bad: v6.upperLayer(58).payload(count: 7).bytes,
            good: v6.echoRequest(id: 1, seq: 1).bytes),
        Malformation(
            error: .transportHeaderCut, what: "TCP header that only link padding completes",
            bad: v4.upperLayer(6).payload(count: 19).trailer([0, 0, 0, 0]).bytes, good: syn.trailer([0, 0]).bytes),
        Malformation(
            error: .transportHeaderCut, what: "atomic fragment with TCP of 19 bytes",
            bad: v6.upperLayer(6).payload(count: 19).fragmentFields(offset: 0, more: false).bytes,
            good: v6.tcp(1, 2, [.syn]).fragmentFields(offset: 0, more: false).bytes),
        Malformation(
            error: .tcpHeaderLengthBelowMinimum, what: "data offset 4", bad: syn.dataOffset(words: 4).bytes,
            good: syn.dataOffset(words: 5).bytes),
        Malformation(
            error: .tcpHeaderLengthBelowMinimum, what: "data offset 0", bad: syn.dataOffset(words: 0).bytes,
            good: syn.bytes),
        Malformation(
            error: .tcpDataOffsetBeyondPacket, what: "data offset one word beyond the packet",
            bad: syn.dataOffset(words: 6).bytes, good: syn.payload(count: 4).dataOffset(words: 6).bytes),
        Malformation(
            error: .tcpDataOffsetBeyondPacket, what: "data offset beyond the packet by one byte",
            bad: syn.payload(count: 39).dataOffset(words: 15).bytes,
            good: syn.payload(count: 40).dataOffset(words: 15).bytes),
        Malformation(
            error: .udpLengthInvalid, what: "length 7", bad: query.udpLength(7).bytes, good: query.udpLength(8).bytes),
        Malformation(
            error: .udpLengthInvalid, what: "length 0 outside offload and jumbograms", bad: query6.udpLength(0).bytes,
            good: query6.bytes),
        Malformation(
            error: .udpLengthInvalid, what: "length one beyond the IP payload", bad: query.udpLength(13).bytes,
            good: query.udpLength(12).bytes),
        Malformation(
            error: .udpLengthInvalid, what: "length that only link padding reaches",
            bad: query.udpLength(13).trailer([0]).bytes, good: query.trailer([0]).bytes),
        Malformation(
            error: .udpLengthInvalid, what: "length 7 of a first fragment",
            bad: query.udpLength(7).fragment(0..<8).bytes, good: query.fragment(0..<8).bytes),
    ]

    static let all = link + network + chain + transport

    @Test("each malformation raises its error, the nearest good packet none", arguments: all)
    func raised(malformation: Malformation) throws {
        #expect(throws: malformation.error) { try malformation.decode(malformation.bad) }
        #expect(throws: Never.self) { try malformation.decode(malformation.good) }
    }

    @Test("each error has its malformation")
    func complete() {
        #expect(Set(Self.all.map(\.error)) == Set(DecodeError.allCases))
    }

    @Test("what was decoded before the malformation is there for the event, the rest has its initial value")
    func fieldsOfMalformedPacket() {
        var headers = v4.udp(7, 8).headers
        let bad = v4.tcp(40_000, 80, [.syn], seq: 9).timeToLive(3).dataOffset(words: 4).bytes
        #expect(throws: DecodeError.tcpHeaderLengthBelowMinimum) {
            try unsafe headers.decodePacket(bad.span.bytes, etherType: 0, PacketTraits(fullLength: UInt32(bad.count)))
        }
        #expect(headers.network == .ipv4)
        #expect(headers.source == "198.18.0.1")
        #expect(headers.destination == "198.18.0.2")
        #expect(headers.timeToLive == 3)
        #expect(headers.length == 40)
        #expect(headers.transport == .tcp)
        #expect(headers.sourcePort == 40_000)
        #expect(headers.tcp.flags == .syn)
        #expect(headers.tcp.dataLength == 0)
    }

    @Test("a malformed packet keeps nothing of the one before")
    func noRemains() {
        var headers = v4.udp(7, 8).headers
        let bad = v6.cut(to: 39)
        #expect(throws: DecodeError.ipv6HeaderUnreadable) {
            try unsafe headers.decodePacket(bad.span.bytes, etherType: 0, PacketTraits(fullLength: 39))
        }
        #expect(headers.network == .ipv6)
        #expect(headers.source == .zero)
        #expect(headers.transport == .none)
        #expect(headers.sourcePort == 0)
    }
}
