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
        if mayBelongToOlder(&p), let opener = openerByRules(&p, packet.sender) {
            if let finding = flagTraits(&p) { return finding }
            return adopt(&p, packet, opener: opener)
        }
        if let finding = refusalByRules(&p) ?? flagTraits(&p) { return finding }
        let action = outOfConnectionAction(&p)
        if action.drops {
            let finding = lackOfRoom(.tcp) ?? Finding(.outOfConnection, posture: action)
            rememberRefused(&p, midstream(&p, packet, opener: packet.sender), finding)
            return finding
        }
        if action == .log { p.log(.outOfConnection) }
        guard p.direction == .outgoing, p.headers.tcp.dataLength > 0 else { return nil }
        return adopt(&p, packet, opener: packet.sender)
    }

    /// Only a first SYN and some RSTs lack ACK (RFC 9293 sections 3.5.2 and 3.10.7.4); what else lacks it belongs to no
    /// connection, known or not.
    private mutating func mayBelongToOlder(_ p: inout Inspection) -> Bool {
        guard !p.headers.tcp.flags.isDisjoint(with: .ack | .rst) else { return false }
        return p.now < graceEnds || mayHaveMissedPackets(at: p.now)
    }

    /// The strictest row that speaks of this packet; none speaks of the rest, which is refused.
    private mutating func outOfConnectionAction(_ p: inout Inspection) -> PostureAction {
        var action: PostureAction?
        func consider(_ row: PostureAction) { action = action.map { row.stricter(than: $0) } ?? row }
        if p.headers.tcp.flags.contains(.rst) { consider(hot.posture.rstOutOfConnection) }
        if p.headers.tcp.flags.contains(.fin) { consider(hot.posture.finOutOfConnection) }
        if p.direction == .outgoing { consider(hot.posture.outgoingOutOfConnection) }
        return action ?? .deny
    }

    /// The side whose SYN the rules would have admitted: the sender's own direction first, then the other.
    private mutating func openerByRules(_ p: inout Inspection, _ side: Side) -> Side? {
        var s = subject(&p)
        s.flags = .syn
        if admits(s) { return side }
        s.direction = s.direction.opposite
        swap(&s.source, &s.destination)
        swap(&s.sourcePort, &s.destinationPort)
        s.sourceMAC = p.headers.destinationMAC
        s.destinationMAC = p.headers.sourceMAC
        return admits(s) ? side.opposite : nil
    }

    private mutating func admits(_ s: RuleSubject) -> Bool {
        switch policy.classify(s).outcome {
        case .forceAllow, .allow, .noMatch: true
        case .bypass, .deny, .implicitDeny, .undetermined: false
        }
    }

    /// Takes a connection over in mid-stream: windows are learnt from both sides.
    private mutating func adopt(_ p: inout Inspection, _ packet: KeyedPacket, opener: Side) -> Finding? {
        insert(&p, midstream(&p, packet, opener: opener))
    }

    private mutating func midstream(
        _ p: inout Inspection, _ packet: KeyedPacket, opener: Side
    ) -> Connection {
        var c = newConnection(&p, packet)
        c.opener = opener
        if opener != packet.sender {
            c.openingDirection = p.direction.opposite
            c.openingMAC = p.headers.destinationMAC
        }
        c.tcp = TCPTracker.adopt(p.headers.tcp, from: packet.sender, opener: opener, at: p.now)
        return c
    }
}
