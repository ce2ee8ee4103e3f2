// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy

extension PolicyLints {
    /// Rules that follow one another and could be one: they do the same, rank alike, and differ in one list alone. What the one with both
    /// lists matches is what either does, and equal actions of one priority are asked in any order; so merging them changes no decision.
    func mergeable(_ rules: [Int32]) -> [PolicyLint] {
        zip(rules, rules.dropFirst()).compactMap { first, second in
            let (one, other) = (rule(first), rule(second))
            guard second == first + 1, let difference = one.onlyDifference(from: other, policy.document) else {
                return nil
            }
            return PolicyLint(
                "mergeable", .note, at: other.position,
                "rule \"\(other.name)\" could be one with \"\(one.name)\" (\(one.place)): they differ in their \(difference) alone",
                cure: "give one of them the \(difference) of both, and remove the other one")
        }
    }
}

extension Rule {
    private typealias List = (name: String, path: WritableKeyPath<Rule, Criterion<Int>?>, areSame: (Int, Int) -> Bool)

    /// In what criterion alone two rules differ, where one rule can have the values of both.
    fileprivate func onlyDifference(from other: Rule, _ document: PolicyDocument) -> String? {
        // The same values may be written down twice.
        func same<Value: Equatable>(_ lists: [NamedList<[Value]>]) -> (Int, Int) -> Bool {
            { $0 == $1 || lists[$0].values == lists[$1].values }
        }
        let (addresses, ports, macs) = (same(document.addressLists), same(document.portLists), same(document.macLists))
        let lists: [List] = [
            ("source addresses", \.source.addresses, addresses), ("source ports", \.source.ports, ports),
            ("source macs", \.source.macs, macs), ("destination addresses", \.destination.addresses, addresses),
            ("destination ports", \.destination.ports, ports), ("destination macs", \.destination.macs, macs),
        ]
        var same = other
        var differing: [List] = []
        for list in lists {
            let (mine, theirs) = (self[keyPath: list.path], other[keyPath: list.path])
            let isSame =
                if let mine, let theirs {
                    mine.isInverted == theirs.isInverted && list.areSame(mine.value, theirs.value)
                } else {
                    mine == nil && theirs == nil
                }
            if !isSame { differing.append(list) }
            same[keyPath: list.path] = mine
        }
        (same.name, same.position, same.comment) = (name, position, comment)
        guard same == self, differing.count == 1, let difference = differing.first,
            self[keyPath: difference.path]?.isInverted == false, other[keyPath: difference.path]?.isInverted == false
        else { return nil }
        return difference.name
    }
}
