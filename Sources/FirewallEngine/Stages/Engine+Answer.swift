// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire

/// What is said to who sent a packet that a rule refuses, or that none admits: `reply` of the rule, or `default.reply`. No other
/// reason is answered.
///
/// An answer is never longer than the packet that it answers, so that nobody who forges a source makes this host send its victim
/// more than he sends himself. Only what a program of this host has sent may get a longer one: it never leaves the host. Where
/// the ICMP error that a rule wants about a TCP segment would be too long (over IPv6 it always is about a SYN of the usual length),
/// a reset takes its place, so that a connection still fails at once.
extension Engine {
    /// What a refused packet gets, and why it gets nothing.
    struct AnswerPlan: BitwiseCopyable {
        var reply = Reply.none
        var silence: Silence?
    }

    /// Answers a packet that is dropped, where it is to be answered; says by what.
    mutating func answer(_ p: inout Inspection, _ finding: Finding, _ bytes: RawSpan) -> Reply {
        guard canAnswer, p.metadata.hook.isKnown else { return .none }
        let plan = answerPlan(&p, finding, bytes)
        guard plan.reply != .none else {
            if plan.silence != nil { counters.unanswerable &+= 1 }
            return .none
        }
        guard answers.hasRoom, answerBudget.take(for: p.headers.source, at: p.now) else {
            counters.answersWithheld &+= 1
            return .none
        }
        emit(&p, plan.reply, bytes)
        counters.answers[Int(plan.reply.rawValue)] &+= 1
        return plan.reply
    }

    /// What the policy wants said about this refusal. What a rule would have admitted, had its connection not been forgotten or begun
    /// before the agent, is not told to give up: this host's own next packet takes the connection up again.
    private mutating func wantedReply(_ finding: Finding) -> Reply {
        switch finding.reason {
        case .deny: finding.rule >= 0 ? policy.rules[Int(finding.rule)].reply : .none
        case .outOfAllowedPolicy, .outOfAllowedPolicyOpenPort:
            finding.cause == .noAllowRule ? hot.replyToUnmatched : .none
        default: .none
        }
    }

    /// The answer to a packet that was refused so. Budgets apart, and whether it passes all the same.
    mutating func answerPlan(_ p: inout Inspection, _ finding: Finding, _ bytes: RawSpan) -> AnswerPlan {
        let wanted = wantedReply(finding)
        guard wanted != .none, p.headers.isIP else { return AnswerPlan() }
        if overrides(finding) != nil { return AnswerPlan(silence: .passes) }
        if let silence = silence(&p, bytes) { return AnswerPlan(silence: silence) }
        let reset = PacketEmitter.lengthOfReset(answering: p.headers)
        if wanted == .reset, reset != nil { return fits(&p, reset) ? AnswerPlan(reply: .reset) : tooShort }
        let unreachable = PacketEmitter.lengthOfUnreachable(
            quoting: p.headers, present: bytes.byteCount, atMost: answerLimit(&p))
        if unreachable != nil { return AnswerPlan(reply: wanted == .prohibited ? .prohibited : .unreachable) }
        return fits(&p, reset) ? AnswerPlan(reply: .reset) : tooShort
    }

    private var tooShort: AnswerPlan { AnswerPlan(silence: .tooShort) }

    private mutating func fits(_ p: inout Inspection, _ length: Int?) -> Bool {
        length.map { $0 <= answerLimit(&p) } ?? false
    }

    private mutating func answerLimit(_ p: inout Inspection) -> Int { staysHere(&p) ? .max : Int(p.headers.length) }

    /// Whether the answer to a packet is to a program of this host.
    private mutating func staysHere(_ p: inout Inspection) -> Bool {
        p.isLoopback || (p.direction == .outgoing && p.metadata.hook != .forward)
    }

    private mutating func silence(_ p: inout Inspection, _ bytes: RawSpan) -> Silence? {
        if isToSeveral(&p) { return .toGroup }
        if !isFromOne(&p) { return .source }
        if p.headers.fragment.isFragment, p.headers.fragment.offset != 0 || p.headers.transport == .tcp {
            return .fragment
        }
        if !asks(&p) { return .asksNothing }
        return hasRightChecksum(&p, bytes) ? nil : .checksum
    }

