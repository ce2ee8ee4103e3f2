// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import TestSupport
import Testing

@Suite("UDP")
struct UDPDecodeTests {
    let packet = PacketBuilder.ipv4(from: "198.18.0.1", to: "198.18.0.2")

    @Test("a header gives its ports")
    func ports() {
        let headers = packet.udp(5353, 53).headers
        #expect(headers.transport == .udp)
        #expect(headers.sourcePort == 5353)
        #expect(headers.destinationPort == 53)
        #expect(headers.udpLength == 8)
        #expect(!headers.hasNoPayload)
    }

    @Test("the length may leave bytes over")
    func surplus() {
        let headers = packet.udp(1, 2).payload(count: 20).udpLength(8).headers
        #expect(headers.transport == .udp && headers.udpLength == 8)
    }

    @Test("in segmentation offload the length may be that of one segment, or 0", arguments: [0, 8, 500] as [UInt16])
    func segmentationOffload(length: UInt16) throws {
        let bytes = packet.udp(1, 2).payload(count: 3_000).udpLength(length).bytes
        #expect(try PacketHeaders(decoding: bytes, isSegmentationOffload: true).transport == .udp)
    }

    @Test("in segmentation offload a length beyond the packet is still wrong")
    func segmentationOffloadBeyond() {
        let bytes = packet.udp(1, 2).payload(count: 30).udpLength(39).bytes
        #expect(throws: DecodeError.udpLengthInvalid) {
            try PacketHeaders(decoding: bytes, isSegmentationOffload: true)
        }
    }

    @Test("the length of a first fragment is that of the datagram")
    func firstFragment() {
        let headers = packet.udp(1, 2).payload(count: 2_000).fragmented(at: 1_480)[0].headers
        #expect(headers.transport == .udp)
        #expect(headers.fragment.moreFragments)
    }

    @Test("a length that only the cut bytes reach is right")
    func cutDatagram() throws {
        let bytes = packet.udp(1, 2).payload(count: 2_000).bytes
        let headers = try PacketHeaders(decoding: Array(bytes.prefix(28)), fullLength: bytes.count)
        #expect(headers.transport == .udp)
        #expect(!headers.isCut)
        let cut = try PacketHeaders(decoding: Array(bytes.prefix(27)), fullLength: bytes.count)
        #expect(cut.transport == .none)
        #expect(cut.isCut)
    }
}
