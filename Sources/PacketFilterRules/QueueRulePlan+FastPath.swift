// SPDX-License-Identifier: GPL-3.0-or-later

extension QueueRulePlan {
    /// Before all others: what the program in the kernel lets pass goes on to the next hook, as what the agent lets pass and what
    /// other rules leave alone does. One rule for every protocol and interface, since packets of known flows pay for each rule
    /// that is asked before; what is of no flow that the agent has put there costs a look-up more.
    func fastPath(_ family: AddressFamily) -> [String] {
        guard let directory = fastPathDirectory else { return [] }
        let program = "\(directory)/\(family == .ipv4 ? "fast4" : "fast6")"
        return ["-m bpf --object-pinned \(program) -j RETURN"]
    }
}

extension OwnRules {
    /// What is before the name of a program in a rule.
    static let programOption = "--object-pinned"

    /// Whether rules name programs, which have to be there first.
    package var nameProgramsOfFastPath: Bool {
        tables.contains { table in table.chains.contains { $0.rules.contains(where: Self.namesProgram) } }
    }

    /// The same without the rules that name programs: their packets go on to the queue.
    var withoutPrograms: OwnRules {
        var own = self
        for table in own.tables.indices {
            for chain in own.tables[table].chains.indices {
                own.tables[table].chains[chain].rules.removeAll(where: Self.namesProgram)
            }
        }
        return own
    }

    private static func namesProgram(_ rule: String) -> Bool {
        rule.split(separator: " ").contains { word in word == programOption }
    }
}

extension OwnRulesets {
    /// The same without the rules that name programs.
    package var withoutPrograms: OwnRulesets {
        var without = self
        for (family, own) in families { without.families[family] = own.withoutPrograms }
        return without
    }
}
