// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire

extension Engine {
    /// An outgoing datagram opens an exchange; an incoming one passes as its answer, or is admitted by Force Allow.
    mutating func judgeUDP(_ p: inout Inspection) -> Finding? {
        guard let packet = ConnectionKey.make(p.headers) else { return judgeByRulesAlone(&p) }
        if p.hasFalseSource { return judgeFalseSource(&p) }
        if let i = connection(packet.key, at: p.now) { return judgeKnownUDP(&p, i, packet.sender) }
        p.ruling = policy.classify(subject(&p))
        if p.ruling.outcome == .bypass { return nil }
        return admitDatagram(
            &p, newConnection(&p, packet), unsolicited: .unsolicitedUDP, admitsAllowed: hot.udpAdmitsAllowed)
    }

    /// A datagram to a group that claims to be this host's own, with the ports of an exchange that this host may well have
    /// with the group (multicast DNS uses one port for all): only what admits unsolicited ones lets it in.
    private mutating func judgeFalseSource(_ p: inout Inspection) -> Finding? {
        p.ruling = policy.classify(subject(&p))
        if p.ruling.outcome == .bypass { return nil }
        let isAdmitted = p.ruling.outcome == .forceAllow || hot.udpAdmitsAllowed
        return refusalByRules(&p) ?? (isAdmitted ? nil : Finding(.unsolicitedUDP))
    }

    private mutating func judgeKnownUDP(_ p: inout Inspection, _ i: ConnectionIndex, _ side: Side) -> Finding? {
        switch standing(&p, i, side) {
        case .bypass: return nil
        case .refused(let finding): return finding
        case .goesOn: break
        }
        table.stepUDP(i, from: side, bytes: p.headers.length, at: p.now)
        return nil
    }

    /// Stages R, U and C for the packet that opens an exchange.
    mutating func admitDatagram(
        _ p: inout Inspection, _ opening: Connection, unsolicited: DropReason, admitsAllowed: Bool
    ) -> Finding? {
        let isAdmitted = p.direction == .outgoing || p.ruling.outcome == .forceAllow || admitsAllowed
        let want = isAdmitted ? nil : lackOfRoom(opening.key.trackedProtocol) ?? Finding(unsolicited)
        if let finding = refusalByRules(&p) ?? want {
            rememberRefused(&p, opening, finding)
            return finding
        }
        return insert(&p, opening)
    }
}
