// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire

/// What the rules and the connection's own standing say of a packet of a known connection.
enum Standing {
    /// Bypass: no state is touched.
    case bypass
    case refused(Finding)
    /// On to the tracker.
    case goesOn
}

extension Engine {
    /// Stage R for a known connection. It was admitted, so it needs no Allow rule; Deny, Bypass and Force Allow still
    /// apply to each packet. A policy newer than its admission judges its opening again first.
    mutating func standing(_ p: inout Inspection, _ i: ConnectionIndex, _ side: Side) -> Standing {
        rejudgeIfOutdated(&p, i, side)
        let known = table.standing(of: i)
        if p.isOwnTraffic || known.isOwnTraffic, isOfAgent(&p, i, side) {
            takeOver(&p, i, side)
            if records(&p) { record(.ownTraffic) }
            p.ruling = RuleDecision(outcome: .forceAllow)
            return .goesOn
        }
        ruleKnown(&p, i, side)
        switch p.ruling.outcome {
        case .bypass: return .bypass
        case .deny: return .refused(Finding(.deny, .denyRule, rule: p.ruling.rule))
        case .implicitDeny where mayHaveOtherSender(&p, i, side) && p.headers.transport != .tcp:
            if let finding = refusalByRules(&p) { return .refused(finding) }
        default: break
        }
        if isOfAnotherSender(known.refusal, &p, i, side) { return .goesOn }
        let refusal = known.refusal
        guard refusal.isRefused, let cause = refusal.cause(for: &p) else { return .goesOn }
        // Of datagrams only those of the side that was asked: they tell its answers from what it begins itself.
        if !p.leavesNoTrace, p.headers.transport != .udp || side != table[i].opener { table[i].lastSeen = p.now }
        let reason = DropReason(rawValue: refusal.reason) ?? .internalStatesError
        if records(&p) { record(.refusedBefore) }
        return .refused(Finding(reason, cause, rule: refusal.rule, note: .refusedConnection))
    }

    /// Whether an exchange was refused for who asked, and a datagram of the same endpoints is of one whom the rules admit: it goes on
    /// then, for him. Each datagram of the other is put to the rules.
    private mutating func isOfAnotherSender(
        _ refusal: Refusal, _ p: inout Inspection, _ i: ConnectionIndex, _ side: Side
    ) -> Bool {
        guard refusal.isRefused, p.headers.transport == .udp, mayHaveOtherSender(&p, i, side),
            let reason = DropReason(rawValue: refusal.reason), reason == .deny || reason == .outOfAllowedPolicy,
            refusalByRules(&p) == nil
        else { return false }
        if !p.leavesNoTrace {
            table[i].refusal = .none
            table.recordChange(of: i)
        }
        return true
    }

    /// Whether a packet comes in that its sender's packets go out for: their sender is inside, and this one was forged outside.
    /// Through the loopback interface each goes out and comes in. Nothing follows from one that goes out: between two inside
    /// interfaces the packets of both sides do.
    mutating func isMisdirected(_ p: inout Inspection, _ i: ConnectionIndex, _ side: Side) -> Bool {
        p.direction == .incoming && !p.isLoopback && table.direction(of: i, from: side) == .outgoing
    }

    /// Judges a connection's opening by the policy now in force, with what is stored of it. Who has opened it is not stored: where rules
    /// ask, this packet tells, or the next that can; until then the connection counts as opened by whom the rules admit.
    mutating func rejudgeIfOutdated(_ p: inout Inspection, _ i: ConnectionIndex, _ side: Side) {
        let known = table.standing(of: i)
        guard known.generation != generation || known.isSenderUnknown && hot.examinesSender && p.hasSender else {
            return
        }
        table[i].generation = generation
        var opening = openingSubject(table[i])
        if hot.examinesSender {
            let (isBySender, direction) = (side == table[i].opener, table[i].openingDirection)
            opening.senders = sendersOfOpener(&p, isBySender: isBySender, direction)
            table[i].isSenderUnknown = isSenderUnknown(&p, isBySender: isBySender, direction)
        }
        let isOwn = table[i].isOwnTraffic
        let ruling = isOwn ? RuleDecision(outcome: .forceAllow) : ruling(on: opening)
        let finding = isOwn ? nil : openingFinding(ruling, table[i])
        table[i].refusal = finding.map { Refusal($0) } ?? .none
        table.recordChange(of: i)
        if hot.keepsLog, finding == nil { noteAdmitted(i, ruling) }
    }

    /// Whether an opening with this ruling is refused: by a rule, or for want of what admits a datagram.
    mutating func openingFinding(_ ruling: RuleDecision, _ c: Connection) -> Finding? {
        switch ruling.outcome {
        case .deny: return Finding(.deny, .denyRule, rule: ruling.rule)
        case .implicitDeny where c.isAnnounced && hot.ftp.isOn: return nil
        case .implicitDeny: return Finding(.outOfAllowedPolicy, .noAllowRule)
        case .bypass, .forceAllow, .undetermined: return nil
        case .allow, .noMatch: break
        }
        guard c.openingDirection == .incoming else { return nil }
        switch c.key.protocolNumber {
        case IPProtocol.udp: return hot.udpAdmitsAllowed ? nil : Finding(.unsolicitedUDP, .udpAdmit)
        case IPProtocol.icmp: return hot.icmpAdmitsAllowed ? nil : Finding(.unsolicitedICMP, .icmpAdmit)
        default: return nil
        }
    }

    /// The opening packet as rules would see it again, whoever of this host has sent it.
    mutating func openingSubject(_ c: Connection) -> RuleSubject {
        var s = RuleSubject()
        s.direction = c.openingDirection
        s.network = c.key.version == 6 ? .ipv6 : .ipv4
        s.etherType = c.key.version == 6 ? 0x86dd : 0x0800
        s.protocolNumber = c.key.protocolNumber
        s.source = c.key.address(of: c.opener)
        s.destination = c.key.address(of: c.opener.opposite)
        if c.key.protocolNumber == IPProtocol.icmp {
            s.hasICMP = true
            s.icmpType = c.key.queryType
        } else {
            s.hasPorts = true
            s.sourcePort = c.key.portOrIdentifier(of: c.opener)
            s.destinationPort = c.key.portOrIdentifier(of: c.opener.opposite)
        }
        if c.key.protocolNumber == IPProtocol.tcp {
            s.hasFlags = true
            s.flags = .syn
        }
        s.sourceMAC = c.openingMAC
        s.interfacePatterns = (interfaces[c.openingInterface] ?? .unknown).traits.patterns
        s.activeSchedules = activeSchedules
        s.hasInterface = c.openingInterface != 0
        if hot.examinesSender, c.openingDirection == .outgoing { s.senders = policy.sendersOfUnknown }
        return s
    }
}
