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
        var replay = CaptureReplay(
            policy: try Policy(PolicyDocument(), epoch: 1), local: [], folds: false, zones: CalendarZones())
        let path = try capture.path()
        defer { unsafe unlink(path) }
        try replay.run(path) { _ in }
        replay.finish { _ in }
        let dropped = replay.summary.counters.dropped
        return Set(
            DropReason.allCases.filter { reason in
                [.sanity, .fragments].contains(reason.stage) && dropped[Int(reason.rawValue)] > 0
            })
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
