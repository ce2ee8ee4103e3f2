// SPDX-License-Identifier: GPL-3.0-or-later

package import FirewallPolicy

/// What the log tells of one policy: the agent registers it before the first event of that policy comes.
package struct PolicyNames: Sendable {
    package var epoch: UInt32
    package var mode: Mode
    /// In the order of `Policy.rules`, which `Event.rule` indexes; in memory of their own, as they outlive the policy.
    private let names: PackedTexts
    private let traits: [Traits]

    private struct Traits {
        let action: RuleAction
        let priority: UInt8
        let position: SourcePosition
    }

    /// Settings as canonical text, by full path; what is missing is named without its value.
    package var values: [String: String]

    /// `rules` are those of the compiled policy, built-in ones included; `values` its settings as text, by full path.
    package init(epoch: UInt32, mode: Mode, rules: [Rule], values: [String: String] = [:]) {
        self.epoch = epoch
        self.mode = mode
        names = PackedTexts(rules.map(\.name))
        traits = rules.map { Traits(action: $0.action, priority: $0.priority, position: $0.position) }
        self.values = values
    }

    /// `nil` also for an index that the policy does not have.
    package func rule(_ index: Int32) -> RuleName? {
        guard index >= 0, Int(index) < traits.count else { return nil }
        let traits = traits[Int(index)]
        return RuleName(
            name: names[Int(index)], action: traits.action, priority: traits.priority, position: traits.position)
    }
}

/// What the log tells of one rule.
package struct RuleName: Sendable, Hashable {
    package var name: String
    package var action: RuleAction
    package var priority: UInt8
    /// Where the rule stands; without a file for a built-in rule.
    package var position: SourcePosition
}

/// The names of the last few policies, because events of an older one may still be under way at a reload.
package struct PolicyHistory: Sendable {
    /// Newest last.
    private var policies: [PolicyNames] = []

    package static let kept = 8

    package init() {}

    /// Adds a policy, or replaces the one of the same epoch.
    package mutating func register(_ names: PolicyNames) {
        policies.removeAll { $0.epoch == names.epoch }
        policies.append(names)
        if policies.count > PolicyHistory.kept { policies.removeFirst() }
    }

    /// `nil` where it was never registered, or too long ago.
    package subscript(epoch: UInt32) -> PolicyNames? { policies.last { $0.epoch == epoch } }
}

/// Names of network interfaces by kernel index, as they are now.
package struct InterfaceNames: Sendable {
    package var names: [UInt32: String]

    package init(_ names: [UInt32: String] = [:]) { self.names = names }

    /// `nil` for 0, which is no interface; an interface that is gone has its number for a name.
    package subscript(index: UInt32) -> String? { index == 0 ? nil : names[index] ?? "if\(index)" }
}
