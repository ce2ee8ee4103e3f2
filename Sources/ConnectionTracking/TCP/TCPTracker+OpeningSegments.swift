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
        if next.handshakeIsOfWindows, state.mayExchange(s, from: side) { return ofLateCopy(state) }
        if next.handshake.liesBeforeFirstByte(s) { return state.hasWindows && !state.isHalfOpen ? nil : .passed }
        var completion = TCPStep.passed
        complete(&next, at: now, &completion)
        var step = exchange(&next, s, from: side, at: now, posture, unseenBytes, idle: .seconds(1))
        if step.refusal != nil { return state.hasWindows && !state.isHalfOpen ? nil : step }
        step.reopened = completion.reopened
        state = next
        return step
    }

    /// The step of a segment that belongs to the windows and acknowledges a late copy of the opening that made them: if nothing but
    /// such a copy has reopened what was over, the segment is as late as that.
    private static func ofLateCopy(_ state: TCPState) -> TCPStep? {
        guard state.isHalfOpen, state.handshakeIsOfWindows else { return nil }
        var step = TCPStep.passed
        step.isLate = true
        return step
    }

    /// Both SYNs have crossed and the responder has not acknowledged the opener's: the opener can send no data yet.
    private static func openerACK(_ state: inout TCPState, _ s: TCPFields, of isn: UInt32) -> TCPStep? {
        guard s.dataLength == 0, state.handshake.offer.isNext(s.sequence) else { return nil }
        state.handshake.answer.choose(isn)
        state.handshake.offer.marks.insert(.hasAcknowledged)
        state.handshake.offer.laterWindow = max(state.handshake.offer.laterWindow, s.window)
        return .passed
    }

    private static func isFarFetched(_ s: TCPFields, from side: Side, in state: TCPState) -> Bool {
        isFarFetched(s, from: state[side], to: state[side.opposite])
    }

    private static func responderSegment(
        _ state: inout TCPState, _ s: TCPFields, at now: Instant, _ posture: AntiEvasion
    ) -> TCPStep? {
        let isOfWindows = state.mayContinue(s, from: state.handshake.opener.opposite)
        guard let isn = state.handshake.offer.isn(acknowledgedBy: s.acknowledgement) else {
            return isOfWindows ? nil : challenge(&state, s)
        }
        // A forged SYN must not keep the windows of a living connection from what belongs to them; but guessed windows admit
        // by chance what answers a real one.
        let isByChance = state.windows == .learnt && isFarFetched(s, from: state.handshake.opener.opposite, in: state)
        if isOfWindows, !state.isHalfOpen, state.handshake.stage == .syn, !isByChance { return nil }
        switch state.handshake.stage {
        case .syn: return earlyAnswer(&state, s)
        case .crossed: return crossedAnswer(&state, s, at: now, posture)
        default: return state.handshake.extendAnswer(s) ? .passed : answerToOther(&state, s, of: isn)
        }
    }

    /// The responder, which has answered one SYN of the opener, takes another that came with a number of its own, and what it
    /// sends then has overtaken the SYN+ACK.
    private static func answerToOther(_ state: inout TCPState, _ s: TCPFields, of isn: UInt32) -> TCPStep? {
        guard isn != state.handshake.offer.isn else { return nil }
        var next = state
        next.handshake.offer.choose(isn)
        next.handshake.answer = TCPOffer()
        next.handshake.stage = .syn
        guard let step = earlyAnswer(&next, s) else { return nil }
        state = next
        return step
    }

    /// An ACK of something unknown in answer to a SYN: the responder still holds a connection that the opener, and we,
    /// have forgotten. It has to reach the opener, whose RST clears the way (RFC 9293 section 3.5.1, figure 9).
    private static func challenge(_ state: inout TCPState, _ s: TCPFields) -> TCPStep? {
        guard state.isHalfOpen, state.handshake.stage == .syn, s.dataLength == 0, !s.flags.contains(.fin) else {
            return nil
        }
        if !state.handshake.answer.isValid {
            state.handshake.answer.otherISN = s.acknowledgement
            state.handshake.answer.marks.insert(.stray)
        }
        return .passed
    }

    /// Fast Open data that has overtaken its SYN+ACK, or the first segment of a split handshake of five. It shows that
    /// the responder knows the opener's SYN.
    private static func earlyAnswer(_ state: inout TCPState, _ s: TCPFields) -> TCPStep? {
        guard s.dataLength == 0 || state.handshake.offer.marks.contains(.fastOpen) else { return nil }
        state.handshake.answer.anticipate(s)
        return .passed
    }

    /// The responder acknowledges a SYN that has crossed its own, and not by a SYN+ACK. If the opener's SYN was lost behind
    /// us, this acknowledges the opener's SYN+ACK. If the SYN was repeated, it is the answer to that of a responder whose
    /// SYN+ACK was lost (RFC 9293 section 3.10.7.4). Otherwise the responder splits the handshake.
    private static func crossedAnswer(
        _ state: inout TCPState, _ s: TCPFields, at now: Instant, _ posture: AntiEvasion
    ) -> TCPStep? {
        let answer = state.handshake.answer
        guard answer.isn(before: s.sequence, within: state.handshake.openerWindow) ?? answer.isn(of: s.sequence) != nil
        else { return nil }
        var step = TCPStep.passed
        if state.handshake.offer.marks.isDisjoint(with: [.hasAcknowledged, .repeated]) {
            step = .judged(.splitHandshake, as: .invalidFlags, by: posture)
            guard step.refusal == nil else { return step }
        }
        guard state.handshake.extendAnswer(s) else { return nil }
        state.handshake.answer.marks.insert(.hasAcknowledged)
        state.handshake.stage = .answered
        if state.handshake.offer.marks.contains(.hasAcknowledged) { complete(&state, at: now, &step) }
        return step
    }
}

