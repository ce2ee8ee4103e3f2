// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

/// The TCP state machine: (state, side, segment, time, posture) → (state, outcome), without clock, table or lock.
///
/// The caller has judged the flags alone (`traits`) and, where `needsAdmission` says so, has put a SYN to its rules. What
/// comes here and is nonsense by its flags was let through by a posture row; it passes where it can do nothing.
public enum TCPTracker {
    /// Judges one segment that `side` sent.
    ///
    /// - Parameters:
    ///   - state: the connection; a refused segment leaves it as it was.
    ///   - s: the segment.
    ///   - side: who sent it.
    ///   - now: when.
    ///   - posture: the anti-evasion rows.
    ///   - unseenBytes: for the first fragment of a fragmented segment, how many more bytes may follow. They may be
    ///     acknowledged, but are not taken for seen.
    ///   - idle: since when no packet has renewed the connection.
    /// - Returns: whether it passes, and what else the caller has to know.
    public static func step(
        _ state: inout TCPState, _ s: TCPFields, from side: Side, at now: Instant,
        _ posture: AntiEvasion, unseenBytes: UInt32 = 0, idle: Instant.Span = .zero
    ) -> TCPStep {
        guard state.isConsistent else { return .refused(.internalStatesError, .inconsistent) }
        let isOver = state.phase.isOver
        let isLate = isOver && isLateOnClosed(state, s, from: side)
        var step =
            isLate
            ? judgeOnCopy(state, s, from: side, at: now, posture, unseenBytes, idle)
            : judge(&state, s, from: side, at: now, posture, unseenBytes, idle)
        if isOver, step.refusal != nil, step.row == nil {
            step.refusal = .packetOnClosedConnection
            step.fault = .closed
        }
        return step
    }

    private static func judgeOnCopy(
        _ state: TCPState, _ s: TCPFields, from side: Side, at now: Instant,
        _ posture: AntiEvasion, _ unseenBytes: UInt32, _ idle: Instant.Span
    ) -> TCPStep {
        var copy = state
        var step = judge(&copy, s, from: side, at: now, posture, unseenBytes, idle)
        step.isLate = true
        return step
    }

    private static func judge(
        _ state: inout TCPState, _ s: TCPFields, from side: Side, at now: Instant,
        _ posture: AntiEvasion, _ unseenBytes: UInt32, _ idle: Instant.Span
    ) -> TCPStep {
        let flags = s.flags
        if flags.isDisjoint(with: .syn | .rst) {
            return flags.contains(.ack)
                ? segment(&state, s, from: side, at: now, posture, unseenBytes, idle)
                : withoutACK(state, s, from: side)
        }
        if flags.contains(.rst) { return reset(&state, s, from: side, at: now) }
        if flags.contains(.fin) { return .passed }
        return flags.contains(.ack)
            ? synACK(&state, s, from: side, at: now, posture)
            : syn(&state, s, from: side, at: now, posture)
    }

    /// A segment with ACK and without SYN or RST.
    private static func segment(
        _ state: inout TCPState, _ s: TCPFields, from side: Side, at now: Instant,
        _ posture: AntiEvasion, _ unseenBytes: UInt32, _ idle: Instant.Span
    ) -> TCPStep {
        if state.handshake.isUnderWay,
            let step = openingSegment(&state, s, from: side, at: now, posture, unseenBytes)
        {
            return step
        }
        guard state.hasWindows else {
            return straggler(&state, s, from: side)
                ?? .refused(refusalWithoutWindows(state, s, from: side), .outsideOpening)
        }
        if state.isUnlearnt, !state[side].marks.contains(.reset) {
            learn(&state, s, from: side, at: now)
            return .passed
        }
        if state.phase == .closed, state[side].marks.contains(.reset), !state[side].mayFollowReset(s) {
            if state.isUnlearnt, state[side].isFresh(at: now) {
                return adoptAnew(&state, s, from: side, opener: state.opener, at: now)
            }
            let isOfOpening = state.handshake.stage != .completed
            return (isOfOpening ? straggler(&state, s, from: side) : nil)
                ?? .refused(.packetOnClosedConnection, .closed)
        }
        let step = exchange(&state, s, from: side, at: now, posture, unseenBytes, idle: idle)
        return step.refusal == nil ? step : straggler(&state, s, from: side) ?? step
    }

    private static func straggler(_ state: inout TCPState, _ s: TCPFields, from side: Side) -> TCPStep? {
        guard state.handshake.wasAnswered(s, from: side) else { return nil }
        state.handshake.noteStraggler(s, from: side)
        return .passed
    }

    /// Every segment after the first SYN has ACK (RFC 9293 section 3.10.7.4 discards others). One without any flag comes
    /// here only if the posture lets it; its receiver discards it too.
    private static func withoutACK(_ state: TCPState, _ s: TCPFields, from side: Side) -> TCPStep {
        guard s.flags.isDisjoint(with: .ruleFlags) else { return .refused(.invalidFlags, .noAcknowledgement) }
        guard state.hasWindows, let fault = state[side].fault(ofPlacing: s, before: state[side.opposite]) else {
            return .passed
        }
        return .refused(.invalidSequence, fault)
    }
}
