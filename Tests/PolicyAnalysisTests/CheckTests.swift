// SPDX-License-Identifier: GPL-3.0-or-later

import AnalysisProof
import Testing

/// A few of each, in a debug build. `portreeve-bench prove` asks of 2,000 in `make test`, of 100,000 in `make prove-analysis`.
@Suite("What is said of a rule is what all packets say")
struct CheckTests {
    @Test("of policies over few packets, each of which is asked, and each witness is judged by an engine")
    func exhaustive() throws {
        var counts = ProofCounts()
        for seed in UInt64(0)..<20 { try CheckProof.exhaustive(seed: seed, &counts) }
        #expect(counts.policies == 20 && counts.packets > 20_000 && counts.witnesses > 50)
    }

    @Test("a rule called covered is not missed")
    func removal() throws {
        var counts = ProofCounts()
        for seed in UInt64(77_000)..<77_010 { try CheckProof.removal(seed: seed, &counts) }
    }

    @Test("merging what is called mergeable, and leaving out what is called without effect, changes nothing")
    func proposals() throws {
        for seed in UInt64(500)..<540 { _ = try LintProof.proposals(seed: seed) }
    }

    @Test("of a cover none can be left out")
    func leastCover() throws {
        for seed in UInt64(990_000)..<990_040 { try CheckProof.leastCover(seed: seed) }
    }
}
