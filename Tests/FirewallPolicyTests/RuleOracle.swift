// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire

/// POLICY.md's rule semantics, said as plainly as possible and as slowly as that is: the truth that the compiled policy is
/// held against. Shares nothing with it but the document.
struct RuleOracle {
    let policy: Policy
    /// Who has sent the packet; nil: no process of this host.
    var sender: Sender?

    /// Kleene's three values; `maybe` arises only for fields that are elsewhere.
    enum Truth: Int { case no, maybe, yes }

    private enum Field { case absent, unknown, present }

    func decide(_ subject: RuleSubject) -> RuleDecision {
        let rules = policy.rules.indices.filter {
            policy.rules[$0].direction == subject.direction && policy.rules[$0].isEnabled
        }
        var possible: [RuleOutcome] = []
        var logOnly: Int32 = -1
        for priority in [4, 3, 2, 1, 0] as [UInt8] {
            for action in [RuleAction.bypass, .logOnly, .forceAllow, .deny, .allow] {
                for index in rules
                where policy.rules[index].priority == priority && policy.rules[index].action == action {
                    let truth = matches(policy.rules[index], subject)
                    if truth == .no { continue }
                    if action == .logOnly {
                        if truth == .yes, logOnly < 0 { logOnly = Int32(index) }
                        continue
                    }
                    let outcome = outcome(action)
                    if truth == .maybe {
                        possible.append(outcome)
                        continue
                    }
                    if possible.contains(where: { $0 != outcome }) { return RuleDecision(outcome: .undetermined) }
                    return RuleDecision(outcome: outcome, rule: Int32(index), logOnlyRule: logOnly)
                }
            }
        }
        if !possible.isEmpty { return RuleDecision(outcome: .undetermined) }
        return withoutMatch(subject, rules.map { policy.rules[$0] }, logOnly)
    }

    private func outcome(_ action: RuleAction) -> RuleOutcome {
        switch action {
        case .bypass: .bypass
        case .forceAllow: .forceAllow
        case .deny: .deny
        case .allow, .logOnly: .allow
        }
    }

    private func withoutMatch(_ subject: RuleSubject, _ rules: [Rule], _ logOnly: Int32) -> RuleDecision {
        let pass = RuleDecision(outcome: .noMatch, logOnlyRule: logOnly)
        let unmatched = policy.document.unmatched
        switch subject.direction == .incoming ? unmatched.incoming : unmatched.outgoing {
        case .allow: return pass
        case .byRules: guard rules.contains(where: { $0.action == .allow }) else { return pass }
        case .deny: break
        }
        let isIP = subject.network == .ipv4 || subject.network == .ipv6
        if !isIP, !rules.contains(where: coversOtherFrames) { return pass }
        if subject.network == .ipv6 {
            if protocolField(subject) == .unknown { return RuleDecision(outcome: .undetermined) }
            if subject.protocolNumber == 58 { return pass }
        }
        if isIGMP(subject) { return pass }
        return RuleDecision(outcome: .implicitDeny, logOnlyRule: logOnly)
    }

    private func coversOtherFrames(_ rule: Rule) -> Bool {
        switch rule.frame.value {
        case .any: !rule.frame.isInverted
        case .ip, .ipv4, .ipv6: rule.frame.isInverted
        case .arp, .etherType: true
        }
    }

    // MARK: - One rule

    func matches(_ rule: Rule, _ subject: RuleSubject) -> Truth {
        let isIP = subject.network == .ipv4 || subject.network == .ipv6
        let address: Field = isIP ? .present : .absent
        var truths = [
            judge(rule.frame, .present) { accepts(frame: $0, subject) },
            judge(rule.protocols, protocolField(subject)) { accepts(protocol: $0, subject.protocolNumber) },
            judge(rule.source.addresses, address) { isIn($0, subject.source, subject.network) },
            judge(rule.destination.addresses, address) { isIn($0, subject.destination, subject.network) },
            judge(rule.source.ports, portField(subject)) { isIn(ports: $0, subject.sourcePort) },
            judge(rule.destination.ports, portField(subject)) { isIn(ports: $0, subject.destinationPort) },
            judge(rule.source.macs, subject.sourceMAC == .none ? .absent : .present) {
                policy.document.macLists[$0].values.contains(subject.sourceMAC)
            },
            judge(rule.destination.macs, subject.destinationMAC == .none ? .absent : .present) {
                policy.document.macLists[$0].values.contains(subject.destinationMAC)
            },
            judge(rule.flags, flagField(subject)) { subject.flags.intersection($0.tested) == $0.set },
            judge(rule.icmp, icmpField(subject)) {
                $0.type == subject.icmpType && ($0.code == nil || $0.code == subject.icmpCode)
            },
        ]
        if let schedule = rule.schedule, subject.activeSchedules & (1 << UInt64(schedule)) == 0 { truths.append(.no) }
        if let interfaces = rule.interfaces {
            let bits = interfaces.value.map { bit(ofPattern: $0) }.reduce(0, |)
            let isNamed = subject.interfacePatterns & bits != 0
            truths.append(subject.hasInterface && isNamed != interfaces.isInverted ? .yes : .no)
        }
        if !rule.sender.isEmpty { truths.append(accepts(rule.sender) ? .yes : .no) }
        if rule.action == .deny, rule.protocols != Criterion(.number(58)) {
            truths.append(notNeighbourDiscovery(subject))
        }
        if rule.action == .deny, rule.protocols != Criterion(.number(2)), isIGMP(subject) { truths.append(.no) }
        return truths.contains(.no) ? .no : truths.contains(.maybe) ? .maybe : .yes
    }

