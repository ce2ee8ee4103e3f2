// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
public import PacketWire

extension Engine {
    /// Stage F, then the datagram's first fragment through the other stages; later ones follow its verdict.
    mutating func inspectFragment(_ p: inout Inspection, _ bytes: RawSpan) -> Decision {
        counters.fragments &+= 1
        if hot.fragments.all == .log { p.log(.fragmented) }
        switch fragments.check(p.headers, direction: p.direction, at: p.now, hot.fragments) {
        case .refused(let refusal, let silently):
            return conclude(&p, Finding(DropReason(refusal), posture: silently ? .denySilent : .deny), bytes)
        case .decided(let verdict):
            return conclude(&p, finding(verdict), bytes)
        case .first(let record):
            let finding = judgeFirst(&p)
            fragments.decide(record, verdict(finding))
            return conclude(&p, finding, bytes)
        case .awaitsFirst(let record):
            return settleOrHold(&p, record, bytes)
        }
    }

    /// The first fragment has the headers that decide; of a TCP segment, more bytes may follow than it shows.
    private mutating func judgeFirst(_ p: inout Inspection) -> Finding? {
        if p.headers.transportCutByFragmentation { return Finding(.unreadableProtocolHeader) }
        p.unseenBytes = UInt32(UInt16.max) - min(UInt32(UInt16.max), p.headers.length)
        return judge(&p)
    }

    /// A fragment before its datagram's first one: settled at once by what addresses, protocol and interface alone
    /// decide, otherwise held.
    private mutating func settleOrHold(_ p: inout Inspection, _ record: DatagramRecord, _ bytes: RawSpan) -> Decision {
        var s = subject(&p)
        s.transportIsUnknown = true
        p.ruling = policy.classify(s)
        if isSettledByRules(&p, s) { return conclude(&p, refusalByRules(&p), bytes) }
        guard let ticket = fragments.hold(record, at: p.now) else {
            return conclude(&p, Finding(.incompleteDatagram), bytes)
        }
        held.keep(p, ticket: ticket)
        return Decision(verdict: .hold, ticket: ticket)
    }

    /// Whether the first fragment, whatever it says, cannot lead to another verdict. What needs an Allow rule may belong to
    /// a connection, which needs none; and TCP goes through the tracker also where a rule forces it.
    private mutating func isSettledByRules(_ p: inout Inspection, _ s: RuleSubject) -> Bool {
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

    /// The next held fragment whose datagram is decided, or whose time is over, with its decision; the worker settles
    /// it. Call until nil after each batch and at least every `fragment-hold` while anything is held.
    public mutating func takeRelease(at now: Instant) -> Decision? {
        fragments.expire(at: now)
        guard let release = fragments.takeRelease(), var p = held.take(ticket: release.ticket) else { return nil }
        var decision = conclude(&p, finding(release.outcome), RawSpan())
        decision.ticket = release.ticket
        return decision
    }

    /// How many packets wait for their datagram's first fragment; while it is not 0, the queue settles singly.
    public var heldCount: Int { fragments.heldCount }

    private mutating func finding(_ outcome: FragmentOutcome) -> Finding? {
        switch outcome {
        case .decided(let verdict): finding(verdict)
        case .refused(let refusal): Finding(DropReason(refusal))
        }
    }

    /// What later fragments are told. In tap mode, or where a failure setting lets the first one pass, they are refused
    /// for its reason and pass as it did.
    private mutating func verdict(_ finding: Finding?) -> DatagramVerdict {
        guard let finding else { return .pass }
        return .dropped(
            reason: finding.reason.rawValue, rule: finding.rule, silently: isSilenced(finding))
    }

    private mutating func finding(_ verdict: DatagramVerdict) -> Finding? {
        switch verdict {
        case .pass: return nil
        case .dropped(let reason, let rule, let silently):
            return Finding(
                DropReason(rawValue: reason) ?? .internalStatesError, rule: rule,
                posture: silently ? .denySilent : .deny)
        }
    }
}
