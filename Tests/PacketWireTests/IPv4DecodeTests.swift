// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import TestSupport
import Testing

@Suite("IPv4")
struct IPv4DecodeTests {
    let packet = PacketBuilder.ipv4(from: "198.18.0.1", to: "203.0.113.7")

    @Test("a header gives its fields")
    func fields() {
        let headers = packet.timeToLive(3).identification(0x1234).dontFragment().udp(5353, 53).payload("abc").headers
        #expect(headers.network == .ipv4)
        #expect(headers.source == "198.18.0.1")
        #expect(headers.destination == "203.0.113.7")
        #expect(headers.timeToLive == 3)
        #expect(headers.protocolNumber == IPProtocol.udp)
        #expect(headers.length == 31)
        #expect(headers.transportOffset == 20)
        #expect(headers.fragment.dontFragment)
        #expect(!headers.fragment.isFragment)
        #expect(headers.fragment.identification == 0x1234)
        #expect(!headers.hasNoPayload)
        #expect(!headers.isCut)
    }

    @Test("options are stepped over")
    func options() {
        let headers = packet.ipOptions([7, 39] + [UInt8](repeating: 0, count: 38)).udp(5353, 53).headers
        #expect(headers.transportOffset == 60)
        #expect(headers.length == 68)
        #expect(headers.sourcePort == 5353)
    }

    @Test("bytes after the total length are not part of the packet")
    func trailer() {
        let headers = packet.tcp(1, 2, [.ack]).payload("abc").trailer([9, 9, 9, 9]).headers
        #expect(headers.length == 43)
        #expect(headers.tcp.dataLength == 3)
    }

    @Test("a packet that ends with its header has no payload; with one byte more it has")
    func noPayload() throws {
        let empty = packet.protocolNumber(6).headers
        #expect(empty.hasNoPayload)
        #expect(empty.transport == .none)
        #expect(!empty.transportCutByFragmentation)
        #expect(packet.trailer([1, 2, 3]).headers.hasNoPayload)
        #expect(!packet.payload([1]).headers.hasNoPayload)
    }

    @Test(
        "of a segmentation-offload packet what is there counts, whatever its length field says", arguments: [0, 15, 60])
    func segmentationOffload(field: UInt16) throws {
        let bytes = packet.tcp(1, 2, [.ack]).payload(count: 3_000).totalLength(field).bytes
        let headers = try PacketHeaders(decoding: bytes, isSegmentationOffload: true)
        #expect(headers.length == 3_040)
        #expect(headers.tcp.dataLength == 3_000)
        #expect(!headers.hasNoPayload)
    }

    @Test("a segmentation-offload packet beyond 64 KiB keeps its length")
    func bigSegmentationOffload() throws {
        let bytes = packet.tcp(1, 2, [.ack]).payload(count: 100_000).totalLength(0).bytes
        let headers = try PacketHeaders(decoding: bytes, isSegmentationOffload: true)
        #expect(headers.length == 100_040)
        #expect(headers.tcp.dataLength == 100_000)
    }

    @Test("data length counts what the packet had before it was cut")
    func cutData() throws {
        let bytes = packet.tcp(1, 2, [.ack]).payload(count: 1_000).bytes
        let headers = try PacketHeaders(decoding: Array(bytes.prefix(40)), fullLength: bytes.count)
        #expect(headers.tcp.dataLength == 1_000)
        #expect(headers.length == 1_040)
        #expect(!headers.isCut)
    }

    @Test("the first fragment has the ports, the others their place")
    func fragments() {
        let parts = packet.identification(77).udp(5353, 53).payload(count: 100).fragmented(at: 48).map(\.headers)
        #expect(parts.map(\.fragment.isFragment) == [true, true, true])
        #expect(parts.map(\.fragment.moreFragments) == [true, true, false])
        #expect(parts.map(\.fragment.offset) == [0, 48, 96])
        #expect(parts.map(\.fragment.dataLength) == [48, 48, 12])
        #expect(parts.map(\.fragment.identification) == [77, 77, 77])
        #expect(parts.map(\.transport) == [.udp, .none, .none])
        #expect(parts.map(\.destinationPort) == [53, 0, 0])
        #expect(parts.map(\.protocolNumber) == [17, 17, 17])
        #expect(parts.allSatisfy { !$0.transportCutByFragmentation })
    }

    @Test("a later fragment may be of any size and look like anything")
    func laterFragment() {
        let headers = packet.upperLayer(6).payload([1]).fragmentFields(offset: 65_528, more: false).headers
        #expect(headers.fragment.offset == 65_528)
        #expect(headers.fragment.dataLength == 1)
        #expect(headers.transport == .none)
    }

    @Test(
        "a first fragment without its whole transport header is marked, not refused",
        arguments: [
            (6, 19), (17, 7), (1, 7), (6, 0), (17, 0),
        ])
    func tinyFirstFragment(number: UInt8, size: Int) {
        let headers = packet.upperLayer(number).payload([UInt8](repeating: 0x55, count: size))
            .fragmentFields(offset: 0, more: true).headers
        #expect(headers.transportCutByFragmentation)
        #expect(headers.transport == .none)
        #expect(headers.hasNoPayload == (size == 0))
    }

    @Test("a first fragment that ends inside the TCP options is marked; one that ends with them is not")
    func fragmentInsideOptions() {
        let segment = packet.tcp(1, 2, [.syn], options: [.mss(1460), .sackPermitted]).payload(count: 40)
        #expect(segment.fragment(0..<24).headers.transportCutByFragmentation)
        #expect(segment.fragment(0..<24).headers.transport == .none)
        let whole = segment.fragment(0..<32).headers
        #expect(!whole.transportCutByFragmentation)
        #expect(whole.transport == .tcp)
        #expect(whole.tcp.dataLength == 4)
    }

    @Test("don't-fragment and the reserved bit make no fragment")
    func reservedBit() throws {
        var bytes = packet.dontFragment().udp(1, 2).bytes
        bytes[6] |= 0x80
        let headers = try PacketHeaders(decoding: bytes)
        #expect(!headers.fragment.isFragment)
        #expect(headers.transport == .udp)
    }

    @Test(
        "what has no decoder is other, also what belongs to IPv6",
        arguments: [2, 47, 50, 51, 58, 132, 0, 255] as [UInt8])
    func otherProtocols(number: UInt8) {
        let headers = packet.upperLayer(number).payload([1]).headers
        #expect(headers.transport == .other)
        #expect(headers.protocolNumber == number)
        #expect(headers.sourcePort == 0)
    }
}
