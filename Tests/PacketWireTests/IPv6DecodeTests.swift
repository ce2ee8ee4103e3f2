// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import TestSupport
import Testing

@Suite("IPv6")
struct IPv6DecodeTests {
    let packet = PacketBuilder.ipv6(from: "fd00::1:2", to: "fd00:ffff::9")

    @Test("a header gives its fields")
    func fields() {
        let headers = packet.timeToLive(9).udp(5353, 53).payload("abc").headers
        #expect(headers.network == .ipv6)
        #expect(headers.source == "fd00::1:2")
        #expect(headers.destination == "fd00:ffff::9")
        #expect(headers.timeToLive == 9)
        #expect(headers.protocolNumber == IPProtocol.udp)
        #expect(headers.length == 51)
        #expect(headers.transportOffset == 40)
        #expect(headers.destinationPort == 53)
        #expect(!headers.fragment.isFragment)
        #expect(!headers.hasRoutingHeaderZero)
        #expect(!headers.hasSegmentsLeft)
    }

    @Test("every extension header that a stack sends is stepped over, in any order after the first")
    func chain() {
        let headers = packet.hopByHop().destinationOptions().routing(type: 4, segmentsLeft: 1, addresses: ["fd00::3"])
            .authentication().destinationOptions().tcp(1, 2, [.syn]).headers
        #expect(headers.protocolNumber == IPProtocol.tcp)
        #expect(headers.transport == .tcp)
        #expect(headers.transportOffset == 40 + 8 + 8 + 24 + 24 + 8)
        #expect(headers.hasSegmentsLeft)
        #expect(!headers.hasRoutingHeaderZero)
    }

