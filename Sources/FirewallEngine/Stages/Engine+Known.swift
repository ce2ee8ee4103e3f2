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
        rejudgeIfOutdated(i)
        ruleKnown(&p, i, side)
        switch p.ruling.outcome {
        case .bypass: return .bypass
        case .deny: return .refused(Finding(.deny, rule: p.ruling.rule))
        default: break
        }
        let refusal = table.standing(of: i).refusal
        guard refusal.isRefused else { return .goesOn }
        table[i].lastSeen = p.now
        let reason = DropReason(rawValue: refusal.reason) ?? .internalStatesError
        return .refused(Finding(reason, rule: refusal.rule, note: .refusedConnection))
    }

    /// Judges a connection's opening by the policy now in force, with what is stored of it.
    mutating func rejudgeIfOutdated(_ i: ConnectionIndex) {
        guard table.standing(of: i).generation != generation else { return }
        table[i].generation = generation
        let finding = openingFinding(policy.classify(openingSubject(table[i])), table[i])
        table[i].refusal = finding.map { Refusal(reason: $0.reason.rawValue, rule: $0.rule) } ?? .none
        table.recordChange(of: i)
    }

    /// Whether an opening with this ruling is refused: by a rule, or for want of what admits a datagram.
    private mutating func openingFinding(_ ruling: RuleDecision, _ c: Connection) -> Finding? {
        switch ruling.outcome {
        case .deny: return Finding(.deny, rule: ruling.rule)
        case .implicitDeny: return Finding(.outOfAllowedPolicy)
        case .bypass, .forceAllow, .undetermined: return nil
        case .allow, .noMatch: break
        }
        guard c.openingDirection == .incoming else { return nil }
        switch c.key.protocolNumber {
        case IPProtocol.udp: return hot.udpAdmitsAllowed ? nil : Finding(.unsolicitedUDP)
        case IPProtocol.icmp: return hot.icmpAdmitsAllowed ? nil : Finding(.unsolicitedICMP)
        default: return nil
        }
    }

    /// The opening packet as rules would see it again.
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
        return s
    }

    /// Puts an admitted opening into the table, with what the rules said of it.
    mutating func insert(_ p: inout Inspection, _ opening: Connection) -> Finding? {
        do {
            let i = try table.insert(opening, at: p.now)
            cache(&p, i, opening.opener)
            table[i].count(bytes: p.headers.length, from: opening.opener)
            return nil
        } catch {
            let finding = Finding(DropReason(error))
            rememberRefused(&p, opening, finding)
            return finding
        }
    }

    /// Where the table is full and that is to stop nothing, a packet of no known connection may be one of those that found no
    /// room: it is refused for that, and passes. Not where every new one would find room in the place of an older one:
    /// otherwise a flood to an open port would open the others.
    mutating func lackOfRoom(_ kind: TrackedProtocol) -> Finding? {
        guard hot.engineFailsOpen, shared.total(of: kind) >= shared.limit(of: kind), !table.canMakeRoom(for: kind)
        else {
            return nil
        }
        return Finding(DropReason(.tableFull(kind)))
    }

    /// Remembers a connection whose refused opening passed all the same (tap, failure open), so that its later packets
    /// report the same reason instead of a new Out Of Connection each.
    mutating func rememberRefused(_ p: inout Inspection, _ opening: Connection, _ finding: Finding) {
        guard overrides(finding) != nil else { return }
        var refused = opening
        refused.refusal = Refusal(reason: finding.reason.rawValue, rule: finding.rule)
        _ = try? table.insert(refused, at: p.now)
    }

    /// A new entry for the connection that this packet opens.
    mutating func newConnection(_ p: inout Inspection, _ packet: KeyedPacket) -> Connection {
        var c = Connection(
            key: packet.key, opener: packet.sender, openingDirection: p.direction, at: p.now,
            openingInterface: p.interface, openingMAC: p.headers.sourceMAC)
        c.generation = generation
        return c
    }
}
