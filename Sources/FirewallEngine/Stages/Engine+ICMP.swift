// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
public import PacketWire

extension Engine {
    /// A query or reply of a known exchange: queries open one, replies answer one.
    mutating func judgeKnownQuery(
        _ p: inout Inspection, _ i: ConnectionIndex, _ packet: KeyedPacket, isReply: Bool
    ) -> Finding? {
        let side = packet.sender
        if table[i].refusal.isRefused && !isReply {
            vacate(&p, i)
            return judgeUnknown(&p, .icmpRequest, packet)
        }
        switch isMisdirected(&p, i, side) && !isReply ? .opening : stepICMP(&p, i, side, isReply: isReply) {
        case .unsolicitedReply: return judgeUnknown(&p, .icmpReply, packet)
        case .opening:
            ask(&p)
            if p.ruling.outcome == .bypass { return nil }
            if let finding = refusalByRules(&p) ?? unsolicitedICMP(&p) ?? excessOfRate(&p) { return finding }
            if !p.isRehearsal { ICMPTracker.admit(&table[i], requestOf: side, at: p.now) }
            return nil
        case .belongs: break
        }
        switch standing(&p, i, side) {
        case .bypass: return nil
        case .refused(let finding): return finding
        case .goesOn: break
        }
        if !p.isRehearsal { table[i].count(bytes: p.headers.length, from: side) }
        return nil
    }

    private mutating func stepICMP(
        _ p: inout Inspection, _ i: ConnectionIndex, _ side: Side, isReply: Bool
    ) -> ICMPStep {
        guard p.isRehearsal else { return ICMPTracker.step(&table[i], isReply: isReply, sender: side, at: p.now) }
        var exchange = table[i]
        return ICMPTracker.step(&exchange, isReply: isReply, sender: side, at: p.now)
    }

    mutating func judgeFirstRequest(_ p: inout Inspection, _ packet: KeyedPacket) -> Finding? {
        var opening = newConnection(&p, packet)
        ICMPTracker.admit(&opening, requestOf: packet.sender, at: p.now)
        return admitDatagram(
            &p, opening, Finding(.unsolicitedICMP, .icmpAdmit), admitsAllowed: hot.icmpAdmitsAllowed)
    }

    /// What answers nothing: incoming, only Force Allow (or the setting `admit: allow`) lets it in. The late answer of an
    /// exchange that was forgotten was refused by the timeout.
    mutating func judgeUnrelatedICMP(_ p: inout Inspection) -> Finding? {
        guard var finding = refusalByRules(&p) ?? unsolicitedICMP(&p) else { return nil }
        if finding.reason != .deny, let timeout = timeoutOfForgotten(&p) {
            guard p.isSubject(to: timeout) else { return nil }
            finding.cause = timeout
        }
        return finding
    }

    private mutating func unsolicitedICMP(_ p: inout Inspection) -> Finding? {
        guard hot.icmpEnabled, p.direction == .incoming, p.ruling.outcome != .forceAllow, !hot.icmpAdmitsAllowed,
            p.isSubject(to: .icmpAdmit)
        else { return nil }
        return lackOfRoom(&p, p.headers.quoted.trackedProtocol) ?? Finding(.unsolicitedICMP, .icmpAdmit)
    }

    /// An error passes as a packet of the connection that it quotes; rules still apply to it, but it needs no Allow.
    mutating func judgeICMPError(_ p: inout Inspection) -> Finding? {
        if isAdmittedForItsQuote(&p), !isRelated(&p) {
            if p.mustAsk { return nil }
            askWithoutQuote(&p)
            if p.ruling.outcome == .bypass { return nil }
        }
        guard let finding = refusalByRules(&p) ?? unsolicitedICMP(&p) else { return nil }
        if finding.reason == .deny { return quotesBypassed(&p, before: finding.rule) ? nil : finding }
        return isRelated(&p) || p.mustAsk ? nil : finding
    }

    /// The built-in rule for the path MTU admits what quotes a known exchange; of anything else the other rules speak.
    private mutating func isAdmittedForItsQuote(_ p: inout Inspection) -> Bool {
        p.ruling.outcome == .forceAllow && p.ruling.rule >= 0 && policy.rules[Int(p.ruling.rule)].needsKnownQuote
    }

