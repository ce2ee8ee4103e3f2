// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// Segments with ACK and without SYN while an opening is under way. `nil` means that the segment is none of the opening's.
extension TCPTracker {
    static func openingSegment(
        _ state: inout TCPState, _ s: TCPFields, from side: Side, at now: Instant,
        _ posture: AntiEvasion, _ unseenBytes: UInt32
    ) -> TCPStep? {
        side == state.handshake.opener
            ? openerSegment(&state, s, at: now, posture, unseenBytes)
            : responderSegment(&state, s, at: now, posture)
    }

    /// Whatever of the opener's acknowledges the responder's SYN completes the handshake, also data, if the ACK before it
    /// was lost or overtaken.
    private static func openerSegment(
        _ state: inout TCPState, _ s: TCPFields, at now: Instant, _ posture: AntiEvasion,
        _ unseenBytes: UInt32
    ) -> TCPStep? {
        let side = state.handshake.opener
        guard state.handshake.stage != .syn,
            let isn = state.handshake.answer.isn(acknowledgedBy: s.acknowledgement)
        else { return nil }
        if state.handshake.stage == .crossed { return openerACK(&state, s, of: isn) }
        var next = state
        next.handshake.answer.choose(isn)
        var completion = TCPStep.passed
        complete(&next, at: now, &completion)
        var step = exchange(&next, s, from: side, at: now, posture, unseenBytes)
        if step.refusal != nil { return state.hasWindows ? nil : step }
        step.reopened = completion.reopened
        state = next
        return step
    }

    /// Both SYNs have crossed and the responder has not acknowledged the opener's: the opener can send no data yet.
    private static func openerACK(_ state: inout TCPState, _ s: TCPFields, of isn: UInt32) -> TCPStep? {
        guard s.dataLength == 0, state.handshake.offer.isNext(s.sequence) else { return nil }
        state.handshake.answer.choose(isn)
        state.handshake.offer.marks.insert(.hasAcknowledged)
        return .passed
    }

    private static func responderSegment(
        _ state: inout TCPState, _ s: TCPFields, at now: Instant, _ posture: AntiEvasion
    ) -> TCPStep? {
        guard state.handshake.offer.isn(acknowledgedBy: s.acknowledgement) != nil else {
            return challenge(&state, s)
        }
        switch state.handshake.stage {
        case .syn: return earlyAnswer(&state, s)
        case .crossed: return splitAnswer(&state, s, at: now, posture)
        default: return state.handshake.answer.extend(s, within: state.handshake.offer.window) ? .passed : nil
        }
    }

    /// An ACK of something unknown in answer to a SYN: the responder still holds a connection that the opener, and we,
    /// have forgotten. It has to reach the opener, whose RST clears the way (RFC 9293 section 3.5.1, figure 9).
    private static func challenge(_ state: inout TCPState, _ s: TCPFields) -> TCPStep? {
        guard !state.hasWindows, state.handshake.stage == .syn, s.dataLength == 0, !s.flags.contains(.fin) else {
            return nil
        }
        let responder = state.handshake.opener.opposite
        state[responder].acknowledged = s.acknowledgement
        state[responder].marks.insert(.stray)
        return .passed
    }

    /// Fast Open data that has overtaken its SYN+ACK, or the first segment of a split handshake of five. It shows that
    /// the responder knows the opener's SYN.
    private static func earlyAnswer(_ state: inout TCPState, _ s: TCPFields) -> TCPStep? {
        guard s.dataLength == 0 || state.handshake.offer.marks.contains(.fastOpen) else { return nil }
        state.handshake.answer.marks.insert(.hasAcknowledged)
        return .passed
    }

    /// The responder answered the SYN with a SYN, and the SYN+ACK to that with an ACK: a split handshake. After SYNs that
    /// really crossed it would have sent a SYN+ACK.
    private static func splitAnswer(
        _ state: inout TCPState, _ s: TCPFields, at now: Instant, _ posture: AntiEvasion
    ) -> TCPStep? {
        guard state.handshake.answer.isn(before: s.sequence, within: UInt32(state.handshake.offer.window)) != nil else {
            return nil
        }
        var step = TCPStep.judged(.splitHandshake, as: .invalidFlags, by: posture)
        guard step.refusal == nil else { return step }
        guard state.handshake.answer.extend(s, within: state.handshake.offer.window) else { return nil }
        state.handshake.answer.marks.insert(.hasAcknowledged)
        state.handshake.stage = .answered
        if state.handshake.offer.marks.contains(.hasAcknowledged) { complete(&state, at: now, &step) }
        return step
    }
}

extension TCPOffer {
    /// Takes note of data that this side sends before the handshake is complete (RFC 7413 section 4.2); false if it lies outside
    /// the window that the peer's SYN offered.
    fileprivate mutating func extend(_ s: TCPFields, within window: UInt16) -> Bool {
        guard let isn = isn(before: s.sequence, within: UInt32(window)) ?? isn(of: s.sequence) else { return false }
        let end = UInt64(s.sequence &- isn) + UInt64(max(s.dataLength, s.sequence == isn ? 1 : 0)) - 1
        guard end <= UInt64(window), !(marks.contains(.fin) && end > UInt64(length)) else { return false }
        length = max(length, UInt16(clamping: end))
        if s.flags.contains(.fin), end == UInt64(length) { marks.insert(.fin) }
        return true
    }

    /// A keep-alive repeats the sequence number before the next one, which here is the SYN's own.
    private func isn(of sequence: UInt32) -> UInt32? { has(sequence) ? sequence : nil }
}