extension TCPHandshake {
    /// Whether nothing of this is in the window of a responder that waits for the opener's first byte: it answers, and goes on waiting.
    fileprivate func liesBeforeFirstByte(_ s: TCPFields) -> Bool {
        let first = offer.isn &+ 1
        let end = s.sequence &+ s.dataLength &+ (s.flags.contains(.fin) ? 1 : 0)
        return s.sequence.isBefore(first) && !end.isAfter(first)
    }

    /// Whether this is in flight from an opening that was given up after it was answered, or comes from a responder that
    /// has answered a late duplicate of the SYN.
    func wasAnswered(_ s: TCPFields, from side: Side) -> Bool {
        if stage == .completed, side != opener, answer.isNextOfOther(s.sequence) || offer.marks.contains(.fastOpen) {
            return offer.isn(acknowledgedBy: s.acknowledgement) != nil
        }
        guard stage == .abandoned || (stage == .syn && answer.marks.contains(.earlier)) else { return false }
        guard answer.isValid else {
            return side != opener && offer.marks.contains(.fastOpen)
                && offer.isn(acknowledgedBy: s.acknowledgement) != nil
        }
        return side == opener
            ? mayPlaceOfResponder(s.acknowledgement) && mayPlaceOfOpener(s.sequence)
            : mayPlaceOfOpener(s.acknowledgement) && mayPlaceOfResponder(s.sequence)
    }

    /// Takes note of what the responder sends before the handshake is complete.
    fileprivate mutating func extendAnswer(_ s: TCPFields) -> Bool {
        answer.extend(s, within: UInt16(clamping: openerWindow))
    }

    /// What such a segment teaches.
    mutating func noteStraggler(_ s: TCPFields, from side: Side) {
        if side == opener {
            offer.laterWindow = max(offer.laterWindow, s.window)
        } else {
            answer.laterWindow = max(answer.laterWindow, s.window)
        }
    }
}

extension TCPOffer {
    /// Takes note of data before the SYN that it follows: the SYN is guessed to stand just before the earliest of it.
    fileprivate mutating func anticipate(_ s: TCPFields) {
        let guessed = s.sequence &- 1
        if marks.contains(.earlier) || !marks.contains(.hasAcknowledged) {
            self = TCPOffer()
            isn = guessed
        } else if guessed.isBefore(isn) {
            length = UInt16(clamping: isn &- guessed &+ UInt32(length))
            isn = guessed
        }
        otherISN = isn
        marks.insert(.hasAcknowledged)
        _ = extend(s, within: .max)
    }

    /// The first SYN+ACK, after what was anticipated of it or an earlier one.
    mutating func begin(_ s: TCPFields, within window: UInt16) {
        let before = self
        self = TCPOffer(s)
        if before.marks.contains(.earlier) { note(before.isn) } else { keep(before, within: window) }
    }

    private mutating func keep(_ anticipated: TCPOffer, within window: UInt16) {
        let ahead = anticipated.end &- isn &- 1
        guard anticipated.marks.contains(.hasAcknowledged), ahead <= UInt32(window) + 1 else { return }
        marks.formUnion(anticipated.marks.intersection(.fin))
        laterWindow = anticipated.laterWindow
        length = max(length, UInt16(clamping: ahead &- (marks.contains(.fin) ? 1 : 0)))
    }

    /// Takes note of data that this side sends before the handshake is complete (RFC 7413 section 4.2); false if it lies outside
    /// the window that the peer's SYN offered, or beyond a FIN.
    fileprivate mutating func extend(_ s: TCPFields, within window: UInt16) -> Bool {
        let last = UInt32(window) + 1
        guard let isn = isn(before: s.sequence, within: last) ?? isn(of: s.sequence) else { return false }
        let start = s.sequence &- isn &- 1
        if s.dataLength == 0, !s.flags.contains(.fin) {
            laterWindow = max(laterWindow, s.window)
            return start == .max || start <= max(span, UInt32(window))
        }
        let end = UInt64(s.sequence &- isn) + UInt64(max(s.dataLength, start == .max ? 1 : 0)) - 1
        guard end <= UInt64(marks.contains(.fin) ? length : window) else { return false }
        laterWindow = max(laterWindow, s.window)
        length = max(length, UInt16(clamping: end))
        if s.flags.contains(.fin), end == UInt64(length) { marks.insert(.fin) }
        return true
    }

    /// A keep-alive repeats the sequence number before the next one, which here is the SYN's own.
    fileprivate func isn(of sequence: UInt32) -> UInt32? { has(sequence) ? sequence : nil }
}
