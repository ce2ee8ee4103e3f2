// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire

extension Engine {
    /// A TCP packet that opens nothing and belongs to nothing known.
    ///
    /// During the cold start it may belong to a connection older than the agent, and after packets passed unseen to one
    /// whose opening did; otherwise the posture rows for RST, FIN and outgoing packets decide, and everything else is Out Of
    /// Connection.
    mutating func judgeOutOfConnection(_ p: inout Inspection, _ packet: KeyedPacket) -> Finding? {
        if isInGrace(&p), let opener = openerOfOlder(&p) {
            if let finding = flagTraits(&p) { return finding }
            if records(&p) {
                record(.takenOver(opening: opener == packet.sender ? p.direction : p.direction.opposite))
            }
            return adopt(&p, packet, opener: opener)
        }
        if var finding = refusalByRules(&p) {
            guard let cause = causeOfAbsence(&p) else { return finding }
            guard p.isSubject(to: cause) else { return nil }
            finding.cause = cause
            return finding
        }
        if let finding = flagTraits(&p) ?? lackOfACK(&p) { return finding }
        let (action, row) = outOfConnectionRow(&p)
        guard action.drops else {
            if action == .log { p.notices.insert(.outOfConnection) }
            return resume(&p, packet)
        }
        return refuseOutOfConnection(&p, packet, action, row)
    }

    /// A segment after the SYN without ACK, RST excepted, is nonsense in every connection, so also in none. One without any
    /// flag is here only because its row lets it pass.
    private mutating func lackOfACK(_ p: inout Inspection) -> Finding? {
        let flags = p.headers.tcp.flags
        guard flags.isDisjoint(with: .ack | .rst | .syn), !flags.isDisjoint(with: .ruleFlags) else { return nil }
        return Finding(.invalidFlags, .noAcknowledgement)
    }

    private mutating func refuseOutOfConnection(
        _ p: inout Inspection, _ packet: KeyedPacket, _ action: PostureAction, _ row: Cause?
    ) -> Finding? {
        let timeout = timeoutOfForgotten(&p)
        if let timeout, !p.isSubject(to: timeout) { return nil }
        let cause = timeout ?? row ?? causeOfAbsence(&p) ?? causeOfNoOpener(&p)
        let finding = lackOfRoom(&p, .tcp) ?? Finding(.outOfConnection, cause, posture: action)
        rememberRefused(&p, midstream(&p, packet, opener: packet.sender), finding)
        return finding
    }

    /// Why no connection is known of a segment that would pass as one of a connection: it was forgotten, or is older than the
    /// agent and comes after the time in which those are admitted. nil: that is not all that it lacks.
    private mutating func causeOfAbsence(_ p: inout Inspection) -> Cause? {
        if let timeout = timeoutOfForgotten(&p) { return timeout }
        guard p.now - clock.agentStarted < Timeouts.longest else { return nil }
        return openerOfOlder(&p) == nil ? nil : .coldStart
    }

    /// Why a segment that the rules pass is of no older connection: no rule would admit the opening of one, or it is of none.
    private mutating func causeOfNoOpener(_ p: inout Inspection) -> Cause {
        let mayBeOfOlder = !p.headers.tcp.flags.isDisjoint(with: .ack | .rst)
        return mayBeOfOlder && p.now - clock.agentStarted < Timeouts.longest ? .noAllowRule : .noConnection
    }

    /// Whether connections older than the agent, or whose opening passed unseen, are admitted now.
    private mutating func isInGrace(_ p: inout Inspection) -> Bool {
        p.now < graceEnds || mayHaveMissedPackets(at: p.now) || !p.isSubject(to: .coldStart)
    }

    /// The opener of the older connection that this segment may be of; nil: of none.
    ///
    /// Only a first SYN and some RSTs lack ACK (RFC 9293 sections 3.5.2 and 3.10.7.4); what else lacks it belongs to no
    /// connection, known or not.
    private mutating func openerOfOlder(_ p: inout Inspection) -> Side? {
        guard !p.headers.tcp.flags.isDisjoint(with: .ack | .rst) else { return nil }
        return openerByRules(&p, p.packet.sender)
    }

    /// The strictest row that speaks of this packet, and that row where it drops the packet; none speaks of the rest, which is
    /// refused.
    private mutating func outOfConnectionRow(_ p: inout Inspection) -> (action: PostureAction, cause: Cause?) {
        var action: PostureAction?
        var cause: Cause?
        func consider(_ row: PostureAction, _ its: Cause, _ isSubject: Bool) {
            let row = row.drops && !isSubject ? .allow : row
            if cause == nil, row.drops { cause = its }
            action = action.map { row.stricter(than: $0) } ?? row
        }
        let rows = hot.posture
        if p.headers.tcp.flags.contains(.rst) {
            consider(rows.rstOutOfConnection, .rstOutOfConnectionRow, p.isSubject(to: .rstOutOfConnectionRow))
        }
        if p.headers.tcp.flags.contains(.fin) {
            consider(rows.finOutOfConnection, .finOutOfConnectionRow, p.isSubject(to: .finOutOfConnectionRow))
        }
        if p.direction == .outgoing {
            consider(
                rows.outgoingOutOfConnection, .outgoingOutOfConnectionRow, p.isSubject(to: .outgoingOutOfConnectionRow))
        }
        return (action ?? .deny, cause)
    }

