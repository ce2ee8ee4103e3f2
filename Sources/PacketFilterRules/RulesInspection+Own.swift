// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy

// The rules that `portreeve iptables --apply` made are those of the policy, and not of an earlier one. Queue rules without
// conditions of their own are judged with those of others (`RulesInspection+Queues`).

/// A rule of ours as its program prints it, and by what it is compared.
private struct OwnLine: Hashable {
    let text: String
    let place: String
    /// iptables prints lists such as "NEW,ESTABLISHED" in an order of its own.
    let words: [String]

    init(_ rule: String, place: String) {
        text = "\(place): \(rule)"
        self.place = place
        words = rule.split(separator: " ").map { $0.split(separator: ",").sorted().joined(separator: ",") }
    }

    static func == (a: OwnLine, b: OwnLine) -> Bool { a.place == b.place && a.words == b.words }

    func hash(into hasher: inout Hasher) {
        hasher.combine(place)
        hasher.combine(words)
    }

    /// Whether it is about flows that the kernel accepts by their connection marks.
    var isOffload: Bool {
        let ofMarks: Set = [
            "connmark", "CONNMARK", OwnRules.incomingMarksChain, OwnRules.outgoingMarksChain,
        ]
        return words.contains(where: ofMarks.contains) || feedsQueue
    }

    /// Whether it is about what a program in the kernel lets pass.
    var isFastPath: Bool { words.contains(OwnRules.programOption) }

    /// Whether it is about the marks of units.
    var isOfUnits: Bool {
        words.contains(OwnRules.unitChain) || place.hasSuffix(" \(OwnRules.raw)")
    }

    /// Whether it is about the kernel's own refusals (`QueueRulePlan.refusal`).
    var isOfRefusals: Bool { words.contains("RELATED") && words.contains("RETURN") }

    /// Whether it does nothing but give packets to a queue, or choose which.
    var isPlainQueueRule: Bool { (feedsQueue || words.contains(OwnRules.acquaintances)) && !words.contains("-i") }

    private var feedsQueue: Bool { words.contains("NFQUEUE") || words.contains(OwnRules.queueChain) }
}

/// The own rules of one rule set, and those that the policy asks for.
private struct OwnComparison {
    var inPlace: [OwnLine]
    var planned: [OwnLine]
    /// Those that do no harm beside them.
    var tolerated: [OwnLine] = []

    var leftover: [OwnLine] { inPlace.filter { !planned.contains($0) && !tolerated.contains($0) } }
    var absent: [OwnLine] { planned.filter { !inPlace.contains($0) } }
}

extension RulesInspection {
    /// Rules that let packets past the queue otherwise than the policy says.
    var leftoverRules: [Finding] {
        let leftover = comparisons.flatMap(\.leftover)
        let lines = leftover.filter { !$0.isFastPath && !$0.isOfUnits }
        return [
            Self.finding(
                .misfit,
                "rules in place tell units apart by marks that the policy has no use for, or units that do not run",
                leftover.filter(\.isOfUnits), cure: "run \"portreeve iptables --units\""),
            Self.finding(
                .misfit, "rules in place ask the program of a fast path that the policy does not have",
                leftover.filter(\.isFastPath)),
            Self.finding(
                .refusal,
                "rules in place have the kernel accept flows otherwise than the policy's \"offload: true\" says",
                lines.filter(\.isOffload)),
            Self.finding(
                .refusal, "rules in place let packets past the queue that the policy does not ignore",
                lines.filter { !$0.isOffload }),
        ].compactMap { $0 }
    }

    /// Rules of the policy that are not in place: the agent judges, or passes, what the kernel could have passed.
    var absentRules: [Finding] {
        let absent = comparisons.flatMap(\.absent)
        let refusals = absent.filter(\.isOfRefusals)
        let lines = absent.filter { !$0.isOfRefusals && !$0.isFastPath && !$0.isOfUnits }
        return [
            Self.finding(
                .refusal,
                "rules are missing by which the policy's units are known: no rule for these units matches anything",
                absent.filter(\.isOfUnits), cure: "run \"portreeve iptables --units\""),
            Self.finding(
                policy.engine.fastPath == .on ? .misfit : .advice,
                "rules are missing by which established connections pass in the kernel (engine.fast-path): all packets come to "
                    + "the agent", absent.filter(\.isFastPath)),
            Self.finding(
                .misfit,
                "rules are missing by which the kernel's own refusals (REJECT, TTL exceeded) pass before the queue: where "
                    + "connections are tracked, the kernel drops them", refusals),
            Self.finding(
                .misfit,
                "rules are missing by which the kernel accepts the policy's \"offload: true\" flows: all of their packets "
                    + "go on to the agent", lines.filter(\.isOffload)),
            Self.finding(
                .misfit,
                "rules are missing by which packets that the policy ignores pass before the queue: they come to the agent, "
                    + "which passes them", lines.filter { !$0.isOffload }),
        ].compactMap { $0 }
    }