    private mutating func askWithoutQuote(_ p: inout Inspection) {
        var s = subject(&p)
        s.quotesKnownExchange = false
        ask(&p, s)
    }

    /// Whether the quoted packet is one that was let out: of an admitted connection, by a Bypass rule, or of a kind that
    /// has no state here and that the rules pass.
    ///
    /// Every error quotes the header and eight bytes at least (RFC 792, RFC 4443 section 2.4), and none is sent about another
    /// error. About a later fragment there is none in ICMP (RFC 1122 section 3.2.2), and in ICMPv6 only that it is too big: a
    /// Bypass rule, which asks nothing, covers it. A redirect changes a route: rules alone are not enough for that.
    private mutating func isRelated(_ p: inout Inspection) -> Bool {
        guard p.headers.quotesItsDestination, p.headers.quoted.isLongEnough, !p.headers.quoted.isError else {
            return false
        }
        if p.relation == .related || relation(of: p.headers.quoted, at: p.now) == .related { return true }
        let quoted = ruling(on: quotedSubject(&p))
        if quoted.outcome == .bypass { return true }
        guard !p.headers.quoted.isLaterFragment || p.headers.isPacketTooBig else { return false }
        let isStateful = isStateful(p.headers.quoted.protocolNumber, p.headers.quoted.network)
        if !isStateful || p.headers.quoted.isLaterFragment || (p.headers.quoted.transport == .tcp && p.now < graceEnds)
        {
            return !p.headers.isRedirect && quoted.outcome != .deny && quoted.outcome != .implicitDeny
        }
        p.mustAsk = hasOtherWorkers && !p.isRehearsal && p.relation == .notAsked && !p.headers.fragment.isFragment
        return false
    }

    /// Whether a Bypass rule lets the quoted packet by that ranks before a Deny rule. Of one priority, Bypass is asked first.
    private mutating func quotesBypassed(_ p: inout Inspection, before deny: Int32) -> Bool {
        guard p.headers.quotesItsDestination, p.headers.quoted.isLongEnough else { return false }
        let quoted = ruling(on: quotedSubject(&p))
        return quoted.outcome == .bypass
            && policy.rules[Int(quoted.rule)].priority >= policy.rules[Int(deny)].priority
    }

    /// Whether this worker knows an admitted connection whose sender may just have sent the quoted packet, or nobody has
    /// claimed one yet. Other workers ask this while they hold no table of their own.
    public mutating func relation(of quoted: QuotedPacket, at now: Instant) -> ErrorRelation {
        table.isQuoted(quoted, at: now) || unclaimed?.isQuoted(quoted, at: now) ?? false ? .related : .unrelated
    }

    /// The packet that an ICMP error quotes, for the question to other workers; nil if it quotes none.
    public static func quotedPacket(_ bytes: RawSpan, _ metadata: PacketMetadata) -> QuotedPacket? {
        var headers = PacketHeaders()
        do {
            try headers.decodePacket(bytes, etherType: metadata.etherType, PacketTraits(metadata))
        } catch {
            return nil
        }
        return headers.quoted.network == .none ? nil : headers.quoted
    }

    /// The quoted packet as rules saw it: it travelled the other way.
    private mutating func quotedSubject(_ p: inout Inspection) -> RuleSubject {
        var s = RuleSubject(
            quoted: p.headers.quoted, direction: p.direction.opposite, interfacePatterns: p.traits.patterns,
            activeSchedules: activeSchedules)
        if hot.examinesSender { s.senders = sendersOfOpener(&p, isBySender: false, s.direction) }
        return s
    }
}

extension PacketHeaders {
    /// Whether an error goes back to the sender of what it quotes, as every true one does (RFC 1122 section 3.2.2).
    fileprivate var quotesItsDestination: Bool { quoted.network != .none && quoted.source == destination }

    fileprivate var isPacketTooBig: Bool { transport == .icmpv6 && icmp.type == ICMPv6Type.packetTooBig }

    fileprivate var isRedirect: Bool {
        icmp.type == (transport == .icmpv6 ? ICMPv6Type.redirect : ICMPType.redirect)
    }
}

extension QuotedPacket {
    /// The table that would hold its connection.
    fileprivate var trackedProtocol: TrackedProtocol {
        switch transport {
        case .tcp: .tcp
        case .udp: .udp
        default: .icmp
        }
    }
}
