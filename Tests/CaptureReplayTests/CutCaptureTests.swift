// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import Glibc
import PacketWire
import TestSupport
import Testing

@testable import CaptureReplay

@Suite("Packets that the snap length cut off")
struct CutCaptureTests {
    /// The reasons of stages V and F that a capture raises under a policy without rules.
    private func malformations(_ capture: CaptureWriter) throws -> Set<DropReason> {
        try refusals(capture).filter { [.sanity, .fragments].contains($0.stage) }
    }

    private func counts(_ capture: CaptureWriter) throws -> [UInt64] {
        var replay = CaptureReplay(
            policy: try Policy(PolicyDocument(), epoch: 1), local: [], folds: false, zones: CalendarZones())
        let path = try capture.path()
        defer { unsafe unlink(path) }
        try replay.run(path) { _ in }
        replay.finish { _ in }
        return replay.summary.counters.dropped
    }

    @Test(
        "A SYN cut within its options may have offered any window scale, and Fast Open",
        arguments: [54, 55, 58, 60, 64, 68, 70, 73], [true, false])
    func cutOptions(_ snap: Int, _ isAnswerCut: Bool) throws {
        let options: [TCPOption] = [
            .mss(1460), .sackPermitted, .timestamps(1, echo: 0), .noOperation, .windowScale(9), .fastOpen(cookie: []),
        ]
        let client = PacketBuilder.ipv4(from: "198.18.0.1", to: "198.18.0.2")
        let server = PacketBuilder.ipv4(from: "198.18.0.2", to: "198.18.0.1")
        var capture = CaptureWriter(.ethernet)
        func add(_ packet: PacketBuilder, isCut: Bool = true) {
            let frame = capture.frame(of: packet)
            capture.addRaw(Array(frame.prefix(isCut ? snap : .max)), wireLength: frame.count)
        }
        add(client.tcp(40_000, 80, .syn, seq: 0, window: 64_000, options: options).payload(count: 10))
        add(
            server.tcp(80, 40_000, [.syn, .ack], seq: 0, ack: 11, window: 64_000, options: options), isCut: isAnswerCut)
        add(client.tcp(40_000, 80, .ack, seq: 11, ack: 1, window: 500))
        for part in UInt32(0)..<100 {
            add(server.tcp(80, 40_000, .ack, seq: 1 + 1_400 * part, ack: 11, window: 500).payload(count: 1_400))
        }
        add(client.tcp(40_000, 80, .ack, seq: 11, ack: 140_001, window: 500))
        #expect(try refusals(capture).isEmpty)
    }

    private func refusals(_ capture: CaptureWriter) throws -> Set<DropReason> {
        let dropped = try counts(capture)
        return Set(DropReason.allCases.filter { dropped[Int($0.rawValue)] > 0 })
    }

    @Test(
        "Cut at any byte, no packet of any kind shows a malformation that it does not have whole",
        arguments: PacketCorpus.all, CaptureWriter.Link.allCases)
    func cut(_ sample: PacketCorpus, _ link: CaptureWriter.Link) throws {
        // A frame brings its own link header.
        guard !sample.packet.isFrame || link == .ethernet else { return }
        var packets = CaptureWriter(link)
        let frame = packets.frame(of: sample.packet)
        var cuts = packets
        for length in 0..<frame.count {
            cuts.addRaw(Array(frame.prefix(length)), wireLength: frame.count)
            packets.addRaw(frame)
        }
        let shown = try malformations(cuts)
        var had = try malformations(packets)
        // This one has two, and where the cut hides the first it shows the second.
        if sample.name == "first-fragment-short-of-chain" { had.insert(.firstFragmentTooSmall) }
        #expect(shown.isSubset(of: had), "\(sample.name): \(shown.subtracting(had))")
    }
}

extension CaptureWriter {
    fileprivate func frame(of packet: PacketBuilder) -> [UInt8] {
        packet.isFrame ? packet.bytes : linkHeader(of: packet.etherType) + packet.bytes
    }
}
