// SPDX-License-Identifier: GPL-3.0-or-later

/// What is done with the rules that may match a subject, which arrive in groups of ascending rank.
protocol CandidateSearch {
    /// Rules from this rank on no longer matter.
    var limit: UInt32 { get }
    mutating func consider(
        _ rule: CompiledRule, rank: UInt32, _ subject: RuleSubject, _ lists: RuleLists)
}

/// The search for the first rule that matches.
struct FirstMatch: CandidateSearch {
    private(set) var limit = UInt32.max

    @inline(__always)
    mutating func consider(
        _ rule: CompiledRule, rank: UInt32, _ subject: RuleSubject, _ lists: RuleLists
    ) {
        if rule.matches(subject, lists) { limit = rank }
    }
}

/// The search for the first rule that matches a subject without transport fields for certain, and for the rules before
/// it that may match.
struct FirstCertainMatch: CandidateSearch {
    private(set) var limit = UInt32.max
    /// Rank of the first certain match, `UInt32.max` if there is none before `limit`.
    private(set) var certain = UInt32.max
    /// By raw value of the action: the first rule that may match.
    private var possible = InlineArray<5, UInt32>(repeating: .max)

    @inline(__always)
    mutating func consider(_ rule: CompiledRule, rank: UInt32, _ subject: RuleSubject, _ lists: RuleLists) {
        let action = Int(rule.action.rawValue)
        switch rule.partialMatch(subject, lists) {
        case .no: break
        case .certain:
            certain = rank
            limit = rank
        case .possible where rank < possible[action]:
            possible[action] = rank
            lowerLimit()
        case .possible: break
        }
    }

    /// Behind two rules of different actions that may match, nothing can settle the matter any more.
    private mutating func lowerLimit() {
        var first = UInt32.max
        var second = UInt32.max
        for action in possible.indices {
            if possible[action] < first {
                second = first
                first = possible[action]
            } else if possible[action] < second {
                second = possible[action]
            }
        }
        limit = min(limit, second)
    }

    /// Whether a rule of another action (of any, for nil) may match before the certain one.
    func mayBeOther(than action: RuleAction?) -> Bool {
        RuleAction.allCases.contains { $0 != action && possible[Int($0.rawValue)] < certain }
    }
}
