// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import TestSupport
import Testing

@Suite("Link layer")
struct LinkDecodeTests {
    let query = PacketBuilder.ipv4(from: "198.18.0.1", to: "198.18.0.2").udp(5353, 53).payload("abc")

    @Test("an Ethernet frame gives its addresses, its type and the packet in it")
    func ethernet() {
        let headers = query.ethernet(from: "52:54:00:aa:00:01", to: "52:54:00:aa:00:02").headers
        #expect(headers.sourceMAC == "52:54:00:aa:00:01")
        #expect(headers.destinationMAC == "52:54:00:aa:00:02")
        #expect(headers.etherType == 0x0800)
        #expect(headers.vlan == PacketHeaders.noVLAN)
        #expect(headers.networkOffset == 14)
        #expect(headers.transportOffset == 34)
        #expect(headers.destinationPort == 53)
    }

    @Test("padding up to the shortest frame is not payload")
    func padding() throws {
        let segment = PacketBuilder.ipv4(from: "198.18.0.1", to: "198.18.0.2").tcp(40_000, 80, [.ack])
        let frame = segment.ethernet().padded()
        #expect(frame.bytes.count == 60)
        #expect(frame.headers.length == 40)
        #expect(frame.headers.tcp.dataLength == 0)
    }

    @Test("of two VLAN tags the outer one is the VLAN", arguments: [0x8100, 0x88a8, 0x9100 as UInt16])
    func stackedTags(type: UInt16) {
        let headers = query.vlan(0x123, priority: 7, type: type).vlan(6).headers
        #expect(headers.vlan == 0x123)
        #expect(headers.etherType == 0x0800)
        #expect(headers.networkOffset == 22)
        #expect(headers.destinationPort == 53)
    }

    @Test("eight tags are read, nine are other traffic")
    func manyTags() {
        let eight = (1...8).reduce(query) { frame, tag in frame.vlan(UInt16(tag)) }
        #expect(eight.headers.network == .ipv4)
        let nine = eight.vlan(9).headers
        #expect(nine.network == .other)
        #expect(nine.etherType == 0x8100)
        #expect(nine.vlan == 1)
    }

    @Test("ARP gives the addresses of sender and target")
    func arp() {
        let headers = PacketBuilder.arpRequest(for: "198.18.0.2", from: "198.18.0.1").ethernet().padded().headers
        #expect(headers.network == .arp)
        #expect(headers.source == "198.18.0.1")
        #expect(headers.destination == "198.18.0.2")
        #expect(headers.length == 46)
        #expect(!headers.isIP)
    }

    @Test("ARP of another kind, or too short, is ARP without addresses", arguments: [0, 2, 4, 5, 27])
    func otherARP(byte: Int) throws {
        var packet = PacketBuilder.arpRequest(for: "198.18.0.2", from: "198.18.0.1").bytes
        if byte == 27 { packet.removeLast() } else { packet[byte] = 0x7f }
        let headers = try PacketHeaders(decoding: packet, etherType: 0x0806)
        #expect(headers.network == .arp)
        #expect(headers.source == .zero)
        #expect(headers.destination == .zero)
        #expect(!headers.isCut)
    }

    @Test("a tag that the device left is passed over where a packet begins with it")
    func innerTag() throws {
        let inner = PacketBuilder.ip(from: "198.18.0.1", to: "198.18.0.2").udp(1, 2).bytes
        let headers = try PacketHeaders(decoding: [0x20, 0x07, 0x08, 0x00] + inner, etherType: 0x8100)
        #expect(headers.vlan == 7)
        #expect(headers.etherType == 0x0800)
        #expect(headers.networkOffset == 4)
        #expect(headers.destinationPort == 2)
        #expect(throws: DecodeError.ethernetHeaderCut) { try PacketHeaders(decoding: [0x20, 0x07], etherType: 0x8100) }
    }

    @Test("everything else keeps its type", arguments: [0x88cc, 0x8863, 0x8847, 0x0026, 0x05dc] as [UInt16])
    func other(etherType: UInt16) {
        let headers = PacketBuilder.raw(etherType: etherType, [0x45, 0, 0]).ethernet().headers
        #expect(headers.network == .other)
        #expect(headers.etherType == etherType)
        #expect(headers.length == 3)
        #expect(headers.transport == .none)
    }

    @Test("without a frame the IP version says the type", arguments: [("198.18.0.2", 0x0800), ("fd00::2", 0x86dd)])
    func unknownType(destination: String, etherType: Int) throws {
        let address = try #require(IPAddress(parsing: destination))
        let packet = PacketBuilder.ip(from: address, to: address).udp(1, 2)
        let headers = try PacketHeaders(decoding: packet.bytes, etherType: 0)
        #expect(Int(headers.etherType) == etherType)
        #expect(headers.networkOffset == 0)
        #expect(headers.sourceMAC == .none)
        #expect(headers.destinationMAC == .none)
    }
}
