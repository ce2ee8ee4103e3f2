// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
package import ConnectionTracking
package import FirewallPolicy
import PacketWire
import PolicyFile

extension PolicyDifference {
    /// Parts on which the same rules decide, before and after.
    package struct Group: Sendable {
        package let first: Part
        package fileprivate(set) var count: Int
    }

    /// In the order in which they were found.
    package var groups: [Group] {
        var groups: [Group] = []
        var places: [String: Int] = [:]
        for part in parts {
            let key = "\(part.direction) \(part.old) \(part.new) \(part.oldEffect) \(part.newEffect)"
            if let place = places[key] {
                groups[place].count += 1
            } else {
                places[key] = groups.count
                groups.append(Group(first: part, count: 1))
            }
        }
        return groups
    }

    /// Paths of the settings that differ, with both values.
    package var settings: [(path: String, old: String?, new: String?)] {
        let (before, after) = (PolicyFile.values(of: old.document), PolicyFile.values(of: new.document))
        return Set(before.keys).union(after.keys).sorted().filter { before[$0] != after[$0] }
            .map { ($0, before[$0], after[$0]) }
    }

    /// Rules of the same name whose `reply` differs: what they decide is compared apart.
    package var replies: [(rule: String, old: Reply, new: Reply)] {
        let before = Dictionary(old.document.rules.map { ($0.name, $0.reply) }) { first, _ in first }
        return new.document.rules.compactMap { rule in
            before[rule.name].flatMap { $0 == rule.reply ? nil : (rule.name, $0, rule.reply) }
        }
    }

    /// A rule of the same name whose rate differs.
    package struct ChangedRate: Hashable, Sendable {
        package let rule: String
        package let old: OpeningRate
        package let new: OpeningRate

        /// At once, or in the long run.
        package var admitsMore: Bool { new.count > old.count || new.isFaster(than: old) }
        package var admitsLess: Bool { new.count < old.count || old.isFaster(than: new) }
    }

    /// Rules of the same name with another rate: what has one in one policy alone is among the parts.
    package var rates: [ChangedRate] {
        let before = Dictionary(old.document.rules.map { ($0.name, $0.rate) }) { first, _ in first }
        return new.document.rules.compactMap { rule in
            guard let was = before[rule.name] ?? nil, let rate = rule.rate, was != rate else { return nil }
            return ChangedRate(rule: rule.name, old: was, new: rate)
        }
    }

    private static let mostTold = 3
    private static let longestText = 160

    /// In one line: the verdict, how many regions of packets fare otherwise, the first of them, and the settings that differ.
    package var summary: String {
        let groups = groups
        var text = conclusion
        if !parts.isEmpty {
            text += "; \(parts.count) region\(parts.count == 1 ? "" : "s") of packets: "
            text += groups.prefix(Self.mostTold).map { line(of: $0.first) }.joined(separator: "; ")
            if groups.count > Self.mostTold { text += "; and \(groups.count - Self.mostTold) more" }
        }
        let changed = settings
        if !changed.isEmpty {
            let told = changed.prefix(Self.mostTold).map { "\($0.path) \($0.old ?? "-") -> \($0.new ?? "-")" }
            text += "; settings: \(told.joined(separator: ", "))"
            if changed.count > Self.mostTold { text += " and \(changed.count - Self.mostTold) more" }
        }
        return text
    }

    private func line(of part: Part) -> String {
        let packets = part.text.count > Self.longestText ? part.text.prefix(Self.longestText) + "…" : part.text[...]
        return "\(part.direction.word) \(packets): \(part.oldEffect.text), \(part.old.deciding(in: old)) -> "
            + "\(part.newEffect.text), \(part.new.deciding(in: new))"
    }
}

extension RuleDecision {
    /// What decides: "allow by policy.yaml:7:5 "Web"".
    package func deciding(in policy: Policy) -> String {
        if rule >= 0, policy.rules.indices.contains(Int(rule)) {
            let rule = policy.rules[Int(rule)]
            return "\(rule.action.word) by \(rule.place)"
        }
        return outcome == .implicitDeny ? "no rule admits it" : "no rule decides"
    }
}

extension OpeningRate {
    /// Whether it admits more in the long run.
    fileprivate func isFaster(than other: OpeningRate) -> Bool {
        Int64(count) * (other.span.nanoseconds / 1_000_000_000) > Int64(other.count)
            * (span.nanoseconds / 1_000_000_000)
    }
}
