// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire

extension Engine {
    mutating func judgeKnownUDP(_ p: inout Inspection, _ i: ConnectionIndex, _ packet: KeyedPacket) -> Finding? {
        let side = packet.sender
        if isOpenedAnew(&p, i, by: side) {
            vacate(&p, i)
            return judgeUnknown(&p, .udp, packet)
        }
        switch standing(&p, i, side) {
        case .bypass: return nil
        case .refused(let finding): return finding
        case .goesOn: break
        }
        if isMisdirected(&p, i, side), !mayBeOwnCopy(&p), let finding = findingOfUnsolicitedUDP(&p) { return finding }
        if !p.leavesNoTrace { table.stepUDP(i, from: side, bytes: p.headers.length, at: p.now) }
        return nil
    }

    /// Whether this may be the copy of what this host has sent to a group from an address that is not known yet, which takes a second
    /// at most: the kernel loops it before it has a link header, and trusts its own checksums.
    private mutating func mayBeOwnCopy(_ p: inout Inspection) -> Bool {
        p.headers.sourceMAC == .none && !p.metadata.checksumNotVerified && p.metadata.hook != .forward
            && hostAddresses.isToGroup(&p.headers)
    }

    /// What the other side of a refused exchange sends within this time after what it sent last is an answer still.
    private static var answersWithin: Instant.Span { .seconds(2) }

    /// Whether what this side sends is no part of a refused exchange, but may begin one of its own: clients and servers that use one
    /// port for both (NTP, WireGuard, IKE) would otherwise have to wait for each other's silence. In tap mode nothing was refused.
    private mutating func isOpenedAnew(_ p: inout Inspection, _ i: ConnectionIndex, by side: Side) -> Bool {
        rejudgeIfOutdated(&p, i, side)
        guard table.standing(of: i).refusal.isRefused, !hot.isTap else { return false }
        return side != table[i].opener && p.now - table[i].lastSeen >= Self.answersWithin
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
        guard var finding = refusalByRules(&p) ?? want else { return insertWithinRate(&p, opening) }
        if finding.reason != .deny, let timeout = timeoutOfForgotten(&p) {
            guard p.isSubject(to: timeout) else { return nil }
            finding.cause = timeout
        }
        rememberRefused(&p, opening, finding)
        return finding
    }
}
