// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy

/// The names of the rules of the policies that were in force. A connection says the number of the rule that admitted it,
/// which means another rule, or none, in a later policy.
struct RuleHistory: Sendable {
    /// A rule as it stood in its policy.
    struct Entry: Hashable, Sendable {
        let name: String
        /// File and line, or that it is built in.
        let place: String

        init(_ rule: Rule) {
            name = rule.name
            place = rule.position.line == 0 ? rule.position.file : "\(rule.position.file):\(rule.position.line)"
        }
    }

    private struct Edition {
        let epoch: UInt32
        /// In the order of `Policy.rules`; shared with the edition before where nothing changed.
        let rules: [Entry]
    }

    /// The newest last.
    private var editions: [Edition] = []

    private let editionsKept: Int
    private let rulesKept: Int

    /// - Parameters:
    ///   - editionsKept: how many policies are remembered at most.
    ///   - rulesKept: how many rules of all but the newest.
    init(editionsKept: Int = 256, rulesKept: Int = 100_000) {
        self.editionsKept = editionsKept
        self.rulesKept = rulesKept
    }

    /// Adds the policy that comes into force, unless it is here already. The oldest ones go where they are too many.
    mutating func register(_ policy: Policy) {
        guard !editions.contains(where: { $0.epoch == policy.epoch }) else { return }
        let rules = policy.rules.map(Entry.init)
        let last = editions.last?.rules
        editions.append(Edition(epoch: policy.epoch, rules: rules == last ? last ?? rules : rules))
        while editions.count > editionsKept || isTooLong { editions.removeFirst() }
    }

    private var isTooLong: Bool {
        editions.count > 1 && editions.dropLast().reduce(0) { $0 + $1.rules.count } > rulesKept
    }

    /// The rule of that number in the policy of that epoch; nil where the policy has no such rule or is not remembered.
    func rule(_ index: Int32, epoch: UInt32) -> Entry? {
        guard index >= 0, let edition = editions.last(where: { $0.epoch == epoch }),
            Int(index) < edition.rules.count
        else { return nil }
        return edition.rules[Int(index)]
    }

    /// The names of a policy's rules.
    func names(epoch: UInt32) -> Set<String> {
        Set(editions.last { $0.epoch == epoch }?.rules.map(\.name) ?? [])
    }
}