    @Test("a routing header of type 0 is marked and decoding goes on")
    func routingHeaderZero() {
        let headers = packet.routing(type: 0, segmentsLeft: 0, addresses: ["fd00::3"]).udp(1, 2).headers
        #expect(headers.hasRoutingHeaderZero)
        #expect(!headers.hasSegmentsLeft)
        #expect(headers.transport == .udp)
        #expect(
            !packet.routing(type: 2, segmentsLeft: 0, addresses: ["fd00::3"]).udp(1, 2).headers.hasRoutingHeaderZero)
    }

    @Test(
        "what cannot be looked into ends the chain as the upper layer", arguments: [50, 135, 139, 140, 253] as [UInt8])
    func opaque(number: UInt8) {
        let headers = packet.hopByHop().upperLayer(number).payload(count: 16).headers
        #expect(headers.transport == .other)
        #expect(headers.protocolNumber == number)
        #expect(headers.transportOffset == 48)
        #expect(!headers.hasNoPayload)
    }

    @Test("ICMP of IPv4 inside IPv6 is no ICMP")
    func foreignICMP() {
        #expect(packet.upperLayer(1).payload(count: 8).headers.transport == .other)
    }

    @Test("no payload: length 0, next header 59, or a chain at whose end the packet ends")
    func noPayload() {
        #expect(packet.protocolNumber(6).headers.hasNoPayload)
        #expect(packet.noNextHeader().headers.hasNoPayload)
        #expect(packet.noNextHeader().payload(count: 8).headers.hasNoPayload)
        #expect(packet.hopByHop().noNextHeader().payload(count: 8).headers.hasNoPayload)
        let chainOnly = packet.hopByHop().upperLayer(6).headers
        #expect(chainOnly.hasNoPayload)
        #expect(chainOnly.transport == .none)
        #expect(!packet.hopByHop().upperLayer(47).payload([1]).headers.hasNoPayload)
    }

    @Test("a payload length of 0 has no payload even with bytes behind it; in segmentation offload they count")
    func zeroLength() throws {
        let bytes = packet.tcp(1, 2, [.ack]).payload(count: 100).payloadLength(0).bytes
        let empty = try PacketHeaders(decoding: bytes)
        #expect(empty.hasNoPayload)
        #expect(empty.length == 40)
        let offloaded = try PacketHeaders(decoding: bytes, isSegmentationOffload: true)
        #expect(!offloaded.hasNoPayload)
        #expect(offloaded.length == 160)
        #expect(offloaded.tcp.dataLength == 100)
    }

    @Test("the smaller length field of a segmentation-offload packet does not count, a larger one does")
    func offloadLength() throws {
        let bytes = packet.tcp(1, 2, [.ack]).payload(count: 100)
        let headers = try PacketHeaders(decoding: bytes.payloadLength(50).bytes, isSegmentationOffload: true)
        #expect(headers.tcp.dataLength == 100)
        #expect(throws: DecodeError.ipv6HeaderUnreadable) {
            try PacketHeaders(decoding: bytes.payloadLength(121).bytes, isSegmentationOffload: true)
        }
    }

    // MARK: Jumbograms

    /// A jumbogram's hop-by-hop options that claim `length`.
    private func jumbo(_ length: UInt32) -> [UInt8] {
        var option: [UInt8] = [0xc2, 4]
        option.append(be: length)
        return option
    }

    @Test("a jumbogram has the length of its option, and its UDP length may be 0")
    func jumbogram() throws {
        let size: UInt32 = 8 + 8 + 70_000
        let datagram = packet.hopByHop(options: jumbo(size)).udp(1, 2).payload(count: 70_000).udpLength(0)
        let headers = datagram.payloadLength(0).headers
        #expect(headers.length == 40 + size)
        #expect(headers.transport == .udp)
        #expect(!headers.hasNoPayload)
        #expect(throws: DecodeError.ipv6HeaderUnreadable) {
            try PacketHeaders(decoding: datagram.payloadLength(0).hopByHop().cut(to: 70_000))
        }
    }

    @Test("a jumbo option that claims what the length field could say is none")
    func smallJumbogram() {
        let datagram = packet.hopByHop(options: jumbo(65_535)).udp(1, 2).payload(count: 65_519).payloadLength(0)
        #expect(throws: DecodeError.ipv6HeaderUnreadable) { try PacketHeaders(decoding: datagram.bytes) }
    }

    @Test("payload length 0 before hop-by-hop options is readable with a jumbo option, or as an offload packet")
    func zeroLengthBeforeOptions() {
        let datagram = packet.hopByHop().udp(1, 2).payload(count: 9).payloadLength(0)
        #expect(throws: DecodeError.ipv6HeaderUnreadable) { try PacketHeaders(decoding: datagram.bytes) }
        #expect(packet.destinationOptions().udp(1, 2).payloadLength(0).headers.hasNoPayload)
    }

    @Test(
        "options that cannot be read hold no jumbo option",
        arguments: [[1, 200, 0xc2, 4, 0, 1], [0, 0, 0, 0, 0, 0xc2]])
    func brokenOptions(options: [UInt8]) {
        #expect(throws: DecodeError.ipv6HeaderUnreadable) {
            try PacketHeaders(decoding: packet.hopByHop(options: options).udp(1, 2).payloadLength(0).bytes)
        }
    }

    // MARK: Fragments

    @Test("the first fragment has the ports, the others their place")
    func fragments() {
        let datagram = packet.identification(0xdead_beef).hopByHop().udp(5353, 53).payload(count: 100)
        let parts = datagram.fragmented(at: 48).map(\.headers)
        #expect(parts.map(\.fragment.isFragment) == [true, true, true])
        #expect(parts.map(\.fragment.moreFragments) == [true, true, false])
        #expect(parts.map(\.fragment.offset) == [0, 48, 96])
        #expect(parts.map(\.fragment.dataLength) == [48, 48, 12])
        #expect(parts.map(\.fragment.identification) == [0xdead_beef, 0xdead_beef, 0xdead_beef])
        #expect(parts.map(\.transport) == [.udp, .none, .none])
        #expect(parts.map(\.transportOffset) == [56, 56, 56])
        #expect(parts.map(\.protocolNumber) == [17, 17, 17])
    }

    @Test("of a fragmented chain the data counts from the fragment header on")
    func fragmentedChain() {
        let parts = packet.destinationOptions().udp(5353, 53).payload(count: 100).fragmented(at: 56).map(\.headers)
        #expect(parts[0].transport == .udp)
        #expect(parts[0].transportOffset == 56)
        #expect(parts[0].fragment.dataLength == 56)
        #expect(parts[1].protocolNumber == 60)
        #expect(parts[1].transport == .none)
    }

    @Test("an atomic fragment is no fragment")
    func atomicFragment() {
        let headers = packet.tcp(1, 2, [.syn]).fragmentFields(offset: 0, more: false).headers
        #expect(!headers.fragment.isFragment)
        #expect(headers.transport == .tcp)
        #expect(headers.transportOffset == 48)
    }

    @Test("a first fragment without its whole transport header or chain is marked, not refused")
    func tinyFirstFragment() {
        let segment = packet.tcp(1, 2, [.syn], options: [.mss(1460)])
        #expect(segment.fragment(0..<16).headers.transportCutByFragmentation)
        #expect(!segment.payload(count: 8).fragment(0..<24).headers.transportCutByFragmentation)
        let chain = packet.destinationOptions([1, 12] + [UInt8](repeating: 0, count: 12)).udp(1, 2)
        #expect(chain.fragment(0..<8).headers.transportCutByFragmentation)
        #expect(chain.fragment(0..<16).headers.transportCutByFragmentation)
        #expect(!chain.payload(count: 8).fragment(0..<24).headers.transportCutByFragmentation)
    }

    @Test("a fragment without data has no payload")
    func emptyFragment() {
        #expect(packet.upperLayer(17).fragmentFields(offset: 8, more: false).headers.hasNoPayload)
        let first = packet.upperLayer(17).fragmentFields(offset: 0, more: true).headers
        #expect(first.hasNoPayload)
        #expect(first.transportCutByFragmentation)
    }
}
