// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
package import FirewallPolicy
import PacketWire
package import PolicyFile

/// Another text of one criterion of a rule, with which a packet passes; it was tried.
package struct CriterionChange: Hashable, Sendable {
    /// The rule, by its place and name.
    package let rule: String
    /// "source.addresses".
    package let criterion: String
    package let edit: PolicyEdit
}

extension ChangeSearch {
    /// Where the policy's own text can be changed and tried.
    package struct Text {
        let sources: [(name: String, text: [UInt8])]
        let reread: (_ sources: [(name: String, text: [UInt8])]) -> PolicyDocument?

        /// `reread`: the policy with these files in the place of its own; nil where that is no policy.
        package init(
            _ sources: [(name: String, text: [UInt8])],
            reread: @escaping (_ sources: [(name: String, text: [UInt8])]) -> PolicyDocument?
        ) {
            self.sources = sources
            self.reread = reread
        }
    }

    /// So many rules are tried, those that are asked first before others.
    private static let mostRules = 8

    /// The criterion of one rule that alone keeps a refused packet from passing, written so that it does not; nil where there is none, or
    /// where packets would pass with it that would not with the rule that could be added instead: then that one is the smaller change.
    package func toPass(_ explanation: Explanation, within text: Text, beside change: Change?) -> CriterionChange? {
        guard let refusal = explanation.refusal, refusal.remedy.causes.count == 1,
            let cause = refusal.remedy.causes.first, let subject = explanation.ruling?.subject
        else { return nil }
        let trials: [RuleTrial]
        switch cause {
        case .denyRule: trials = []
        case .noAllowRule, .udpAdmit, .icmpAdmit:
            trials = explanation.nearMisses(of: subject, before: -1).filter {
                [.allow, .forceAllow].contains(explanation.policy.rules[Int($0.rule)].action)
            }
        default: return nil
        }
        let value = PacketCriteria(subject, interface: explanation.interfaceName)
        let widened = trials.prefix(Self.mostRules).lazy.compactMap { trial in
            value[trial.missed].flatMap { self.change(trial.rule, $0, true, explanation, text, change) }
        }.first
        if widened != nil || cause != .denyRule { return widened }
        return value.all.lazy.compactMap {
            self.change(refusal.remedyRule, $0, false, explanation, text, change)
        }.first
    }

    private func change(
        _ rule: Int32, _ value: PacketCriteria.Value, _ isTaken: Bool, _ explanation: Explanation, _ text: Text,
        _ other: Change?
    ) -> CriterionChange? {
        guard let old = explanation.rule(rule), !old.isBuiltIn,
            let edit = PolicyFile.edit(
                value.path, ofRuleAt: old.position, taking: value.value, isTaken, in: text.sources),
            let after = text.reread(edit.applied(to: text.sources)),
            explanation.policy.document.differs(from: after, onlyInRule: Int(rule)),
            isSmaller(rule, explanation.policy, after, isTaken, other),
            let policy = try? Policy(after, epoch: Self.epoch),
            let outcome = judge(policy), outcome.passes == true, outcome.refusal == nil
        else { return nil }
        return CriterionChange(rule: old.place, criterion: value.path.joined(separator: "."), edit: edit)
    }

    /// Whether the rule that could be added instead matches all that the changed rule does now and did not before, or the other way round.
    private func isSmaller(
        _ rule: Int32, _ before: Policy, _ after: PolicyDocument, _ isTaken: Bool, _ other: Change?
    ) -> Bool {
        guard let other else { return true }
        guard let added = reread(other.file), added.rules.count == after.rules.count + 1, let last = added.rules.last,
            let others = try? [after, added].map({ try Policy($0, epoch: Self.epoch) })
        else { return false }
        let changed = after.rules[Int(rule)]
        let isWeaker = changed.action.rawValue >= last.action.rawValue && changed.priority <= last.priority
        let policies = [before] + others
        guard !isTaken || isWeaker, let universe = PacketUniverse(policies, last.direction, moments: []) else {
            return false
        }
        func region(_ rule: Rule, _ place: Int, _ kind: PacketKind) -> Region? {
            var (lists, timeless) = (ListSets(policies[place]), rule)
            timeless.schedule = nil
            return Region(timeless, of: kind, in: universe, place: place, &lists, policies[place])
        }
        return universe.kinds.allSatisfy { kind in
            let (old, new) = (region(before.rules[Int(rule)], 0, kind), region(changed, 1, kind))
            guard let larger = isTaken ? new : old else { return true }
            let gained = (isTaken ? old : new).map { larger.subtracting($0, in: universe) } ?? [larger]
            return gained.allSatisfy { part in region(last, 2, kind).map { part.isSubset(of: $0) } ?? false }
        }
    }
}

/// The values of a packet that criteria with lists are about.
private struct PacketCriteria {
    struct Value {
        let criterion: RuleCriteria
        let path: [String]
        let value: CriterionValue
    }

    let all: [Value]

    init(_ subject: RuleSubject, interface: String?) {
        var values: [Value] = []
        if subject.network == .ipv4 || subject.network == .ipv6 {
            values = [
                Value(.sourceAddresses, "source.addresses", .address(subject.source)),
                Value(.destinationAddresses, "destination.addresses", .address(subject.destination)),
            ]
        }
        if subject.hasPorts {
            values.append(Value(.destinationPorts, "destination.ports", .port(subject.destinationPort)))
            values.append(Value(.sourcePorts, "source.ports", .port(subject.sourcePort)))
        }
        if subject.sourceMAC != .none { values.append(Value(.sourceMACs, "source.macs", .mac(subject.sourceMAC))) }
        if subject.destinationMAC != .none {
            values.append(Value(.destinationMACs, "destination.macs", .mac(subject.destinationMAC)))
        }
        if let interface { values.append(Value(.interfaces, "interfaces", .interface(interface))) }
        all = values
    }

    subscript(criterion: RuleCriteria) -> Value? { all.first { $0.criterion == criterion } }
}

extension PacketCriteria.Value {
    fileprivate init(_ criterion: RuleCriteria, _ path: String, _ value: CriterionValue) {
        self.init(criterion: criterion, path: path.split(separator: ".").map(String.init), value: value)
    }
}

extension PolicyDocument {
    /// Whether everything but one rule says the same, and but for the sizes of tables, which are smaller where a packet is only tried.
    fileprivate func differs(from other: PolicyDocument, onlyInRule index: Int) -> Bool {
        guard rules.count == other.rules.count, rules.indices.contains(index) else { return false }
        var (mine, theirs) = (self, other)
        mine.engine.limits = theirs.engine.limits
        mine.rules.remove(at: index)
        theirs.rules.remove(at: index)
        return PolicyFile.canonical(mine) == PolicyFile.canonical(theirs)
    }
}
