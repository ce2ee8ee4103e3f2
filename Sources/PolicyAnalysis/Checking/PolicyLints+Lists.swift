// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import PacketWire

extension PolicyLints {
    /// So many entries of lists are looked at, each with every rule that uses it.
    private static let mostEntries = 50_000

    /// Lists that are empty, or that nothing uses.
    var lists: [PolicyLint] {
        let document = policy.document
        let ends = document.rules.flatMap { [$0.source, $0.destination] }
        func look<Values: Collection>(
            _ lists: [NamedList<Values>], _ criterion: (EndpointCriteria) -> Criterion<Int>?,
            alsoUsed: Criterion<Int>? = nil
        ) -> [PolicyLint] {
            let uses = ends.compactMap(criterion) + (alsoUsed.map { [$0] } ?? [])
            let excluded = Set(uses.filter(\.isInverted).map(\.value))
            let used = Set(uses.map(\.value))
            let written = Set(lists.flatMap { $0.written?.names ?? [] })
            return lists.enumerated().compactMap { index, list in
                guard let name = list.name else { return nil }
                if list.values.isEmpty { return empty(list, name, isExcluded: excluded.contains(index)) }
                guard !used.contains(index), !written.contains(name) else { return nil }
                return PolicyLint(
                    "unused-list", at: list.position, "no rule uses the list \"\(name)\"",
                    cure: "remove it, or name it in a rule")
            }
        }
        return look(document.addressLists, \.addresses, alsoUsed: document.reconnaissance.ignored)
            + look(document.portLists, \.ports)
            + look(document.macLists, \.macs)
    }

    private func empty<Values>(_ list: NamedList<Values>, _ name: String, isExcluded: Bool) -> PolicyLint {
        let file = list.file.map { " (\($0))" } ?? ""
        let effect =
            isExcluded ? "and what \"not\" is said of is everybody" : "and rules that name it match nothing"
        return PolicyLint(
            "empty-list", at: list.position, "the list \"\(name)\" is empty\(file), \(effect)",
            cure: "fill it, or remove it and the rules that name it")
    }

    // MARK: - Entries without effect

    /// Entries of lists that could be left out, because rules before decide about all that they add: in every rule that has the list.
    func entriesWithoutEffect(_ rules: [Int32]) -> [PolicyLint] {
        var uses: [ListUse: [Int32]] = [:]
        for index in rules {
            for use in ListUse.all(of: rule(index)) { uses[use, default: []].append(index) }
        }
        var budget = Self.mostEntries
        let ordered = uses.sorted {
            ($0.value[0], $0.key.dimension.rawValue) < ($1.value[0], $1.key.dimension.rawValue)
        }
        return ordered.compactMap { use, rules in
            let count = use.count(policy)
            guard count > 1, count * rules.count <= budget, isUsedAlike(use, rules.count) else { return nil }
            budget -= count * rules.count
            let idle = use.entries(policy).filter { entry in rules.allSatisfy { isIdle(entry.set, use, $0) } }
            return idle.isEmpty || idle.count == count ? nil : lint(use, rules, idle.map(\.text))
        }
    }

    /// Whether no other rule has the list: one that is off, or elsewhere excluded.
    private func isUsedAlike(_ use: ListUse, _ count: Int) -> Bool {
        policy.document.rules.reduce(0) { $0 + ListUse.mentions(of: use, in: $1) } == count
    }

    private func isIdle(_ entry: NumberSet, _ use: ListUse, _ index: Int32) -> Bool {
        guard let ranked = ranked[rule(index).direction] else { return false }
        let purpose = Purpose(rule(index), policy)
        let parts = places(of: index).compactMap { place -> (RankedRegions.Place, Region)? in
            guard use.isOfKind(place.kind, entry), var region = purpose.narrowed(place.region) else { return nil }
            region.narrow(use.dimension, to: entry)
            return region.isEmpty ? nil : (place, region)
        }
        // It adds nothing that could pass: that is said of the rule, not of the entry.
        if parts.isEmpty { return false }
        if case .covered = RuleCover(index, parts, ranked, judge, budget: 10_000).answer() { return true }
        return false
    }

