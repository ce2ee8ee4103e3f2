// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
public import PacketWire

extension Engine {
    /// Stage F, then the datagram's first fragment through the other stages; later ones follow its verdict.
    mutating func inspectFragment(_ p: inout Inspection, _ bytes: RawSpan) -> Decision {
        counters.fragments &+= 1
        if hot.fragments.row == .log { p.notices.insert(.fragmented) }
        p.fragmentDigest = fragments.digest(of: p.headers, in: bytes)
        switch fragments.check(
            p.headers, digest: p.fragmentDigest, direction: p.direction, at: p.now, hot.fragments)
        {
        case .refused(let refusal, let silently, let record):
            let finding = Finding(refusal, posture: silently ? .denySilent : .deny)
            if let record, p.headers.fragment.offset == 0 {
                explain(&p, finding, bytes)
                fragments.keep(datagramRefusal(&p, finding), ofFirst: record)
            }
            return conclude(&p, finding, bytes)
        case .decided(let verdict):
            if records(&p) { record(.fragment(.later)) }
            return conclude(&p, finding(&p, verdict), bytes)
        case .first(let record):
            if records(&p) { self.record(.fragment(.first)) }
            guard let finding = judgeFirst(&p, bytes) else {
                fragments.decide(record, .pass)
                return conclude(&p, nil, bytes)
            }
            explain(&p, finding, bytes)
            fragments.decide(record, verdict(&p, finding))
            return conclude(&p, finding, bytes)
        case .awaitsFirst(let record):
            if records(&p) { self.record(.fragment(.early)) }
            return settleOrHold(&p, record, bytes)
        }
    }

    /// The first fragment has the headers that decide; of a TCP segment, more bytes may follow than it shows.
    private mutating func judgeFirst(_ p: inout Inspection, _ bytes: RawSpan) -> Finding? {
        if p.headers.transportCutByFragmentation { return Finding(.unreadableProtocolHeader, .malformed) }
        p.unseenBytes = UInt32(UInt16.max) - min(UInt32(UInt16.max), p.headers.length)
        // Nobody has seen the whole of its checksum. No stack sends a RST in fragments.
        p.isDisbelieved = p.headers.tcp.flags.contains(.rst)
        return judgeWhatIsThere(&p, bytes)
    }

    /// A fragment before its datagram's first one: settled at once by what addresses, protocol and interface alone
    /// decide, otherwise held.
    private mutating func settleOrHold(_ p: inout Inspection, _ record: DatagramRecord, _ bytes: RawSpan) -> Decision {
        var s = subject(&p)
        s.transportIsUnknown = true
        ask(&p, s)
        if isSettledByRules(&p, s) { return conclude(&p, refusalByRules(&p), bytes) }
        guard let ticket = fragments.hold(record, at: p.now) else {
            return conclude(&p, Finding(.tooManyHeld), bytes)
        }
        held.keep(p, ticket: ticket)
        return Decision(verdict: .hold, ticket: ticket)
    }

    /// Whether the first fragment, whatever it says, cannot lead to another verdict. What needs an Allow rule may belong to
    /// a connection, which needs none; and TCP goes through the tracker also where a rule forces it.
    mutating func isSettledByRules(_ p: inout Inspection, _ s: RuleSubject) -> Bool {
        switch p.ruling.outcome {
        case .undetermined: false
        case .deny, .bypass: true
        case .implicitDeny, .allow, .noMatch: !mayHaveState(s)
        case .forceAllow: !mayHaveState(s) || s.protocolNumber == IPProtocol.udp || s.protocolNumber == IPProtocol.icmp
        }
    }

    /// Whether the datagram may be of a protocol whose connections are tracked; the protocol of a later IPv6 fragment may
    /// stand behind extension headers that only the first one has.
    private mutating func mayHaveState(_ s: RuleSubject) -> Bool {
        isStateful(s.protocolNumber, s.network) || s.protocolIsUnknown
    }

    mutating func isStateful(_ protocolNumber: UInt8, _ network: NetworkProtocol) -> Bool {
        switch protocolNumber {
        case IPProtocol.tcp: hot.tcpEnabled
        case IPProtocol.udp: hot.udpEnabled
        case IPProtocol.icmp: hot.icmpEnabled && network == .ipv4
        default: false
        }
    }

