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
        if !state.authentication.isPlain(s), let step = ignored(state, s, from: side, posture) { return step }
        return state.phase.isOver
            ? judgeOver(&state, s, from: side, at: now, posture, unseenBytes, idle)
            : judge(&state, s, from: side, at: now, posture, unseenBytes, idle)
    }

    static func judge(
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
        if state.isHalfOpen, state.windows != .none, side == state.handshake.opener {
            return ofConnectionBefore(state, s, from: side)
        }
        if let step = ignoredByWindows(state, s, posture) { return step }
        guard state.hasWindows else {
            if state.isClaimed {
                return state.phase == .closed
                    ? onClosedClaim(state, s, from: side) : claim(&state, s, from: side, at: now)
            }
            return straggler(&state, s, from: side)
                ?? .refused(refusalWithoutWindows(state, s, from: side), .outsideOpening)
        }
        if state.phase == .closed, state[side].marks.contains(.reset), !state.isResetInDoubt,
            !state[side].mayFollowReset(s)
        {
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