    private func lint(_ use: ListUse, _ rules: [Int32], _ idle: [String]) -> PolicyLint {
        let some = idle.prefix(5).joined(separator: ", ") + (idle.count > 5 ? " and \(idle.count - 5) more" : "")
        let name = use.name(policy)
        let list = name.map { "the list \"\($0)\"" } ?? "the \(use.key) of rule \"\(rule(rules[0]).name)\""
        let what = name == nil || rules.count == 1 ? "" : " in any of the \(rules.count) rules that have it"
        return PolicyLint(
            "idle-entry", .note, at: name == nil ? rule(rules[0]).position : use.position(policy),
            "\(some) in \(list) \(idle.count == 1 ? "has" : "have") no effect\(what): rules before decide about all of it",
            cure: "leave \(idle.count == 1 ? "it" : "them") out, or narrow the rules before")
    }
}

/// A list as a criterion that is not inverted.
struct ListUse: Hashable {
    let dimension: Dimension
    let list: Int

    static func all(of rule: Rule) -> [ListUse] {
        criteria(of: rule).compactMap { dimension, criterion in
            guard let criterion, !criterion.isInverted else { return nil }
            return ListUse(dimension: dimension, list: criterion.value)
        }
    }

    /// How often a rule names the list, as whatever.
    static func mentions(of use: ListUse, in rule: Rule) -> Int {
        let isPort = use.dimension == .sourcePort || use.dimension == .destinationPort
        return criteria(of: rule).count { dimension, criterion in
            (dimension == .sourcePort || dimension == .destinationPort) == isPort && criterion?.value == use.list
        }
    }

    private static func criteria(of rule: Rule) -> [(Dimension, Criterion<Int>?)] {
        [
            (.source, rule.source.addresses), (.destination, rule.destination.addresses),
            (.sourcePort, rule.source.ports), (.destinationPort, rule.destination.ports),
        ]
    }

    private var isPort: Bool { dimension == .sourcePort || dimension == .destinationPort }

    func count(_ policy: Policy) -> Int {
        isPort ? policy.document.portLists[list].values.count : policy.document.addressLists[list].values.count
    }

    func name(_ policy: Policy) -> String? {
        isPort ? policy.document.portLists[list].name : policy.document.addressLists[list].name
    }

    func position(_ policy: Policy) -> SourcePosition {
        isPort ? policy.document.portLists[list].position : policy.document.addressLists[list].position
    }

    /// "source addresses".
    var key: String {
        switch dimension {
        case .source: "source addresses"
        case .destination: "destination addresses"
        case .sourcePort: "source ports"
        default: "destination ports"
        }
    }

    func entries(_ policy: Policy) -> [(set: NumberSet, text: String)] {
        if isPort {
            return policy.document.portLists[list].values.map { range in
                let set = NumberSet(UInt128(range.first)...UInt128(range.last))
                return (set, range.first == range.last ? "\(range.first)" : "\(range.first)-\(range.last)")
            }
        }
        return policy.document.addressLists[list].values.map { range in
            let isIPv4 = range.first.isMappedV4 && range.last.isMappedV4
            let ends =
                isIPv4 ? (UInt128(range.first.v4), UInt128(range.last.v4)) : (range.first.number, range.last.number)
            let set = NumberSet(ends.0...ends.1)
            return (set, set.addressText(isIPv4: isIPv4))
        }
    }

    /// Whether an entry can be one of packets of a kind: addresses of either family are the same numbers.
    func isOfKind(_ kind: PacketKind, _ entry: NumberSet) -> Bool {
        isPort || kind.isIPv4 == (entry.last ?? 0 <= UInt128(UInt32.max))
    }
}
