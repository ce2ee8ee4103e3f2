// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire

/// Stage T on what a segment carries. All of it is asked of a segment whose step would pass, before that step is made, and only
/// where the policy has something read (`HotSettings.readsPayload`).
extension Engine {
    /// Reserves what reading and counting need, or gives it back: when a policy comes into force, never for a packet.
    mutating func preparePayload() {
        controls.prepare(isUsed: hot.ftp.isOn)
        expectations.prepare(isUsed: hot.ftp.isOn)
        sent.prepare(isUsed: hot.comparesRetransmits)
        scans.prepare(isUsed: hot.watchesScans)
        table.countACKs(hot.ackStormThreshold != .max)
    }

    /// What speaks against the data of a segment that the tracker would let pass.
    mutating func objection(
        _ p: inout Inspection, _ i: ConnectionIndex, _ side: Side, _ bytes: RawSpan
    ) -> Finding? {
        guard hot.comparesRetransmits || p.headers.tcp.dataLength > 0, bytes.byteCount > 0 else { return nil }
        let before = table[i].tcp
        var state = before
        let trial = step(&p, &state, side, idle: p.now - table[i].lastSeen)
        guard trial.refusal == nil, !trial.isIgnored else { return nil }
        if trial.reopened, !p.leavesNoTrace { forgetPayload(of: table[i].key) }
        if hot.comparesRetransmits, let finding = objectionOfRetransmit(&p, i, side, before, bytes) { return finding }
        if state.hasWindows, p.headers.tcp.dataLength > 0, hot.ftp.isOn,
            let finding = objectionOfFTP(&p, i, side, state, bytes)
        {
            return finding
        }
        if hot.comparesRetransmits, !p.leavesNoTrace {
            let isOver = state.phase.isOver && !state.isResetInDoubt
            keepSent(&p, i, side, state, isNew: trial.reopened || isOver, bytes)
        }
        return nil
    }

    /// Whether the segment repeats bytes that were others when they were first seen. Only where the opening was seen: of a
    /// connection that was taken over, what comes first may be forged.
    private mutating func objectionOfRetransmit(
        _ p: inout Inspection, _ i: ConnectionIndex, _ side: Side, _ state: TCPState, _ bytes: RawSpan
    ) -> Finding? {
        guard carriesData(&p), state.isOfSeenOpening, !state.isKeepAlive(p.headers.tcp, from: side),
            let difference = sent.difference(bytes, p.headers.tcp, of: table[i].key, from: side)
        else { return nil }
        let row = hot.posture.evasiveRetransmit
        guard row.drops, p.isSubject(to: .evasiveRetransmitRow) else {
            if row == .log {
                p.notices.insert(.droppedRetransmit)
                p.retransmitNote = EventNote(difference)
            }
            return nil
        }
        let finding = Finding(.droppedRetransmit, .evasiveRetransmitRow, posture: row, note: EventNote(difference))
        if !p.leavesNoTrace, overrides(finding) != nil {
            explain(&p, finding, bytes)
            keepSent(&p, i, side, state, isNew: false, bytes)
        }
        return finding
    }

    private mutating func carriesData(_ p: inout Inspection) -> Bool {
        p.headers.tcp.dataLength > 0 && p.headers.tcp.flags.isDisjoint(with: .syn | .rst)
    }

    /// Keeps what the segment brings, and lets go of what belongs to a connection that is over or was another.
    private mutating func keepSent(
        _ p: inout Inspection, _ i: ConnectionIndex, _ side: Side, _ state: TCPState, isNew: Bool, _ bytes: RawSpan
    ) {
        let key = table[i].key
        if isNew { sent.forget(key) }
        guard state.isOfSeenOpening, !state.phase.isOver || state.isResetInDoubt,
            p.headers.tcp.flags.isDisjoint(with: .syn | .rst),
            !state.isKeepAlive(p.headers.tcp, from: side)
        else { return }
        sent.keep(bytes, p.headers.tcp, of: key, from: side)
        counters.bytesNotCompared = sent.bytesNotCompared
        counters.bytesKept = sent.bytesKept
    }

    /// Another connection has begun between these endpoints: what was read of the one before says nothing of it.
    mutating func forgetPayload(of key: ConnectionKey) {
        sent.forget(key)
        controls.forget(key)
    }

    /// Lets go of what belongs to connections that are not known any more, a few at a time.
    mutating func tidySent(at now: Instant) {
        guard sent.isInUse else { return }
        for _ in 0..<16 {
            if let key = sent.nextToLookAt(), table.find(key, at: now) == nil { sent.forget(key) }
        }
    }
}

extension EventNote {
    init(_ difference: RetransmitDifference) {
        switch difference {
        case .previousFull: self = .prevFull
        case .previousPart: self = .prevPart
        case .nextFull: self = .nextFull
        case .nextPart: self = .nextPart
        }
    }
}
