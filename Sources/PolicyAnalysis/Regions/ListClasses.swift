// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy

/// The long lists of addresses of some policies, of either family, as classes of addresses (`AddressClasses`): with them a rule's region is
/// as short as one without lists. Which of the addresses that short criteria leave are of which class is asked only of what is left of a
/// region at the end.
struct ListClasses: Sendable {
    private struct Place: Hashable {
        let policy: Int
        let list: Int
    }

    private struct Family: Sendable {
        var classes: AddressClasses?
        var lists: [Place: NumberSet] = [:]
    }

    private var families = (v4: Family(), v6: Family())

    /// With more lists than this there may be as many classes as addresses.
    private static let mostLists = 1_000

    /// `few`: of lists with no more intervals the regions have the addresses themselves; nil: what is best.
    init(_ policies: [Policy], longerThan few: Int? = nil) {
        let few = few ?? ListSets.few
        var sets = policies.map { ListSets($0) }
        let places = policies.enumerated().flatMap { policy, each in
            each.usedAddressLists.map { Place(policy: policy, list: $0) }
        }
        func family(_ kind: PacketKind) -> Family {
            var family = Family()
            var (numbers, lists): ([NumberSet: Int], [NumberSet]) = ([:], [])
            var named: [(place: Place, number: Int)] = []
            for place in places {
                let set = sets[place.policy].addresses(place.list, of: kind)
                guard set.intervals.count > few else { continue }
                if numbers[set] == nil {
                    numbers[set] = lists.count
                    lists.append(set)
                }
                named.append((place, numbers[set] ?? 0))
            }
            guard !lists.isEmpty, lists.count <= Self.mostLists else { return family }
            let classes = AddressClasses(lists)
            let own = lists.map { classes.numbers(of: $0) }
            family.classes = classes
            for (place, number) in named { family.lists[place] = own[number] }
            return family
        }
        families = (family(.other4), family(.other6))
    }

    private func family(_ kind: PacketKind) -> Family { kind.isIPv4 ? families.v4 : families.v6 }

    /// nil: no list of this family is long.
    func classes(of kind: PacketKind) -> AddressClasses? { kind.isIP ? family(kind).classes : nil }

    /// The classes of a list's addresses; nil: it is not long. `policy`: its place among the policies.
    func classes(ofList list: Int, of policy: Int, _ kind: PacketKind) -> NumberSet? {
        family(kind).lists[Place(policy: policy, list: list)]
    }
}

extension Policy {
    /// The lists of addresses that its rules name, each once.
    fileprivate var usedAddressLists: [Int] {
        let criteria = document.rules.flatMap { [$0.source.addresses, $0.destination.addresses] }
        return Set(criteria.compactMap { $0?.value }).sorted()
    }
}
