// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
package import PacketWire

extension Engine {
    /// Errors belong to the connection that they quote; queries open an exchange, replies answer one; anything else that
    /// comes in answers nothing.
    mutating func judgeICMP(_ p: inout Inspection) -> Finding? {
        if p.headers.icmp.isError { return judgeICMPError(&p) }
        guard hot.icmpEnabled, let packet = ConnectionKey.make(p.headers),
            let query = ICMPQuery(type: p.headers.icmp.type)
        else { return judgeUnrelatedICMP(&p) }
        if let i = table.find(packet.key, at: p.now) { return judgeKnownQuery(&p, i, packet.sender, query) }
        return query.isReply ? judgeUnrelatedICMP(&p) : judgeFirstRequest(&p, packet)
    }

    private mutating func judgeKnownQuery(
        _ p: inout Inspection, _ i: ConnectionIndex, _ side: Side, _ query: ICMPQuery
    ) -> Finding? {
        if table[i].refusal.isRefused && !query.isReply {
            let packet = KeyedPacket(key: table[i].key, sender: side)
            table.remove(i)
            return judgeFirstRequest(&p, packet)
        }
        switch ICMPTracker.step(&table[i], isReply: query.isReply, sender: side, at: p.now) {
        case .unsolicitedReply: return judgeUnrelatedICMP(&p)
        case .opening:
            p.ruling = policy.classify(subject(p))
            if p.ruling.outcome == .bypass { return nil }
            if let finding = refusalByRules(p) ?? unsolicitedICMP(p) { return finding }
            ICMPTracker.admit(&table[i], requestOf: side, at: p.now)
            return nil
        case .belongs: break
        }
        switch standing(&p, i, side) {
        case .bypass: return nil
        case .refused(let finding): return finding
        case .goesOn: break
        }
        table[i].count(bytes: p.headers.length, from: side)
        return nil
    }

    private mutating func judgeFirstRequest(_ p: inout Inspection, _ packet: KeyedPacket) -> Finding? {
        p.ruling = policy.classify(subject(p))
        if p.ruling.outcome == .bypass { return nil }
        var opening = newConnection(p, packet)
        ICMPTracker.admit(&opening, requestOf: packet.sender, at: p.now)
        return admitDatagram(p, opening, unsolicited: .unsolicitedICMP, admitsAllowed: hot.icmpAdmitsAllowed)
    }

    /// What answers nothing: incoming, only Force Allow (or the setting `admit: allow`) lets it in.
    private mutating func judgeUnrelatedICMP(_ p: inout Inspection) -> Finding? {
        p.ruling = policy.classify(subject(p))
        if p.ruling.outcome == .bypass { return nil }
        return refusalByRules(p) ?? unsolicitedICMP(p)
    }

    private func unsolicitedICMP(_ p: Inspection) -> Finding? {
        guard hot.icmpEnabled, p.direction == .incoming, p.ruling.outcome != .forceAllow, !hot.icmpAdmitsAllowed else {
            return nil
        }
        return Finding(.unsolicitedICMP)
    }

    /// An error passes as a packet of the connection that it quotes; rules still apply to it, but it needs no Allow.
    private mutating func judgeICMPError(_ p: inout Inspection) -> Finding? {
        p.ruling = policy.classify(subject(p))
        switch p.ruling.outcome {
        case .bypass, .forceAllow: return nil
        case .deny: return refusalByRules(p)
        default: break
        }
        if isRelated(&p) || p.mustAsk { return nil }
        return refusalByRules(p) ?? unsolicitedICMP(p)
    }

    /// Whether the quoted packet is one that was let out: of an admitted connection, by a Bypass rule, or of a kind that
    /// has no state here and that the rules pass.
    private mutating func isRelated(_ p: inout Inspection) -> Bool {
        guard p.headers.quoted.network == .ipv4, p.headers.quoted.source == p.headers.destination else { return false }
        if p.relation == .related || relation(of: p.headers.quoted, at: p.now) == .related { return true }
        let quoted = policy.classify(quotedSubject(p))
        if quoted.outcome == .bypass { return true }
        if !hasState(p.headers.quoted) || (p.headers.quoted.transport == .tcp && p.now < graceEnds) {
            return quoted.outcome != .deny && quoted.outcome != .implicitDeny
        }
        p.mustAsk = hasOtherWorkers && p.relation == .notAsked && !p.headers.fragment.isFragment
        return false
    }

    /// Whether this worker knows an admitted connection whose sender may just have sent the quoted packet. Other workers
    /// ask this while they hold no table of their own.
    package mutating func relation(of quoted: QuotedPacket, at now: Instant) -> ErrorRelation {
        guard let packet = ConnectionKey.make(quoted), let i = table.find(packet.key, at: now),
            !table[i].refusal.isRefused
        else { return .unrelated }
        if packet.key.protocolNumber == IPProtocol.tcp
            && !TCPTracker.isPlausibleQuote(table[i].tcp, sequence: quoted.tcpSequence, sentBy: packet.sender)
        {
            return .unrelated
        }
        return .related
    }

    /// The packet that an ICMP error quotes, for the question to other workers; nil if it quotes none.
    package static func quotedPacket(_ bytes: RawSpan, _ metadata: PacketMetadata) -> QuotedPacket? {
        var headers = PacketHeaders()
        do {
            try headers.decodePacket(bytes, etherType: metadata.etherType, PacketTraits(metadata))
        } catch {
            return nil
        }
        return headers.quoted.network == .none ? nil : headers.quoted
    }

    private func hasState(_ q: QuotedPacket) -> Bool {
        !q.isLaterFragment && isStateful(q.protocolNumber)
    }

    /// The quoted packet as rules saw it: it travelled the other way.
    private func quotedSubject(_ p: Inspection) -> RuleSubject {
        RuleSubject(
            quoted: p.headers.quoted, direction: p.direction.opposite, interfacePatterns: p.traits.patterns,
            activeSchedules: activeSchedules)
    }
}
