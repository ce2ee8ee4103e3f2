// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire

/// What POLICY.md says of a packet, written down a second time for the proofs.
enum Truth {
    /// As `Effect` ranks them: dropped, refused unless it is of a known connection, admitted at a rate, admitted, bypassed.
    static func effect(_ policy: Policy, _ subject: RuleSubject) -> Int {
        let decision = policy.classify(subject)
        let outcome = decision.outcome
        if outcome == .deny { return 0 }
        if outcome == .bypass { return 4 }
        let stateful = policy.document.stateful
        let (tracked, opens, admit) =
            switch subject.protocolNumber {
            case 6: (stateful.tcpEnabled, isOpening(subject), Admission.allow)
            case 17: (stateful.udpEnabled, true, stateful.udpAdmit)
            case 1: (stateful.icmpEnabled, true, stateful.icmpAdmit)
            default: (false, true, Admission.allow)
            }
        if outcome == .implicitDeny { return tracked ? (opens ? 1 : 3) : 0 }
        let isUnsolicited = tracked && subject.direction == .incoming && admit == .forceAllow
        let isRated = decision.rule >= 0 && policy.rules[Int(decision.rule)].rate != nil && tracked && opens
        return isUnsolicited && outcome != .forceAllow ? 1 : isRated ? 2 : 3
    }

    /// Whether a rule is there for this packet: an Allow for what opens a connection, and for datagrams where it admits them.
    static func isServed(_ policy: Policy, by rule: Int32, _ subject: RuleSubject) -> Bool {
        let rule = policy.rules[Int(rule)]
        guard rule.action == .allow else { return true }
        let stateful = policy.document.stateful
        let isOutgoing = rule.direction == .outgoing
        switch subject.protocolNumber {
        case 6: return !stateful.tcpEnabled || isOpening(subject)
        case 17: return isOutgoing || !stateful.udpEnabled || stateful.udpAdmit == .allow
        case 1: return isOutgoing || !stateful.icmpEnabled || stateful.icmpAdmit == .allow
        // IGMP passes without a rule.
        case 2: return false
        default: return true
        }
    }

    private static func isOpening(_ subject: RuleSubject) -> Bool {
        subject.flags.contains(.syn) && subject.flags.isDisjoint(with: .ack | .rst | .fin)
    }
}
