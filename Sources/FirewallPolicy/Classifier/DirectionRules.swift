// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// The rules of one direction, and the decision over them.
struct DirectionRules: Sendable {
    /// All but Log Only: priority 4 to 0, in one priority Bypass, Force Allow, Deny, Allow, among equals those without a rate,
    /// then the order of the files.
    private let deciding: RankedRules
    /// In the order of the files.
    private let logOnly: RankedRules
    /// Whether what no rule admits is refused. By the rules it is if one is an Allow rule, also one whose schedule is off:
    /// else the end of office hours would open the host.
    let isRestrictive: Bool
    /// Whether any rule can match a frame that is not IP. Only then the implicit deny covers such frames: on an IP queue
    /// there are none, and a replayed capture is not to show its ARP frames as refused.
    private let coversOtherFrames: Bool
    let examinesFlags: Bool
    let examinesICMP: Bool
    let examinesSourceMAC: Bool
    let examinesDestinationMAC: Bool
    let examinesInterface: Bool
    let examinesSender: Bool

    /// `rated`: the indices of the rules with a rate. What a rule without one admits is nobody's to count.
    init(_ rules: [CompiledRule], _ lists: RuleLists, rated: Set<Int32>, unmatched: UnmatchedDecision) {
        func order(_ rule: CompiledRule) -> (UInt8, UInt8, Int, Int32) {
            (.max - rule.priority, rule.action.rawValue, rated.contains(rule.index) ? 1 : 0, rule.index)
        }
        let deciding = rules.filter { $0.action != .logOnly }.sorted { order($0) < order($1) }
        self.deciding = RankedRules(deciding, lists)
        logOnly = RankedRules(rules.filter { $0.action == .logOnly }, lists)
        isRestrictive = unmatched == .byRules ? deciding.contains { $0.action == .allow } : unmatched == .deny
        let ip = CompiledRule.bit(.ipv4) | CompiledRule.bit(.ipv6)
        coversOtherFrames = rules.contains { $0.networks & ~ip != 0 }
        examinesFlags = rules.contains { $0.tests.contains(.flags) }
        examinesICMP = rules.contains { $0.tests.contains(.icmp) }
        examinesSourceMAC = rules.contains { $0.tests.contains(.sourceMACs) }
        examinesDestinationMAC = rules.contains { $0.tests.contains(.destinationMACs) }
        examinesInterface = rules.contains { $0.tests.contains(.interfaces) }
        examinesSender = rules.contains { $0.tests.contains(.sender) }
    }

    /// The decision over a subject of this direction.
    func decide(_ subject: RuleSubject, _ lists: RuleLists) -> RuleDecision {
        if subject.transportIsUnknown { return decideWithoutTransport(subject, lists) }
        var search = FirstMatch()
        deciding.search(&search, subject, lists)
        guard search.limit != .max else {
            return RuleDecision(outcome: unmatched(subject), logOnlyRule: firstLogOnly(subject, lists))
        }
        return decision(of: deciding.rule(at: search.limit), subject, lists)
    }

    /// How each deciding rule fares with a subject, in the order in which they are asked.
    func trials(of subject: RuleSubject, _ lists: RuleLists) -> [RuleTrial] {
        deciding.all.map { RuleTrial($0.index, $0.misses(subject, lists)) }
    }

    /// The deciding rules' indices in `Policy.rules`, in the order in which they are asked.
    var order: [Int32] { deciding.all.map(\.index) }

    private func decision(
        of rule: CompiledRule, _ subject: RuleSubject, _ lists: RuleLists
    ) -> RuleDecision {
        let precedesLogOnly = rule.action == .bypass && rule.priority == 4
        return RuleDecision(
            outcome: RuleOutcome(rule.action), rule: rule.index,
            logOnlyRule: precedesLogOnly ? -1 : firstLogOnly(subject, lists))
    }

    /// The outcome when no rule matches. ICMPv6 and IGMP are exempt from the implicit deny.
    private func unmatched(_ subject: RuleSubject) -> RuleOutcome {
        let isExempt = subject.isICMPv6 || subject.isGroupMembership
        return isRestrictive && !isExempt && (subject.isIP || coversOtherFrames) ? .implicitDeny : .noMatch
    }

    private func firstLogOnly(_ subject: RuleSubject, _ lists: RuleLists) -> Int32 {
        if logOnly.isEmpty { return -1 }
        var search = FirstMatch()
        logOnly.search(&search, subject, lists)
        return search.limit == .max ? -1 : logOnly.rule(at: search.limit).index
    }
}

// MARK: - Later fragments

extension DirectionRules {
    /// What addresses, protocol and interface alone decide; `undetermined` where a rule with another outcome may match
    /// before, depending on the transport fields. Rules of the same outcome may differ in who decides, not in what: the
    /// certain one is named.
    private func decideWithoutTransport(
        _ subject: RuleSubject, _ lists: RuleLists
    ) -> RuleDecision {
        var search = FirstCertainMatch()
        deciding.search(&search, subject, lists)
        guard search.certain != .max else {
            let mayBeICMPv6 = isRestrictive && subject.protocolIsUnknown
            if mayBeICMPv6 || search.mayBeOther(than: nil) { return RuleDecision(outcome: .undetermined) }
            return RuleDecision(outcome: unmatched(subject), logOnlyRule: firstCertainLogOnly(subject, lists))
        }
        let rule = deciding.rule(at: search.certain)
        if search.mayBeOther(than: rule.action) { return RuleDecision(outcome: .undetermined) }
        let precedesLogOnly = rule.action == .bypass && rule.priority == 4
        return RuleDecision(
            outcome: RuleOutcome(rule.action), rule: rule.index,
            logOnlyRule: precedesLogOnly ? -1 : firstCertainLogOnly(subject, lists))
    }

    private func firstCertainLogOnly(_ subject: RuleSubject, _ lists: RuleLists) -> Int32 {
        if logOnly.isEmpty { return -1 }
        var search = FirstCertainMatch()
        logOnly.search(&search, subject, lists)
        return search.certain == .max ? -1 : logOnly.rule(at: search.certain).index
    }
}