    /// A unit that was started again since its rule was made.
    var staleUnits: [Finding] {
        let named = Set(rulesets.flatMap { OwnRules(in: $0).controlGroups })
        let stale = named.intersection(host.staleGroups).sorted()
        return stale.map { path in
            Finding(
                .refusal,
                "the rule for the control group \(path) means one that is gone, for its unit was started again: no "
                    + "rule for this unit matches anything",
                cure: "run \"portreeve iptables --units\", best as ExecStartPre=-+ of the unit"
            )
        }
    }

    /// Who writes rules by hand may do without offload, knowingly.
    var absentOffload: [Finding] {
        guard !policy.offloadedDirections.isEmpty, policy.queue.family == .ip else { return [] }
        let isOwn = rulesets.contains { !OwnRules(in: $0).isEmpty || $0.namesProgramsOfFastPath }
        guard !isOwn, !rulesets.contains(where: \.comparesConnectionMarks), !nftables.comparesConnectionMarks else {
            return []
        }
        return [
            Finding(
                .advice,
                "the policy has \"offload: true\", but no rule accepts packets by their connection mark: all packets of "
                    + "such flows go on to the agent",
                cure:
                    "run \"portreeve iptables --apply\", or add the rules with connmark and CONNMARK that \"portreeve "
                    + "iptables --print\" shows")
        ]
    }

    private static func finding(
        _ severity: Finding.Severity, _ text: String, _ lines: [OwnLine],
        cure: String = "run \"portreeve iptables --apply\""
    ) -> Finding? {
        lines.isEmpty ? nil : Finding(severity, text, lines.map(\.text), cure: cure)
    }

    /// Of each rule set that has own rules.
    private var comparisons: [OwnComparison] {
        guard policy.queue.family == .ip else { return frameComparisons }
        return rulesets.compactMap { ruleset in
            let own = OwnRules(in: ruleset).unmarked
            guard !own.isEmpty else { return nil }
            // An earlier release put all of them into mangle; whether that is right is another question (`wrongSides`).
            let isInMangle = own.tables.contains { $0.name == OwnRules.mangle && $0.isOutgoing }
            func lines(hasProgram: Bool) -> [OwnLine] {
                var plan = QueueRulePlan(
                    policy, incoming: own.isEarly ? .prerouting : .input, outgoing: isInMangle ? .mangle : .security,
                    hasProgram: hasProgram)
                plan.controlGroups = host.controlGroups
                plan.keepUnits(of: own)
                // Those of an earlier release have one range, which is another question too (`sharedQueues`).
                if !own.separatesFloods { plan.queues = QueueLayout(together: plan.queues.established) }
                return Self.lines(plan.rules(for: ruleset.family), ruleset.command)
            }
            // A host that has no program offloads by marks what it can; and marks beside the program offload no more than the policy says.
            let with = lines(hasProgram: true)
            let without = lines(hasProgram: false)
            let isComplete = own.nameProgramsOfFastPath || policy.engine.fastPath == .off
            return OwnComparison(
                inPlace: Self.lines(own, ruleset.command),
                planned: isComplete ? with : without + with.filter(\.isFastPath), tolerated: without.filter(\.isOffload)
            )
        }
    }

    private var frameComparisons: [OwnComparison] {
        nftables.tables.filter(\.isOwnBridgeTable).map { table in
            let place = "nft bridge \(table.name) forward"
            let rules = table.chains.flatMap(\.rules).filter { $0.queueStatement == nil }
            return OwnComparison(
                inPlace: rules.map { OwnLine($0.line, place: place) },
                planned: BridgeTable.exceptions(policy).map { OwnLine($0, place: place) })
        }
    }

    private static func lines(_ own: OwnRules, _ command: String) -> [OwnLine] {
        own.tables.flatMap { table in
            table.lines.filter {
                $0.hasPrefix("-A PORTREEVE-") || $0.contains(" -j PORTREEVE-MARK-")
                    || $0.contains(" -j \(OwnRules.unitChain)")
            }.map {
                OwnLine($0, place: "\(command) \(table.name)")
            }
        }.filter { !$0.isPlainQueueRule }
    }
}

extension SavedRuleset {
    fileprivate var namesProgramsOfFastPath: Bool {
        tables.contains { $0.chains.contains { $0.rules.contains { $0.line.contains(OwnRules.programOption) } } }
    }

    fileprivate var comparesConnectionMarks: Bool {
        tables.contains { $0.chains.contains { $0.rules.contains { $0.modules.contains("connmark") } } }
    }
}

extension NFTablesRuleset {
    fileprivate var comparesConnectionMarks: Bool {
        tables.contains { $0.chains.contains { $0.rules.contains(where: \.comparesConnectionMarks) } }
    }
}

extension NFRule {
    fileprivate var comparesConnectionMarks: Bool {
        zip(words, words.dropFirst()).contains { $0 == ("ct", "mark") }
    }
}
