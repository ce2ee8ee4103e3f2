// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import PacketWire

/// Packets that come after their connection was forgotten: not admitted, but told apart from those that never had one.
extension Engine {
    /// The timeout that decided over a packet of no known connection: it is of one that was known until its time was over, and
    /// would pass if it were known still. nil: there was none, or the packet would be refused all the same.
    mutating func timeoutOfForgotten(_ p: inout Inspection) -> Cause? {
        guard let forgotten = table.forgotten(p.packet.key), p.now - forgotten.lastSeen < Timeouts.longest,
            isStillAdmitted(forgotten), belongs(&p, to: forgotten)
        else { return nil }
        return Cause(timeoutOf: forgotten.stage)
    }

    private mutating func isStillAdmitted(_ forgotten: Connection) -> Bool {
        forgotten.generation == generation || openingFinding(ruling(on: openingSubject(forgotten)), forgotten) == nil
    }

    private mutating func belongs(_ p: inout Inspection, to forgotten: Connection) -> Bool {
        switch p.exchange {
        case .tcp: return belongsToTCP(&p, forgotten)
        case .udp: return true
        case .icmpReply:
            var exchange = forgotten
            return ICMPTracker.step(&exchange, isReply: true, sender: p.packet.sender, at: p.now) == .belongs
        default: return false
        }
    }

    private mutating func belongsToTCP(_ p: inout Inspection, _ forgotten: Connection) -> Bool {
        var state = forgotten.tcp
        let idle = p.now - forgotten.lastSeen
        let isJudgedAnew = TCPTracker.isOpening(p.headers.tcp)
        return !isJudgedAnew && flagTraits(&p) == nil && step(&p, &state, p.packet.sender, idle: idle).refusal == nil
    }

    /// One step of the TCP machine on a copy of the state, with the rows that are taken as turned.
    mutating func step(
        _ p: inout Inspection, _ state: inout TCPState, _ side: Side, idle: Instant.Span
    ) -> TCPStep {
        var posture = hot.posture
        if !p.isSubject(to: .invalidTimestampsRow) { posture.invalidTimestamps = .allow }
        if !p.isSubject(to: .pawsZeroRow) { posture.pawsZero = .allow }
        if !p.isSubject(to: .synDataRow) { posture.synData = .allow }
        if !p.isSubject(to: .splitHandshakeRow) { posture.splitHandshake = .allow }
        if !p.isSubject(to: .tcpAuthOptionRow) { posture.tcpAuthOption = .allow }
        return TCPTracker.step(
            &state, p.headers.tcp, from: side, at: p.now, posture, unseenBytes: p.unseenBytes, idle: idle)
    }
}
