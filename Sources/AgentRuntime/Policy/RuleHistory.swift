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

    }

    /// The rules of a policy in their order, in memory of their own.
    private struct Rules: Hashable {
        let names: PackedTexts
        private let files: [String]
        private let places: [Place]

        private struct Place: Hashable {
            /// Index in `files`.
            let file: Int32
            /// 0 where the rule is built in.
            let line: Int32
        }

        var count: Int { names.count }

        init(_ rules: [Rule]) {
            names = PackedTexts(rules.map(\.name))
            var files: [String] = []
            var places: [Place] = []
            places.reserveCapacity(rules.count)
            for position in rules.lazy.map(\.position) {
                if files.last != position.file, !files.contains(position.file) { files.append(position.file) }
                let file = files.last == position.file ? files.count - 1 : files.firstIndex(of: position.file) ?? 0
                places.append(
                    Place(file: Int32(truncatingIfNeeded: file), line: Int32(truncatingIfNeeded: position.line)))
            }
            self.files = PackedTexts(files).texts
            self.places = places
        }

        subscript(index: Int) -> Entry {
            let place = places[index]
            let file = files[Int(place.file)]
            return Entry(name: names[index], place: place.line == 0 ? file : "\(file):\(place.line)")
        }
    }

    private struct Edition {
        let epoch: UInt32
        /// In the order of `Policy.rules`; shared with the edition before where nothing changed.
        let rules: Rules
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
        let rules = Rules(policy.rules)
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
        Set(editions.last { $0.epoch == epoch }?.rules.names.texts ?? [])
    }
}
