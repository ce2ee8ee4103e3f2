// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire

extension Engine {
    mutating func judgeKnownUDP(_ p: inout Inspection, _ i: ConnectionIndex, _ side: Side) -> Finding? {
        switch standing(&p, i, side) {
        case .bypass: return nil
        case .refused(let finding): return finding
        case .goesOn: break
        }
        if isMisdirected(&p, i, side), let finding = findingOfUnsolicitedUDP(&p) { return finding }
        if !p.leavesNoTrace { table.stepUDP(i, from: side, bytes: p.headers.length, at: p.now) }
        return nil
    }

    /// An outgoing datagram opens an exchange; an incoming one is admitted by Force Allow.
    mutating func judgeUnknownUDP(_ p: inout Inspection, _ packet: KeyedPacket) -> Finding? {
        admitDatagram(
            &p, newConnection(&p, packet), Finding(.unsolicitedUDP, .udpAdmit), admitsAllowed: hot.udpAdmitsAllowed)
    }

    /// A datagram to a group that claims to be this host's own, with the ports of an exchange that this host may well have
    /// with the group (multicast DNS uses one port for all): only what admits unsolicited ones lets it in.
    mutating func judgeFalseSource(_ p: inout Inspection) -> Finding? { findingOfUnsolicitedUDP(&p) }

    /// What keeps out a datagram that comes in and can be the answer to none.
    private mutating func findingOfUnsolicitedUDP(_ p: inout Inspection) -> Finding? {
        let isAdmitted = p.ruling.outcome == .forceAllow || hot.udpAdmitsAllowed || !p.isSubject(to: .udpAdmit)
        return refusalByRules(&p) ?? (isAdmitted ? nil : Finding(.unsolicitedUDP, .udpAdmit))
    }

    /// Stages R, U and C for the packet that opens an exchange. Where it is the late answer of one that was forgotten, the
    /// timeout decided.
    mutating func admitDatagram(
        _ p: inout Inspection, _ opening: Connection, _ unsolicited: Finding, admitsAllowed: Bool
    ) -> Finding? {
        let isAdmitted =
            p.direction == .outgoing || p.ruling.outcome == .forceAllow || admitsAllowed
            || !p.isSubject(to: unsolicited.cause)
        let want = isAdmitted ? nil : lackOfRoom(&p, opening.key.trackedProtocol) ?? unsolicited
        guard var finding = refusalByRules(&p) ?? want else { return insert(&p, opening) }
        if finding.reason != .deny, let timeout = timeoutOfForgotten(&p) {
            guard p.isSubject(to: timeout) else { return nil }
            finding.cause = timeout
        }
        rememberRefused(&p, opening, finding)
        return finding
    }
}