    /// Judges a fragment again, as if something were otherwise, against what was seen of its datagram.
    ///
    /// What a later fragment's datagram was refused for is needed for it, too. Of a datagram whose first fragment was not seen
    /// nothing is known that would refuse it.
    mutating func rehearseFragment(_ p: inout Inspection, _ bytes: RawSpan) -> Finding? {
        var settings = hot.fragments
        turn(&settings, &p)
        switch fragments.preview(
            p.headers, digest: p.fragmentDigest, direction: p.direction, at: p.now, settings)
        {
        case .first: return judgeFirst(&p, bytes)
        case .decided(let verdict):
            guard case .dropped(let refusal) = verdict else { return nil }
            return inherit(&p, refusal)
        case .refused(let refusal, _, let record):
            if let record, let verdict = fragments.verdict(ofFirst: record) { return inherit(&p, verdict) }
            let cause = Cause(refusal)
            if p.isSubject(to: cause) { return Finding(refusal) }
            return p.headers.fragment.offset == 0 ? judgeFirst(&p, bytes) : nil
        case .awaitsFirst: return settledByRules(&p)
        }
    }

    /// Adds what the first fragment needs to what this one needs; where nothing helps the first, nothing helps this one.
    private mutating func inherit(_ p: inout Inspection, _ first: DatagramRefusal) -> Finding? {
        guard first.remedy != 0 else { return Finding(.incompleteDatagram, .malformed) }
        p.excused.formUnion(CauseSet(rawValue: first.remedy))
        if first.remedyRule >= 0 { p.excusedRule = first.remedyRule }
        return nil
    }

    /// What addresses, protocol and interface alone decide.
    private mutating func settledByRules(_ p: inout Inspection) -> Finding? {
        var s = subject(&p)
        s.transportIsUnknown = true
        ask(&p, s)
        return isSettledByRules(&p, s) ? refusalByRules(&p) : nil
    }

    private mutating func turn(_ settings: inout FragmentSettings, _ p: inout Inspection) {
        if !p.isSubject(to: .fragmentsSetting) { settings.isDenied = false }
        if !p.isSubject(to: .fragmentsRow) { settings.row = .allow }
        if !p.isSubject(to: .fragmentFlags) { settings.dontFragmentDenied = false }
        if !p.isSubject(to: .minimumFragmentSize) { settings.minimumSize = 0 }
        if !p.isSubject(to: .minimumFragmentOffset) { settings.minimumOffset = 0 }
        if !p.isSubject(to: .smallIPv6Fragment) { settings.smallIPv6Denied = false }
    }

    /// The next held fragment whose datagram is decided, or whose time is over, with its decision; the worker settles
    /// it. Call until nil after each batch and at least every `fragment-hold` while anything is held.
    public mutating func takeRelease(at now: Instant) -> Decision? {
        fragments.expire(at: now)
        guard let release = fragments.takeRelease(), var p = held.take(ticket: release.ticket) else { return nil }
        var decision = conclude(&p, finding(&p, release.outcome), RawSpan())
        decision.ticket = release.ticket
        return decision
    }

    /// How many packets wait for their datagram's first fragment; while it is not 0, the queue settles singly.
    public var heldCount: Int { fragments.heldCount }

    private mutating func finding(_ p: inout Inspection, _ outcome: FragmentOutcome) -> Finding? {
        switch outcome {
        case .decided(let verdict): finding(&p, verdict)
        case .refused(let refusal): Finding(refusal)
        }
    }

    /// What later fragments are told. In tap mode, or where a failure setting lets the first one pass, they are refused
    /// for its reason and pass as it did.
    private mutating func verdict(_ p: inout Inspection, _ finding: Finding) -> DatagramVerdict {
        .dropped(datagramRefusal(&p, finding))
    }

    private mutating func datagramRefusal(_ p: inout Inspection, _ finding: Finding) -> DatagramRefusal {
        DatagramRefusal(
            reason: finding.reason.rawValue, rule: finding.rule, cause: finding.cause.rawValue,
            remedy: p.remedy.rawValue, remedyRule: p.remedyRule, isSilent: isSilenced(finding))
    }

    private mutating func finding(_ p: inout Inspection, _ verdict: DatagramVerdict) -> Finding? {
        switch verdict {
        case .pass: return nil
        case .dropped(let refusal):
            p.remedy = CauseSet(rawValue: refusal.remedy)
            p.remedyRule = refusal.remedyRule
            p.isExplained = true
            return Finding(
                DropReason(rawValue: refusal.reason) ?? .internalStatesError, Cause(rawValue: refusal.cause) ?? .none,
                rule: refusal.rule, posture: refusal.isSilent ? .denySilent : .deny)
        }
    }
}