    private mutating func isToSeveral(_ p: inout Inspection) -> Bool {
        let address = p.headers.destinationMAC
        if address != .none, address.bits >> 40 & 1 != 0 { return true }
        return hostAddresses.isToGroup(&p.headers) || p.headers.destination == .zero
    }

    /// What comes in with an address of this host as its source comes from somebody else; what goes out with another, to whom its
    /// answer would leave this host, has not been sent for itself.
    private mutating func isFromOne(_ p: inout Inspection) -> Bool {
        let source = p.headers.source
        if p.headers.network == .ipv4 {
            if source.v4 == 0 || source.v4 >> 28 >= 0xe || hostAddresses.isBroadcast(source) { return false }
        } else if source == .zero || source.high >> 56 == 0xff {
            return false
        }
        if p.isLoopback || !hostAddresses.isKnown { return true }
        if staysHere(&p) { return hostAddresses.isOwn(source, on: p.metadata.outInterface) }
        return !p.hasFalseSource && !hostAddresses.isOwn(source, on: p.metadata.inInterface)
    }

    private mutating func asks(_ p: inout Inspection) -> Bool {
        switch p.headers.transport {
        case .tcp: !p.headers.tcp.flags.contains(.rst)
        case .icmp: ICMPQuery(type: p.headers.icmp.type).map { !$0.isReply } ?? false
        case .icmpv6: p.headers.icmp.type == ICMPv6Type.echoRequest
        case .udp, .other: true
        case .none: false
        }
    }

    /// Its receiver would discard a packet whose checksum is wrong, and answer nothing. What the kernel has verified, or still
    /// has to fill in, is taken as it is; the sum of a first fragment is not known before the others have come.
    private mutating func hasRightChecksum(_ p: inout Inspection, _ bytes: RawSpan) -> Bool {
        if p.isDisbelieved { return false }
        guard p.metadata.checksumNotVerified, !p.metadata.checksumNotReady, !p.metadata.isSegmentationOffload,
            !p.headers.fragment.isFragment
        else { return true }
        return !p.headers.isCut && bytes.byteCount >= Int(p.headers.networkOffset) + Int(p.headers.length)
            && TransportChecksum.isValid(bytes, p.headers)
    }

    /// A reset comes from whom the packet was sent to. So does an ICMP error about what was sent to this host; about what it
    /// forwards, or has sent itself, it bears an address of this host that the kernel chooses by the way to its receiver.
    private mutating func emit(_ p: inout Inspection, _ reply: Reply, _ bytes: RawSpan) {
        let isForHost =
            p.direction == .incoming && p.metadata.hook != .forward
            && hostAddresses.isOwn(p.headers.destination, on: p.metadata.inInterface)
        let source = isForHost || reply == .reset ? p.headers.destination : .zero
        // Over IPv4 a link is a way out: only to who is on it himself. What stays here has none.
        let isOfLink =
            p.headers.network == .ipv4
            ? AddressSanity.isLinkLocal(p.headers.source) && !staysHere(&p)
            : AddressSanity.isLinkLocal(p.headers.source) || AddressSanity.isLinkLocal(p.headers.destination)
        let link =
            p.direction == .incoming || p.metadata.hook == .forward ? p.metadata.inInterface : p.metadata.outInterface
        let length =
            reply == .reset
            ? PacketEmitter.appendReset(answering: p.headers, to: &answers.bytes)
            : PacketEmitter.appendUnreachable(
                reply == .prohibited ? .prohibited : .port, quoting: p.headers, bytes, from: source,
                atMost: answerLimit(&p), to: &answers.bytes)
        answers.append(
            Answer(
                reply: reply, network: p.headers.network, source: source, isFromHost: isForHost || reply != .reset,
                destination: p.headers.source, link: isOfLink ? link : 0),
            length: length)
    }
}
