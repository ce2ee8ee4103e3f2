// SPDX-License-Identifier: GPL-3.0-or-later

import Foundation
import PacketWire
import TestSupport
import Testing

@testable import ConnectionTracking

@Suite("TCP: model")
struct TCPModelTests {
    /// Set to the seed of a failure to repeat it, or to `random` to see other conversations than those of every run.
    private static let wanted = ProcessInfo.processInfo.environment["TCP_MODEL_SEED"]
    private static let repeated = wanted.flatMap(UInt64.init)
    private static let seed = repeated ?? (wanted == "random" ? UInt64.random(in: 0...UInt64.max) : 1)

    @Test("nothing that two real stacks say to each other over a bad path is refused", arguments: 0..<20)
    func conversations(block: UInt64) {
        let total = run(block, forging: false)
        guard Self.repeated == nil, total.failure == nil else { return }
        #expect(total.segments > 3_000 && total.established > 40 && total.resets > 10 && total.reopened > 5)
        #expect(total.phases.isSuperset(of: [.synReceived, .established, .closeWait, .timeWait, .closed]))
    }

    /// Of these segments at least a third cannot be expected by their receivers; each of them has to be refused.
    @Test("segments of somebody who sees nothing neither pass for genuine nor disturb these", arguments: 100..<105)
    func forgeries(block: UInt64) {
        let total = run(block, forging: true)
        guard Self.repeated == nil, total.failure == nil else { return }
        #expect(total.forged > 2_000 && total.refused * 3 > total.forged && total.established > 40)
    }

    /// A hundred conversations of this block, up to the first that fails.
    private func run(_ block: UInt64, forging: Bool) -> TCPModel.Report {
        print("TCP model: seed \(Self.seed), block \(block)")
        var total = TCPModel.Report()
        for run in 0..<(Self.repeated == nil ? 100 : 1) as Range<UInt64> {
            var model = TCPModel(
                seed: Self.seed &+ (Self.repeated == nil ? block &* 1_000 &+ run : 0), forging: forging)
            total.add(model.run())
            if let failure = total.failure {
                Issue.record("\(failure)")
                break
            }
        }
        return total
    }
}
