// SPDX-License-Identifier: GPL-3.0-or-later

import Foundation
import PacketWire
import TestSupport

/// Writes each packet of `PacketCorpus` and a few conversations as inputs into the folder that the first argument names.
@main
enum Seeds {
    private static let incoming: UInt8 = 0
    private static let outgoing: UInt8 = 3
    private static let there = PacketBuilder.ipv4(from: "198.19.0.1", to: "198.18.0.2")
    private static let back = PacketBuilder.ipv4(from: "198.18.0.2", to: "198.19.0.1")

    static func main() throws {
        let folder = URL(fileURLWithPath: CommandLine.arguments[1])
        for entry in PacketCorpus.all {
            let hook = entry.packet.isFrame ? EngineInput.frame : incoming
            try write([(hook, entry.packet)], as: entry.name, to: folder)
        }
        for (name, packets) in conversations { try write(packets, as: name, to: folder) }
    }

    private static func write(_ packets: [(UInt8, PacketBuilder)], as name: String, to folder: URL) throws {
        let input = packets.flatMap { EngineInput.entry($0.0, $0.1.bytes) }
        try Data(input).write(to: folder.appendingPathComponent(name))
    }

    private static var conversations: [(String, [(UInt8, PacketBuilder)])] {
        let query = back.udp(5_000, 53).payload("abc")
        let pieces = there.udp(53, 5_000).payload(count: 500).fragmented(at: 208)
        return [
            ("talk-tcp", handshake + closing),
            ("talk-tcp-reload", handshake + closing.map { ($0.0 | EngineInput.Circumstances.reload, $0.1) }),
            ("talk-udp", [(outgoing, query), (incoming, there.udp(53, 5_000).payload("def"))]),
            ("talk-error", [(outgoing, query), (incoming, there.unreachable(code: 3, quoting: query))]),
            ("talk-ping", [(incoming, there.echoRequest(id: 7, seq: 1)), (outgoing, back.echoReply(id: 7, seq: 1))]),
            ("talk-fragments", [(outgoing, query)] + [2, 0, 1, 0].map { (incoming, pieces[$0]) }),
        ]
    }

    private static var handshake: [(UInt8, PacketBuilder)] {
        [
            (incoming, there.tcp(40_000, 80, .syn, seq: 10, options: [.mss(1460), .windowScale(7)])),
            (outgoing, back.tcp(80, 40_000, [.syn, .ack], seq: 90, ack: 11, options: [.mss(1460), .windowScale(7)])),
            (incoming, there.tcp(40_000, 80, .ack, seq: 11, ack: 91)),
            (incoming, there.tcp(40_000, 80, [.psh, .ack], seq: 11, ack: 91).payload("hello")),
        ]
    }

    private static var closing: [(UInt8, PacketBuilder)] {
        [
            (outgoing, back.tcp(80, 40_000, [.fin, .ack], seq: 91, ack: 16)),
            (incoming, there.tcp(40_000, 80, [.fin, .ack], seq: 16, ack: 92)),
            (outgoing, back.tcp(80, 40_000, .ack, seq: 92, ack: 17)),
            (incoming, there.tcp(40_000, 80, .syn, seq: 900)),
        ]
    }
}
