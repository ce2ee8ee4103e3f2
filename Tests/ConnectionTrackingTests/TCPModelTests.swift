// SPDX-License-Identifier: GPL-3.0-or-later

import Foundation
import PacketWire
import TestSupport
import Testing

@testable import ConnectionTracking

/// The bounds are six standard deviations and more from what a hundred runs showed on average.
@Suite("TCP: model")
struct TCPModelTests {
    private static let environment = ProcessInfo.processInfo.environment
    /// Set to the seed that a failure names to repeat that one.
    private static let repeated = environment["TCP_MODEL_SEED"].flatMap(UInt64.init)
    /// The same conversations each time; others in each round of `make model`.
    private static let seed =
        repeated ?? (environment["TCP_MODEL_RANDOM"] == nil ? 1 << 40 : UInt64.random(in: 0...UInt64.max))

    @Test("nothing that two real stacks say to each other over a bad path is refused", arguments: 0..<4)
    func conversations(block: UInt64) {
        guard let total = run(block, forging: false) else { return }
        #expect(total.takenOver > 4, "\(total)")
    }

    /// Of these segments two fifths and more cannot be expected by their receivers; each of them has to be refused.
    @Test("segments of somebody who sees nothing neither pass for genuine nor disturb these")
    func forgeries() {
        guard let total = run(4, forging: true) else { return }
        #expect(total.forged > 20_000 && total.refused * 5 > total.forged * 2, "\(total)")
    }

    /// A connection is met in its midst, and forgeries are about from the first segment on.
    @Test("whatever is forged while a connection is taken over, what its two ends say is not refused")
    func forgeriesAtTakeOver() {
        var total = TCPModel.Report()
        for run in 0..<500 as Range<UInt64> {
            var model = TCPModel(seed: Self.seed &+ 5_000 &+ run, forging: true, takingOver: true)
            total.add(model.run())
            if let failure = total.failure {
                Issue.record("\(failure)")
                return
            }
        }
        #expect(total.takenOver > 150 && total.agreed > 130 && total.forged > 5_000, "\(total)")
    }

    /// Five hundred conversations of this block, of which none fails and which see all that they are made for; `nil` where
    /// there is nothing more to say of them.
    private func run(_ block: UInt64, forging: Bool) -> TCPModel.Report? {
        var total = TCPModel.Report()
        for run in 0..<(Self.repeated == nil ? 500 : 1) as Range<UInt64> {
            var model = TCPModel(
                seed: Self.seed &+ (Self.repeated == nil ? block &* 1_000 &+ run : 0), forging: forging)
            total.add(model.run())
            if let failure = total.failure {
                Issue.record("\(failure)")
                return nil
            }
        }
        guard Self.repeated == nil else { return nil }
        #expect(total.segments > 20_000 && total.established > 550 && total.resets > 500, "\(total)")
        #expect(total.reopened > 150 && total.crossed > 12, "\(total)")
        #expect(total.phases == Set(TCPPhase.allCases), "\(total)")
        #expect(total.haunted < 100 && total.excused * 50 < total.segments, "\(total)")
        return total
    }
}
