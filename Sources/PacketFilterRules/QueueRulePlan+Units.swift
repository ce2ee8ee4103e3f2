// SPDX-License-Identifier: GPL-3.0-or-later

package import FirewallPolicy

/// How packets of units are known before they come to the queue: the kernel knows the control group of each socket, and no message
/// of a queue tells it. So rules set a bit of the packet's mark for each unit that the policy names.
///
/// They stand in the raw table: a mark that changes in mangle OUTPUT has the packet's route looked up anew. All bits are cleared
/// first, whatever a program has set.
///
/// The kernel looks for the control group when the rule is made, and the rule goes with that group: systemd makes another one when
/// the unit is started again. `portreeve iptables --units` makes the rules anew then.
extension QueueRulePlan {
    /// The same where rules that are in place go on: a unit keeps its bit, and one that comes gets a bit that stands for nothing yet,
    /// as long as there is one.
    package mutating func keepUnits(of own: OwnRules) {
        let inPlace = own.unitMarks
        var free = unitBits.filter { bit in !inPlace.contains { $0.bit == bit } }
        let kept = inPlace.filter { mark in unitMarks.contains { $0.unit == mark.unit } && unitBits.contains(mark.bit) }
        free += unitBits.filter { bit in !free.contains(bit) && !kept.contains { $0.bit == bit } }
        unitMarks = unitMarks.compactMap { mark in
            if let old = kept.first(where: { $0.unit == mark.unit }) { return old }
            return free.isEmpty ? nil : UnitMark(unit: mark.unit, bit: free.removeFirst())
        }
    }

    /// The units that have no rule because they have no control group: they do not run.
    package var unitsWithoutGroup: [String] { unitMarks.map(\.unit).filter { controlGroups[$0] == nil } }

    func addUnits(to rules: inout OwnRules) {
        guard !unitMarks.isEmpty else { return }
        let all = unitBits.reduce(0, |)
        let known = unitMarks.compactMap { mark in
            // In the quotes in which iptables prints it.
            controlGroups[mark.unit].map {
                "-m cgroup --path \($0.quotedForIPTables) -j MARK --set-xmark \(Self.word(mark.bit, mark.bit))"
            }
        }
        rules.add(
            .init(name: OwnRules.unitChain, rules: ["-j MARK --set-xmark \(Self.word(0, all))"] + known), from: .output,
            in: OwnRules.raw)
    }

    private static func word(_ value: UInt32, _ mask: UInt32) -> String {
        "0x" + String(value, radix: 16) + "/0x" + String(mask, radix: 16)
    }
}

extension OwnRules {
    static let raw = "raw"
    package static let unitChain = "PORTREEVE-UNIT"
    private static let pathOption = "--path"

    /// By which bits units are known.
    package var unitMarks: [UnitMark] {
        let chains = tables.flatMap(\.chains).filter { $0.name == Self.unitChain }
        return chains.flatMap(\.rules).compactMap { rule in
            let words = rule.split(separator: " ").map(String.init)
            guard let path = words.value(after: Self.pathOption), let mark = words.value(after: "--set-xmark"),
                let bit = mark.split(separator: "/").first.flatMap({ UInt32($0.dropFirst(2), radix: 16) }),
                let name = path.split(separator: "/").last
            else { return nil }
            return UnitMark(unit: String(name), bit: bit)
        }
    }

    /// The control groups that rules name.
    package var controlGroups: [String] {
        tables.flatMap(\.chains).flatMap(\.rules).compactMap(Self.controlGroup)
    }

    /// The same without the rules for control groups that are none of these: the kernel takes no rule for one that is not there.
    package func withoutControlGroups(but present: Set<String>) -> OwnRules {
        var own = self
        for table in own.tables.indices {
            for chain in own.tables[table].chains.indices {
                own.tables[table].chains[chain].rules.removeAll { rule in
                    Self.controlGroup(rule).map { !present.contains($0) } ?? false
                }
            }
        }
        return own
    }

    private static func controlGroup(_ rule: String) -> String? {
        rule.split(separator: " ").map(String.init).value(after: pathOption)
    }

    /// The rules by which units are known, of these; all else of the other.
    package func withUnits(of other: OwnRules) -> OwnRules {
        var own = self
        for (place, table) in other.tables.enumerated() where table.name == Self.raw { own.tables[place] = table }
        return own
    }
}

extension [String] {
    fileprivate func value(after word: String) -> String? {
        guard let place = firstIndex(of: word), indices.contains(place + 1) else { return nil }
        return self[place + 1].withoutQuotes
    }
}

extension String {
    /// In the quotes of `iptables-save`, in which a quotation mark and a backslash have a backslash before them: the slice of
    /// "wg-quick@wg0.service" has one in its name.
    package var quotedForIPTables: String {
        var quoted = "\""
        for character in self {
            if "\\\"'".contains(character) { quoted.append("\\") }
            quoted.append(character)
        }
        return quoted + "\""
    }

    /// What stands in such quotes.
    fileprivate var withoutQuotes: String {
        var plain = ""
        var isEscaped = false
        for character in self {
            if !isEscaped, character == "\\" {
                isEscaped = true
            } else {
                if isEscaped || character != "\"" { plain.append(character) }
                isEscaped = false
            }
        }
        return plain
    }
}
