// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import TestSupport

@testable import ConnectionTracking

/// The path, and the tracker on it.
extension TCPModel {
    func side(_ party: Party) -> Side { party == .client ? clientSide : clientSide.opposite }

    mutating func travel(_ s: Sent, leg index: Int, _ event: (Sent) -> Event) {
        let leg = legs[index]
        defer { plannedLosses >>= 1 }
        if plannedLosses & 1 == 1 || Double.random(in: 0..<1, using: &random) < leg.loss { return }
        let copies = Double.random(in: 0..<1, using: &random) < leg.duplication ? 2 : 1
        for _ in 0..<copies {
            queue.add(event(s), at: now + leg.delay + Int64.random(in: 0...leg.jitter, using: &random))
        }
    }

    mutating func observe(_ s: Sent, from party: Party) {
        report.segments += 1
        if s.fields.flags.contains(.rst) {
            report.resets += 1
            if now >= startsAt { resetLeft[party] = max(s.time, resetLeft[party] ?? 0) }
        }
        if now < startsAt, TCPTracker.isOpening(s.fields) { missedSYNs.insert(s.fields.sequence) }
        if now >= startsAt, !judge(s, from: party) { return }
        travel(s, leg: party == .client ? 1 : 3) { .arrives(party.peer, $0.fields) }
    }

    /// Whether the segment goes on.
    private mutating func judge(_ s: Sent, from party: Party) -> Bool {
        let instant = Instant(nanoseconds: now * 1_000)
        note(s.fields, from: party)
        guard var known = state else {
            // A duplicate of a SYN, after a handshake that was missed, would be taken for the beginning.
            if missedSYNs.contains(s.fields.sequence), TCPTracker.isOpening(s.fields) { return true }
            if TCPTracker.isOpening(s.fields) {
                state = TCPTracker.open(s.fields, from: side(party), at: instant)
            } else if !s.fields.flags.contains(.rst) {
                state = TCPTracker.adopt(s.fields, from: side(party), opener: clientSide, at: instant)
                report.takenOver += 1
            }
            return true
        }
        let before = known
        let step = TCPTracker.step(&known, s.fields, from: side(party), at: instant, posture, unseenBytes: 0)
        state = known
        report.phases.insert(known.phase)
        if before.isClaimed, known.hasWindows { report.agreed += 1 }
        if step.reopened { report.reopened += 1 }
        if before.isHalfOpen, !known.isHalfOpen, known.phase != .closed {
            report.established += 1
            if client.crossed || server.crossed { report.crossed += 1 }
        }
        if let refusal = step.refusal {
            report.excused += 1
            if !isExpected(refusal, of: s, from: party, before) {
                fail("\(refusal) of \(party)'s \(s.fields) in \(before)")
            }
        }
        if !known.isConsistent { fail("contradicts itself: \(known)") }
        return step.refusal == nil
    }

    /// Some refusals are right although the segments are honest, and do no harm. A RST outside its receiver's window is
    /// discarded there as well. A SYN+ACK or new data of a side that has reset the connection, which its RST has overtaken,
    /// cannot be told from that of somebody else. Nor can what an old connection has left behind when the next is there
    /// (RFC 9293 section 3.4.3), nor what belongs to an opening that the tracker missed, beside one or a connection
    /// that it knows.
    private func isExpected(_ refusal: TCPRefusal, of s: Sent, from party: Party, _ before: TCPState) -> Bool {
        let isSYNACK = s.fields.flags.contains(.syn) && s.fields.flags.contains(.ack)
        if refusal == .packetOnClosedConnection, isOfGivenUp(s, party, before) { return true }
        if before.handshake.isUnderWay, startsAt > 0 { return true }
        if isSYNACK, isOvertaken(s, party) { return true }
        let isOverUnopened = before.phase == .closed && (before.handshake.stage == .none || before.windows == .none)
        if isSYNACK || isOverUnopened, hasMissedOpening(s, party) { return true }
        if s.fields.flags.contains(.rst) { return self[party.peer].ignoresReset(s.fields) }
        if isOutlived(s, party, before) { return true }
        return refusal == .packetOnClosedConnection && before[side(party)].marks.contains(.reset)
            && isOvertaken(s, party)
    }

    /// A segment of the connection that its sender's last SYN, or a late copy of it, takes for over.
    private func isOfGivenUp(_ s: Sent, _ party: Party, _ before: TCPState) -> Bool {
        before.isHalfOpen && before.windows != .none && side(party) == before.handshake.opener
            && (s.initial != before.handshake.offer.isn || before.handshake.answer.marks.contains(.earlier)
                || before.handshake.answer.isn(acknowledgedBy: s.fields.acknowledgement) == nil)
    }

    private func hasMissedOpening(_ s: Sent, _ party: Party) -> Bool {
        missedSYNs.contains(s.initial) || initials[party.peer, default: []].contains(where: missedSYNs.contains)
    }

    private func isOvertaken(_ s: Sent, _ party: Party) -> Bool { s.time <= resetLeft[party] ?? -1 }

    /// Whether the windows are those of a later connection of the sender.
    private func isOutlived(_ s: Sent, _ party: Party, _ state: TCPState) -> Bool {
        guard state.hasWindows, state[side(party)].marks.contains(.young),
            let own = initials[party]?.lastIndex(of: s.initial),
            let known = initials[party]?.lastIndex(of: state[side(party)].start)
        else { return false }
        return own < known
    }
}

// MARK: - What is told of a failure

extension TCPModel {
    private static let historyLength = 40

    mutating func fail(_ what: String) {
        report.failure = report.failure ?? "seed \(seed): \(what)\n\(recentHistory)"
    }

    mutating func note(_ s: TCPFields, from party: Party) {
        if history.count == 2 * Self.historyLength { history.removeFirst(Self.historyLength) }
        history.append((now, party, s, state?.phase))
    }

    private var recentHistory: String {
        let lines = history.suffix(Self.historyLength).map { entry in
            let s = entry.segment
            return "\(entry.time) \(entry.party) flags \(s.flags.rawValue) seq \(s.sequence) ack \(s.acknowledgement)"
                + " data \(s.dataLength) win \(s.window) sack \(s.sackHighest)"
                + " \(entry.phase.map { "\($0)" } ?? "unknown")"
        }
        return lines.joined(separator: "\n")
    }
}
