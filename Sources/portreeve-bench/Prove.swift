// SPDX-License-Identifier: GPL-3.0-or-later

import AnalysisProof
import ArgumentParser

/// Whether what `check` and `diff` say is so: random policies over so few packets that each of them is asked. No benchmark, but it
/// takes a release build.
struct Prove: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Hold what `check` and `diff` say of random policies against all their packets.")

    @Option(help: "How many policies; of half as many pairs the difference is asked.")
    var policies = 2_000

    @Option(help: "The seed of the first of them.")
    var seed: UInt64 = 1

    func run() throws {
        var counts = ProofCounts()
        do {
            for round in 0..<UInt64(policies) { try prove(seed &+ round, round, &counts) }
        } catch let disproof as Disproof {
            print(disproof)
            throw ExitCode.failure
        }
        print(
            "\(counts.policies) policies and \(counts.pairs) pairs of policies, \(counts.packets) packets asked, "
                + "\(counts.witnesses) witnesses judged by an engine, \(counts.proposals) proposals carried out: everything is as said"
        )
    }

    private func prove(_ seed: UInt64, _ round: UInt64, _ counts: inout ProofCounts) throws {
        try CheckProof.exhaustive(seed: seed, &counts)
        if round % 2 == 0 {
            try DifferenceProof.exhaustive(seed: seed, &counts)
            try CheckProof.leastCover(seed: seed)
        } else {
            try CheckProof.removal(seed: seed, &counts)
            counts.proposals += try LintProof.proposals(seed: seed)
        }
        if round % 10 == 0 {
            try DifferenceProof.mirror(seed: seed)
            try DifferenceProof.equivalents(seed: seed)
        }
    }
}
