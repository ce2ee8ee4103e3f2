// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import Glibc
import PacketWire
import TestSupport
import Testing

@testable import CaptureReplay

@Suite("Captured segmentation offload")
struct OffloadCaptureTests {
    struct Way: Sendable, CustomTestStringConvertible {
        var link: CaptureWriter.Link
        var tags = 0
        var isIPv6 = false
        var testDescription: String { "\(link), \(tags) VLAN tags, IPv\(isIPv6 ? 6 : 4)" }
    }

    private static let ways =
        [false, true].flatMap { isIPv6 in
            CaptureWriter.Link.allCases.map { Way(link: $0, isIPv6: isIPv6) }
                + [1, 2].map { Way(link: .ethernet, tags: $0, isIPv6: isIPv6) }
        } + [Way(link: .cooked1, tags: 1)]

    /// The reasons for which a conversation is refused whose server sends one packet that says a length of 0.
    private func refusals(_ way: Way, bytes: Int, snap: Int? = nil) throws -> Set<DropReason> {
        let (client, server): (IPAddress, IPAddress) =
            way.isIPv6 ? ("fd00::1", "fd00::2") : ("198.18.0.1", "198.18.0.2")
        let request = PacketBuilder.ip(from: client, to: server)
        let answer = PacketBuilder.ip(from: server, to: client)
        var capture = CaptureWriter(way.link)
        func add(_ packet: PacketBuilder) {
            let etherType: UInt16 = way.isIPv6 ? 0x86dd : 0x0800
            let type = [UInt8(etherType >> 8), UInt8(etherType & 0xff)]
            var header = capture.linkHeader(of: way.tags > 0 ? 0x8100 : etherType)
            for tag in 0..<way.tags { header += [0, 7] + (tag == way.tags - 1 ? type : [0x81, 0]) }
            let frame = header + packet.bytes
            capture.addRaw(Array(frame.prefix(snap ?? .max)), wireLength: frame.count)
        }
        add(request.tcp(40_000, 80, .syn, seq: 0))
        add(answer.tcp(80, 40_000, [.syn, .ack], seq: 0, ack: 1))
        add(request.tcp(40_000, 80, .ack, seq: 1, ack: 1))
        let data = bytes - (way.isIPv6 ? 60 : 40)
        let long = answer.tcp(80, 40_000, .ack, seq: 1, ack: 1).payload(count: data)
        add(way.isIPv6 ? long.payloadLength(0) : long.totalLength(0))
        add(request.tcp(40_000, 80, .ack, seq: 1, ack: 1 + UInt32(data)))
        return try replay(capture)
    }

    private func replay(_ capture: CaptureWriter) throws -> Set<DropReason> {
        var replay = CaptureReplay(
            policy: try Policy(PolicyDocument(), epoch: 1), local: [], folds: false, zones: CalendarZones())
        let path = try capture.path()
        defer { unsafe unlink(path) }
        try replay.run(path) { _ in }
        replay.finish { _ in }
        let dropped = replay.summary.counters.dropped
        return Set(DropReason.allCases.filter { dropped[Int($0.rawValue)] > 0 })
    }

    @Test("A packet too long for one frame that says a length of 0 counts with what is there", arguments: ways)
    func long(_ way: Way) throws {
        #expect(try refusals(way, bytes: 1_505).isEmpty)
        #expect(try refusals(way, bytes: 9_000).isEmpty)
        #expect(try refusals(way, bytes: 9_000, snap: 96).isEmpty)
    }

    @Test("One that fits into a frame is what it says", arguments: ways)
    func short(_ way: Way) throws {
        let reason = way.isIPv6 ? DropReason.ipZeroPayload : .unreadableIPv4Header
        #expect(try refusals(way, bytes: 1_500).contains(reason))
    }
}
