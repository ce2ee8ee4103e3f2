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

    /// Late handshakes beside claims, RST and SYN+ACK of a claim that is over, a closed connection that a late copy of its own
    /// handshake reopens, a keep-alive that overtakes a crossed answer, data that overtakes the answer to a second SYN.
    @Test(
        "conversations of which something was refused once",
        arguments: [
            (11_207_242_767_880_639_038, true), (11_976_754_233_235_864_855, true), (4_865_418_027_919_006_043, true),
            (6_815_744_802_066_404_300, true), (10_256_245_768_957_345_633, true),
            (3_835_839_093_115_168_939, false), (5_917_306_032_868_088_595, false), (6_751_974_747_209_734_145, false),
            (14_286_158_984_363_702_881, false),
        ] as [(UInt64, Bool)])
    func refusedOnce(seed: UInt64, takingOver: Bool) {
        var model = TCPModel(seed: seed, forging: takingOver, takingOver: takingOver)
        let failure = model.run().failure
        #expect(failure == nil)
    }

    @Test("a conversation of which something was refused once, among forgeries")
    func refusedOnceAmongForgeries() {
        var model = TCPModel(seed: 18_060_826_067_709_858_360, forging: true)
        let failure = model.run().failure
        #expect(failure == nil)
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
