// SPDX-License-Identifier: GPL-3.0-or-later

import Foundation
import PacketWire
import TestSupport

/// Writes a small capture of each kind into the folder that the first argument names.
@main
enum Seeds {
    private static let links: [(name: String, number: UInt32, header: [UInt8])] = [
        ("null", 0, [2, 0, 0, 0]),
        ("ethernet", 1, [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]),
        ("vlan", 1, [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x81, 0, 0, 5, 8, 0]),
        ("raw", 101, []),
        ("loop", 108, [0, 0, 0, 2]),
        ("cooked1", 113, [0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 2, 0, 0, 8, 0]),
        ("cooked2", 276, [8, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 2, 0, 0, 0, 0, 2, 0, 0]),
        ("foreign", 105, []),
    ]

    /// A handshake, a refused datagram, and a datagram in two fragments of which the later comes first.
    private static let packets: [[UInt8]] = {
        let there = PacketBuilder.ipv4(from: "198.19.0.1", to: "198.18.0.2")
        let back = PacketBuilder.ipv4(from: "198.18.0.2", to: "198.19.0.1")
        let long = there.udp(5_000, 53).payload(count: 600)
        return [
            there.tcp(40_000, 80, .syn, seq: 1).bytes, back.tcp(80, 40_000, [.syn, .ack], seq: 1, ack: 2).bytes,
            there.tcp(40_000, 80, .ack, seq: 2, ack: 2).payload("GET").bytes, back.udp(53, 9_999).bytes,
            long.fragment(304..<608).bytes, long.fragment(0..<304).bytes,
        ]
    }()

    static func main() throws {
        let folder = URL(fileURLWithPath: CommandLine.arguments[1])
        for link in links {
            let frames = packets.map { link.header + $0 }
            try Data(classic(link.number, frames)).write(to: folder.appendingPathComponent("\(link.name).pcap"))
        }
        let frames = packets.map { links[1].header + $0 }
        try Data(blocks(frames)).write(to: folder.appendingPathComponent("ethernet.pcapng"))
        try Data(mixed()).write(to: folder.appendingPathComponent("mixed.pcapng"))
        // Members of one deflated block each, which is stored as it is.
        let raw = classic(101, packets)
        let members = gzip(Array(raw.prefix(100))) + gzip(Array(raw.dropFirst(100)))
        try Data(members).write(to: folder.appendingPathComponent("raw.pcap.gz"))
    }

    /// Interfaces of several link types, snap lengths and clocks, each form of packet, and a second section.
    private static func mixed() -> [UInt8] {
        var file: [UInt8] = []
        for _ in 0..<2 {
            file += block(0x0a0d_0d0a, words([0x1a2b_3c4d, 0x0001_0000, .max, .max]))
            // Options: a clock of nanoseconds, and seconds that are added.
            let options = words([0x0009_0001, 0x0900_0000, 0x000e_0008, 0, 100, 0])
            for (link, snap) in [(101, 96), (113, 0), (1, 262_144), (105, 64)] as [(UInt32, UInt32)] {
                file += block(1, words([link << 16, snap]) + (link == 113 ? options : []))
            }
            for (number, packet) in packets.enumerated() {
                let link = links[number % 2 == 0 ? 3 : 5]
                let frame = link.header + packet
                let (length, padding) = (UInt32(frame.count), [UInt8](repeating: 0, count: -frame.count & 3))
                let interface: UInt32 = number % 2 == 0 ? 0 : 1
                switch number {
                case 2: file += block(3, words([length]) + frame + padding)
                case 3: file += block(2, words([interface << 16, 0, UInt32(number), length, length]) + frame + padding)
                default: file += block(6, words([interface, 0, UInt32(number), length, length]) + frame + padding)
                }
            }
            file += block(5, words([1, 2, 3])) + block(0xbad, words([7]))
        }
        return file
    }

    /// RFC 1952, with a stored block of RFC 1951.
    private static func gzip(_ bytes: [UInt8]) -> [UInt8] {
        func little(_ number: UInt32, _ count: Int) -> [UInt8] {
            (0..<count).map { UInt8(truncatingIfNeeded: number >> (8 * UInt32($0))) }
        }
        var sum = UInt32.max
        for byte in bytes {
            sum ^= UInt32(byte)
            for _ in 0..<8 { sum = sum & 1 == 1 ? sum >> 1 ^ 0xedb8_8320 : sum >> 1 }
        }
        let length = UInt32(bytes.count)
        let stored = [1] + little(length, 2) + little(~length, 2) + bytes
        return [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3] + stored + little(~sum, 4) + little(length, 4)
    }

    /// A pcap file; the first frame is cut by the capture.
    private static func classic(_ link: UInt32, _ frames: [[UInt8]]) -> [UInt8] {
        var file = words([0xa1b2_c3d4, 0x0002_0004, 0, 0, 65_535, link])
        for (second, frame) in frames.enumerated() {
            let length = UInt32(frame.count)
            file += words([1_700_000_000 + UInt32(second), 0, length, second == 0 ? length + 10 : length]) + frame
        }
        return file
    }

    /// A pcapng file: section header, one Ethernet interface, enhanced packets.
    private static func blocks(_ frames: [[UInt8]]) -> [UInt8] {
        var file = block(0x0a0d_0d0a, words([0x1a2b_3c4d, 0x0001_0000, .max, .max]))
        file += block(1, words([0x0001_0000, 65_535]))
        for (second, frame) in frames.enumerated() {
            let length = UInt32(frame.count)
            let padding = [UInt8](repeating: 0, count: -frame.count & 3)
            file += block(6, words([0, 0, UInt32(second) * 1_000_000, length, length]) + frame + padding)
        }
        return file
    }

    private static func block(_ type: UInt32, _ body: [UInt8]) -> [UInt8] {
        let length = UInt32(body.count + 12)
        return words([type, length]) + body + words([length])
    }

    /// Both formats say by their magic number that they are big-endian.
    private static func words(_ words: [UInt32]) -> [UInt8] {
        words.flatMap { word in [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: word >> $0) } }
    }
}
