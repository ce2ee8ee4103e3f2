// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import PacketWire
import TestSupport

/// The packets that scenarios send: real bytes, patched from a template where there are many.
enum Segments {
    typealias Packet = (bytes: [UInt8], metadata: PacketMetadata)

    /// Client of connection `number`: 60,000 ports to an address.
    private static func endpoint(_ number: Int) -> (address: UInt32, port: UInt16) {
        (0xc612_0100 + UInt32(number / 60_000), UInt16(1024 + number % 60_000))
    }

    private static let server: UInt32 = 0xc613_0001

    static func handshake(_ number: Int) -> [Packet] {
        let (client, port) = endpoint(number)
        return [
            packet(.prerouting, from: client, port, to: server, 80, .syn, sequence: 1000, acknowledgement: 0),
            packet(.output, from: server, 80, to: client, port, [.syn, .ack], sequence: 5000, acknowledgement: 1001),
            packet(.prerouting, from: client, port, to: server, 80, .ack, sequence: 1001, acknowledgement: 5001),
        ].map(summed)
    }

    /// So many connections one after the other, each from its SYN to the last ACK: eight packets.
    static func conversations(_ count: Int) -> [Packet] { (0..<count).flatMap(conversation) }

    static func conversation(_ number: Int) -> [Packet] {
        let (client, port) = endpoint(number)
        func there(_ flags: TCPFlags, _ sequence: UInt32, _ acknowledgement: UInt32, payload: Int = 0) -> Packet {
            packet(
                .prerouting, from: client, port, to: server, 80, flags, sequence: sequence,
                acknowledgement: acknowledgement, payload: payload)
        }
        func back(_ flags: TCPFlags, _ sequence: UInt32, _ acknowledgement: UInt32, payload: Int = 0) -> Packet {
            packet(
                .output, from: server, 80, to: client, port, flags, sequence: sequence,
                acknowledgement: acknowledgement, payload: payload)
        }
        return [
            there(.syn, 1000, 0), back([.syn, .ack], 5000, 1001), there(.ack, 1001, 5001),
            there([.ack, .psh], 1001, 5001, payload: 100), back([.ack, .fin], 5001, 1101, payload: 100),
            there(.ack, 1101, 5102), there([.ack, .fin], 1101, 5102), back(.ack, 5102, 1102),
        ]
    }

    /// The client's next data segment; the same bytes again are a retransmission, which costs the same.
    static func data(_ number: Int, payload: Int) -> Packet {
        let (client, port) = endpoint(number)
        return packet(
            .prerouting, from: client, port, to: server, 80, [.ack, .psh], sequence: 1001, acknowledgement: 5001,
            payload: payload)
    }

    /// The client's next data and the server's acknowledgement of them; `advance` makes them those that follow.
    static func stream(payload: Int) -> [Packet] {
        let (client, port) = endpoint(0)
        return [
            packet(
                .prerouting, from: client, port, to: server, 80, [.ack, .psh], sequence: 1001 &- UInt32(payload),
                acknowledgement: 5001, payload: payload),
            packet(.output, from: server, 80, to: client, port, .ack, sequence: 5001, acknowledgement: 1001),
        ].map(summed)
    }

    /// Moves a packet of a stream on, before it is judged again; its checksum stays right (RFC 1624).
    static func advance(_ packets: inout [Packet], _ place: Int) {
        let payload = UInt32(packets[0].bytes.count - 40)
        let offset = place == 0 ? 24 : 28
        let before = number(packets[place].bytes, offset)
        let after = before &+ payload
        put32(&packets[place].bytes, offset, after)
        let sum = UInt64(~UInt16(number(packets[place].bytes, 36) >> 16))
        put16(&packets[place].bytes, 36, ~folded(sum + UInt64(~before) + UInt64(after)))
    }

    private static func number(_ bytes: [UInt8], _ at: Int) -> UInt32 {
        bytes[at..<at + 4].reduce(0) { $0 << 8 | UInt32($1) }
    }

    /// Makes the client's segment one of connection `number`.
    static func readdress(_ bytes: inout [UInt8], to number: Int) {
        let (client, port) = endpoint(number)
        put32(&bytes, 12, client)
        put16(&bytes, 20, port)
    }

    static func syn(from source: UInt32, _ sourcePort: UInt16, to destination: UInt32, _ port: UInt16) -> Packet {
        packet(.prerouting, from: source, sourcePort, to: destination, port, .syn, sequence: 1, acknowledgement: 0)
    }

    private static func packet(
        _ hook: Hook, from source: UInt32, _ sourcePort: UInt16, to destination: UInt32, _ destinationPort: UInt16,
        _ flags: TCPFlags, sequence: UInt32, acknowledgement: UInt32, payload: Int = 0
    ) -> Packet {
        var bytes = [UInt8](repeating: 0, count: 40 + payload)
        bytes[0] = 0x45
        put16(&bytes, 2, UInt16(40 + payload))
        bytes[8] = 64
        bytes[9] = 6
        put32(&bytes, 12, source)
        put32(&bytes, 16, destination)
        put16(&bytes, 20, sourcePort)
        put16(&bytes, 22, destinationPort)
        put32(&bytes, 24, sequence)
        put32(&bytes, 28, acknowledgement)
        bytes[32] = 0x50
        bytes[33] = flags.rawValue
        put16(&bytes, 34, 65_535)
        return (bytes, PacketMetadata(hook, bytes))
    }

    /// The same packet with its right checksum, which the kernel has not verified.
    static func unverified(_ packet: Packet) -> Packet {
        var packet = summed(packet)
        packet.metadata.checksumNotVerified = true
        return packet
    }

    /// The same packet with its right checksum (RFC 9293 section 3.1).
    private static func summed(_ packet: Packet) -> Packet {
        var packet = packet
        let segment = packet.bytes.count - 20
        var sum = UInt64(6 + segment)
        for place in stride(from: 12, to: packet.bytes.count - 1, by: 2) {
            sum += UInt64(packet.bytes[place]) << 8 | UInt64(packet.bytes[place + 1])
        }
        if segment % 2 == 1 { sum += UInt64(packet.bytes[packet.bytes.count - 1]) << 8 }
        put16(&packet.bytes, 36, ~folded(sum))
        return packet
    }

    private static func folded(_ sum: UInt64) -> UInt16 {
        var sum = sum
        while sum > 0xffff { sum = sum & 0xffff + sum >> 16 }
        return UInt16(sum)
    }

    private static func put16(_ bytes: inout [UInt8], _ at: Int, _ value: UInt16) {
        bytes[at] = UInt8(truncatingIfNeeded: value >> 8)
        bytes[at + 1] = UInt8(truncatingIfNeeded: value)
    }

    private static func put32(_ bytes: inout [UInt8], _ at: Int, _ value: UInt32) {
        put16(&bytes, at, UInt16(truncatingIfNeeded: value >> 16))
        put16(&bytes, at + 2, UInt16(truncatingIfNeeded: value))
    }

    /// A TCP header that claims a data offset of 4.
    static var malformed: Packet {
        var p = syn(from: 0xc612_0001, 40_000, to: server, 80)
        p.bytes[32] = 0x40
        return p
    }
}