    /// The side that may have opened the connection, and whose SYN the rules would have admitted.
    ///
    /// A port of this host that listens was not opened from. Nor, most likely, was one to which nobody listens opened to, so
    /// that the host's own direction is asked first; where nothing is known of this host's ports, that of the packet.
    private mutating func openerByRules(_ p: inout Inspection, _ sender: Side) -> Side? {
        let isOfHost = ownSides(&p)
        let senderListens = isOfHost.sender && listeningPorts.contains(tcp: p.headers.sourcePort)
        let receiverListens = isOfHost.receiver && listeningPorts.contains(tcp: p.headers.destinationPort)
        if senderListens != receiverListens {
            return admitsOpening(&p, bySender: receiverListens) ? (receiverListens ? sender : sender.opposite) : nil
        }
        let senderFirst = isOfHost.sender || !isOfHost.receiver || !listeningPorts.knowsTCP
        if admitsOpening(&p, bySender: senderFirst) { return senderFirst ? sender : sender.opposite }
        return admitsOpening(&p, bySender: !senderFirst) ? (senderFirst ? sender.opposite : sender) : nil
    }

    /// Which sides of the connection are this host.
    private mutating func ownSides(_ p: inout Inspection) -> (sender: Bool, receiver: Bool) {
        switch p.metadata.hook {
        case .prerouting, .input: (p.isLoopback, true)
        case .output, .postrouting: (true, p.isLoopback)
        case .forward, .none, .unknown: (false, false)
        }
    }

    /// Whether the rules would admit the SYN of one side, seen where this packet is; through the loopback interface it goes out
    /// and comes in.
    mutating func admitsOpening(_ p: inout Inspection, bySender: Bool) -> Bool {
        var s = subject(&p)
        s.flags = .syn
        if !bySender {
            s.direction = s.direction.opposite
            swap(&s.source, &s.destination)
            swap(&s.sourcePort, &s.destinationPort)
            s.sourceMAC = p.headers.destinationMAC
            s.destinationMAC = p.headers.sourceMAC
        }
        if hot.examinesSender { s.senders = sendersOfOpener(&p, isBySender: bySender, s.direction) }
        guard admits(&p, s) else { return false }
        guard p.isLoopback else { return true }
        s.direction = s.direction.opposite
        if hot.examinesSender { s.senders = sendersOfOpener(&p, isBySender: bySender, s.direction) }
        return admits(&p, s)
    }

    private mutating func admits(_ p: inout Inspection, _ s: RuleSubject) -> Bool {
        let outcome = ruling(on: s).outcome
        if outcome == .deny, !p.isSubject(to: .denyRule) { return true }
        if outcome == .implicitDeny, !p.isSubject(to: .noAllowRule) { return true }
        return switch outcome {
        case .forceAllow, .allow, .noMatch: true
        case .bypass, .deny, .implicitDeny, .undetermined: false
        }
    }

    /// Takes a connection over in mid-stream: windows are learnt from both sides. A RST ends it, and leaves nothing to take over.
    private mutating func adopt(_ p: inout Inspection, _ packet: KeyedPacket, opener: Side) -> Finding? {
        p.headers.tcp.flags.contains(.rst) ? nil : insert(&p, midstream(&p, packet, opener: opener))
    }

    /// What this host goes on sending on a connection that was forgotten passes by the posture; so that it is answered, the
    /// connection is taken over where a cold start would do so, and no computer has more of them by that than its limit.
    private mutating func resume(_ p: inout Inspection, _ packet: KeyedPacket) -> Finding? {
        guard p.direction == .outgoing, p.headers.tcp.dataLength > 0, let opener = openerOfOlder(&p) else { return nil }
        var opening = midstream(&p, packet, opener: opener)
        opening.tcp = TCPTracker.open(p.headers.tcp, from: opener, at: p.now)
        let shortage = table.shortage(for: opening, replaces: true)
        if shortage.contains(.incoming) || shortage.contains(.outgoing) { return nil }
        return adopt(&p, packet, opener: opener)
    }

    mutating func midstream(
        _ p: inout Inspection, _ packet: KeyedPacket, opener: Side
    ) -> Connection {
        var c = newConnection(&p, packet)
        c.opener = opener
        if opener != packet.sender {
            c.openingDirection = p.direction.opposite
            c.openingMAC = p.headers.destinationMAC
        }
        c.isSenderUnknown = isSenderUnknown(&p, isBySender: opener == packet.sender, c.openingDirection)
        c.tcp = TCPTracker.adopt(p.headers.tcp, from: packet.sender, opener: opener, at: p.now)
        return c
    }
}
