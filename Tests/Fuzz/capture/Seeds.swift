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
