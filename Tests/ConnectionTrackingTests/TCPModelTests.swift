// SPDX-License-Identifier: GPL-3.0-or-later

import Foundation
import PacketWire
import TestSupport
import Testing

@testable import ConnectionTracking

@Suite("TCP: model")
struct TCPModelTests {
    /// Set to the seed of a failure to repeat it.
    private static let repeated = ProcessInfo.processInfo.environment["TCP_MODEL_SEED"].flatMap(UInt64.init)
    private static let seed = repeated ?? UInt64.random(in: 0...UInt64.max)

    @Test("nothing that two real stacks say to each other over a bad path is refused", arguments: 0..<20)
    func conversations(block: UInt64) {
        print("TCP model: seed \(Self.seed), block \(block)")
        var total = TCPModel.Report()
        for run in 0..<(Self.repeated == nil ? 100 : 1) as Range<UInt64> {
            var model = TCPModel(seed: Self.seed &+ block &* 1_000 &+ run)
            let report = model.run()
            if let failure = report.failure {
                Issue.record("\(failure)")
                return
            }
            total.segments += report.segments
            total.established += report.established
            total.resets += report.resets
            total.reopened += report.reopened
            total.phases.formUnion(report.phases)
        }
        #expect(total.segments > 5_000 && total.established > 80 && total.resets > 20 && total.reopened > 10)
        #expect(total.phases == Set(TCPPhase.allCases))
    }
}