    private func accepts(_ criteria: SenderCriteria) -> Bool {
        guard let sender else { return false }
        if let users = criteria.users {
            guard users.value.contains(where: { $0.number == sender.user }) != users.isInverted else { return false }
        }
        if let groups = criteria.groups {
            guard groups.value.contains(where: { $0.number == sender.group }) != groups.isInverted else { return false }
        }
        guard let units = criteria.units else { return true }
        let isNamed = units.value.contains { name in
            policy.units.firstIndex(of: name).map { sender.units >> UInt64($0) & 1 == 1 } ?? false
        }
        return isNamed != units.isInverted
    }

    private func judge<Value>(
        _ criterion: Criterion<Value>?, _ field: Field, _ accepts: (Value) -> Bool
    ) -> Truth {
        guard let criterion else { return .yes }
        switch field {
        case .absent: return .no
        case .unknown: return .maybe
        case .present: return accepts(criterion.value) != criterion.isInverted ? .yes : .no
        }
    }

    private func accepts(frame: FrameMatch, _ subject: RuleSubject) -> Bool {
        switch frame {
        case .any: true
        case .ip: subject.network == .ipv4 || subject.network == .ipv6
        case .ipv4: subject.network == .ipv4
        case .ipv6: subject.network == .ipv6
        case .arp: subject.network == .arp
        case .etherType(let number): subject.etherType == number
        }
    }

    private func accepts(protocol match: ProtocolMatch, _ number: UInt8) -> Bool {
        switch match {
        case .tcpAndUDP: number == 6 || number == 17
        case .number(let wanted): number == wanted
        }
    }

    private func isIn(_ list: Int, _ address: IPAddress, _ network: NetworkProtocol) -> Bool {
        policy.document.addressLists[list].values.contains { range in
            let isV4 = range.first.isMappedV4 && range.last.isMappedV4
            return isV4 == (network == .ipv4) && range.first <= address && address <= range.last
        }
    }

    private func isIn(ports list: Int, _ port: UInt16) -> Bool {
        policy.document.portLists[list].values.contains { $0.first <= port && port <= $0.last }
    }

    /// The bit that a pattern got: that of an interface whose name it is, which holds for names without wildcards.
    private func bit(ofPattern pattern: String) -> UInt64 { policy.traits(ofInterface: pattern).patterns }

    private func isIGMP(_ subject: RuleSubject) -> Bool { subject.network == .ipv4 && subject.protocolNumber == 2 }

    private func notNeighbourDiscovery(_ subject: RuleSubject) -> Truth {
        guard subject.network == .ipv6 else { return .yes }
        if subject.transportIsUnknown {
            return protocolField(subject) == .unknown || subject.protocolNumber == 58 ? .maybe : .yes
        }
        let types: Set<UInt8> = [130, 131, 132, 133, 134, 135, 136, 143]
        return subject.protocolNumber == 58 && subject.hasICMP && types.contains(subject.icmpType) ? .no : .yes
    }

    // MARK: - Which fields a packet has

    private func protocolField(_ subject: RuleSubject) -> Field {
        guard subject.network == .ipv4 || subject.network == .ipv6 else { return .absent }
        let extensions: Set<UInt8> = [0, 43, 44, 51, 60]
        let isHidden = subject.transportIsUnknown && subject.network == .ipv6
        return isHidden && extensions.contains(subject.protocolNumber) ? .unknown : .present
    }

    private func portField(_ subject: RuleSubject) -> Field {
        field(subject, subject.hasPorts, in: [6, 17])
    }

    private func flagField(_ subject: RuleSubject) -> Field {
        field(subject, subject.hasFlags, in: [6])
    }

    private func icmpField(_ subject: RuleSubject) -> Field {
        field(subject, subject.hasICMP, in: subject.network == .ipv6 ? [58] : [1])
    }

    private func field(_ subject: RuleSubject, _ isPresent: Bool, in protocols: Set<UInt8>) -> Field {
        if isPresent { return .present }
        guard subject.transportIsUnknown else { return .absent }
        if protocolField(subject) == .unknown { return .unknown }
        return protocols.contains(subject.protocolNumber) ? .unknown : .absent
    }
}
