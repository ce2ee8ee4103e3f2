// SPDX-License-Identifier: GPL-3.0-or-later

import AnalysisProof
import Testing

@Suite("What two policies are said to decide differently is what all packets say")
struct DifferenceTests {
    @Test("of policies over few packets, each of which is asked of both, and each witness is judged by an engine")
    func exhaustive() throws {
        var counts = ProofCounts()
        for seed in UInt64(0)..<10 { try DifferenceProof.exhaustive(seed: seed, &counts) }
        #expect(counts.pairs == 10 && counts.witnesses > 10)
    }

    @Test("a policy does not differ from itself, and the other way round everything is the other way round")
    func mirror() throws {
        for seed in UInt64(3_000)..<3_030 { try DifferenceProof.mirror(seed: seed) }
    }

    @Test("the order of the file, a shadowed rule, a list split in two, and a list written out change nothing")
    func equivalents() throws {
        for seed in UInt64(5_000)..<5_030 { try DifferenceProof.equivalents(seed: seed) }
    }
}
