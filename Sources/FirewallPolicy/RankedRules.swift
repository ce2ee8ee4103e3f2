// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// Rules of one direction in the order in which they are asked: rank 0 first.
struct RankedRules: Sendable {
    private let rules: [CompiledRule]

    /// - Parameter rules: in the order in which they are asked.
    init(_ rules: [CompiledRule]) {
        self.rules = rules
    }

    var isEmpty: Bool { rules.isEmpty }

    /// The rule of a rank that a search has found.
    func rule(at rank: UInt32) -> CompiledRule { rules[Int(rank)] }

    /// Shows a search the rules that may match.
    @inline(__always)
    func search<Search: CandidateSearch>(
        _ search: inout Search, _ subject: RuleSubject, _ lists: RuleLists
    ) {
        for rank in rules.indices where rank < search.limit {
            search.consider(rules[rank], rank: UInt32(truncatingIfNeeded: rank), subject, lists)
        }
    }
}
