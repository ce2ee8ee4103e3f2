// SPDX-License-Identifier: GPL-3.0-or-later

package import FirewallPolicy

/// A sender as the rules of all policies tell senders apart, without what is a policy's own: units are named.
package struct NamedSender: Hashable, Sendable {
    package var user: UInt32
    package var group: UInt32
    package var units: Set<String>

    package init(user: UInt32, group: UInt32, units: Set<String> = []) {
        self.user = user
        self.group = group
        self.units = units
    }

    /// As a policy's rules see it.
    package func bits(in policy: Policy) -> UInt64 {
        var bits: UInt64 = 0
        for (place, name) in policy.units.enumerated() where units.contains(name) { bits |= 1 << UInt64(place) }
        return policy.senders(Sender(user: user, group: group, units: bits))
    }

    /// As `portreeve explain` takes it.
    package var options: String {
        "--sender-user \(user) --sender-group \(group)"
            + units.sorted().map { " --sender-unit \($0.quotedForShell)" }.joined()
    }

    package var text: String {
        "user \(user), group \(group)" + (units.isEmpty ? "" : ", \(units.sorted().joined(separator: ", "))")
    }
}

extension SenderCriteria {
    /// What the policy itself makes of it.
    func accepts(_ sender: NamedSender) -> Bool {
        if let users, users.value.contains(where: { $0.number == sender.user }) == users.isInverted { return false }
        if let groups, groups.value.contains(where: { $0.number == sender.group }) == groups.isInverted { return false }
        if let units, units.value.contains(where: sender.units.contains) == units.isInverted { return false }
        return true
    }
}

/// One sender for each way in which rules can tell them apart.
enum SenderClasses {
    /// More are not gone through.
    private static let most = 4_096

    /// The first is none: the packet of no process. Nil where there are too many.
    static func all(_ rules: [Rule]) -> [NamedSender?]? {
        let criteria = rules.map(\.sender).filter { !$0.isEmpty }
        if criteria.isEmpty { return [nil] }
        let users = classes(criteria.compactMap { $0.users?.value.map(\.number) })
        let groups = classes(criteria.compactMap { $0.groups?.value.map(\.number) })
        let units = Set(criteria.flatMap { $0.units?.value ?? [] }).sorted()
        guard units.count <= 12, users.count * groups.count << units.count < most else { return nil }
        let subsets = (0..<1 << units.count).map { bits in
            Set(units.indices.filter { bits >> $0 & 1 == 1 }.map { units[$0] })
        }
        return [nil]
            + users.flatMap { user in
                groups.flatMap { group in subsets.map { NamedSender(user: user, group: group, units: $0) } }
            }
    }

    /// A number for each combination of lists, and one that is in none: nobody's, if it can be.
    private static func classes(_ lists: [[UInt32]]) -> [UInt32] {
        let sets = lists.map(Set.init)
        let listed = Set(lists.joined())
        var other: UInt32 = 65_534
        while listed.contains(other) { other -= 1 }
        var known: Set<[Bool]> = [sets.map { _ in false }]
        var numbers = [other]
        for number in listed.sorted() where known.insert(sets.map { $0.contains(number) }).inserted {
            numbers.append(number)
        }
        return numbers
    }
}
