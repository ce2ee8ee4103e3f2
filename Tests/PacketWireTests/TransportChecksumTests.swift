// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import TestSupport
import Testing

@Suite("Transport checksums")
struct TransportChecksumTests {
    static let v4 = PacketBuilder.ipv4(from: "198.18.0.1", to: "255.254.253.252")
    static let v6 = PacketBuilder.ipv6(from: "fd00::1", to: "ffff:fffe:fffd:fffc:fffb:fffa:fff9:fff8")

    private func isValid(_ bytes: [UInt8], fullLength: Int? = nil) throws -> Bool {
        let headers = try PacketHeaders(decoding: bytes, fullLength: fullLength)
        return unsafe TransportChecksum.isValid(bytes.span.bytes, headers)
    }

    static let packets: [PacketBuilder] = (0..<18).flatMap { size in
        [v4, v6, v6.hopByHop().authentication()].flatMap { network in
            [
                network.tcp(40_000, 80, [.ack], seq: 0xffff_ffff, options: [.timestamps(1, echo: 2)]).payload(
                    count: size),
                network.udp(5353, 53).payload(count: size),
                network.echoRequest(id: 7, seq: 9).payload(count: size),
            ]
        }
    }

    @Test("the sum of an intact packet is right, and wrong after any one bit of it flips")
    func intactAndDamaged() throws {
        for packet in Self.packets {
            let good = packet.bytes
            #expect(try isValid(good), "\(good.hex)")
            for place in Int(packet.headers.transportOffset)..<good.count {
                var bad = good
                bad[place] ^= 0x10
                guard let headers = try? PacketHeaders(decoding: bad), headers.transport == packet.headers.transport
                else {
                    continue
                }
                #expect(try !isValid(bad), "byte \(place) of \(good.hex)")
            }
        }
    }

    @Test("the addresses enter the sum, except of ICMP over IPv4")
    func pseudoHeader() throws {
        for packet in Self.packets {
            var bytes = packet.bytes
            let headers = packet.headers
            bytes[headers.network == .ipv4 ? 12 : 8] ^= 0x10
            #expect(try isValid(bytes) == (headers.transport == .icmp))
        }
    }

    @Test("bytes after the IP packet, or after the UDP length, are not covered")
    func notCovered() throws {
        #expect(try isValid(Self.v4.tcp(1, 2, [.ack]).payload("abc").trailer([1, 2, 3]).bytes))
        // Three bytes of surplus behind a datagram of eleven.
        let datagram = Self.v4.udp(1, 2).payload("abc")
        var bytes = Self.v4.upperLayer(17).payload(Array(datagram.bytes.dropFirst(20)) + [7, 7, 7]).bytes
        #expect(try isValid(bytes))
        bytes[30] ^= 1
        #expect(try !isValid(bytes))
    }

    @Test("a UDP checksum of 0 is none over IPv4 and wrong over IPv6")
    func zeroChecksum() throws {
        #expect(try isValid(Self.v4.udp(1, 2).payload("abc").transportChecksum(0).bytes))
        #expect(try !isValid(Self.v6.udp(1, 2).payload("abc").transportChecksum(0).bytes))
        #expect(try !isValid(Self.v4.tcp(1, 2, [.ack]).payload("abc").transportChecksum(0).bytes))
    }

    @Test("what cannot be judged is not called wrong")
    func notJudged() throws {
        let wrong = Self.v4.tcp(1, 2, [.ack]).payload(count: 100).transportChecksum(1)
        #expect(try !isValid(wrong.bytes))
        #expect(try isValid(Array(wrong.bytes.dropLast()), fullLength: wrong.bytes.count))
        #expect(try isValid(wrong.fragment(0..<24).bytes))
        #expect(try isValid(wrong.fragment(24..<48).bytes))
        #expect(try isValid(Self.v4.upperLayer(47).payload(count: 20).bytes))
        #expect(try isValid(Self.v4.bytes))
        let routed = Self.v6.tcp(1, 2, [.ack]).transportChecksum(1)
        #expect(try isValid(routed.routing(type: 4, segmentsLeft: 1, addresses: ["fd00::3"]).bytes))
        #expect(try !isValid(routed.routing(type: 4, segmentsLeft: 0, addresses: ["fd00::3"]).bytes))
    }
}
