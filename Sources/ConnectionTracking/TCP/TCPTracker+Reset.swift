// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// RST segments (RFC 9293 section 3.10.7, RFC 5961 section 3).
///
/// A RST ends the connection only at exactly the sequence that its receiver expects next: the sender's `end` if nothing before
/// it is missing, or the last acknowledgement. In SYN-SENT it does so by its acknowledgement of the SYN.
/// Elsewhere inside the window it passes and changes nothing: the receiver answers with a challenge ACK, and the RST that
/// answers this one has the exact number. So it does at a number that was expected a while ago.
///
/// What was sent since the last acknowledgement may have arrived, although no acknowledgement of it was seen: it is late, as Linux'
/// are by up to 200 ms. If one comes after all, the receiver has ignored the RST, and the connection goes on (`outlivesReset`).
extension TCPTracker {
    static func reset(
        _ state: inout TCPState, _ s: TCPFields, from side: Side, at now: Instant
    ) -> TCPStep {
        if state.handshake.stage != .none {
            let isPassed =
                side == state.handshake.opener
                ? resetByOpener(&state, s, at: now) : resetByResponder(&state, s, at: now)
            // A SYN that was forged just before what is expected must not take for itself the RST that ends the connection.
            if isPassed { return endsWindows(state, s, from: side) ? resetInWindow(&state, s, from: side) : .passed }
        }
        if state.isHalfOpen, state.windows != .none, side == state.handshake.opener {
            return answersChallenge(state, s, from: side) ? .passed : .refused(.packetOnClosedConnection, .closed)
        }
        if state.isClaimed { return resetOfClaim(&state, s, from: side) }
        guard state.hasWindows else {
            let isAnswer = side != state.handshake.opener && s.flags.contains(.ack)
            return .refused(isAnswer && state.phase == .synSent ? .invalidACK : .invalidSequence, .outsideOpening)
        }
        return resetInWindow(&state, s, from: side)
    }

    /// Whether this RST ends a connection beside which another opening is under way.
    static func endsWindows(_ state: TCPState, _ s: TCPFields, from side: Side) -> Bool {
        s.flags.contains(.rst) && !state.isHalfOpen && !state.phase.isOver && state.hasWindows
            && state[side].isNext(s.sequence, for: state[side.opposite])
    }

    /// The side that opens anew what is over has nothing to reset of it, unless the other has not forgotten it: this one
    /// answers the SYN with an acknowledgement, and a RST at that number clears the way (RFC 9293 section 3.5.1).
    private static func answersChallenge(_ state: TCPState, _ s: TCPFields, from side: Side) -> Bool {
        s.sequence == state[side.opposite].acknowledged
    }

    /// Before the two sides have agreed, a RST ends the connection at what its receiver itself has said that it expects;
    /// any other passes and changes nothing, for nothing is known that would refuse it.
    private static func resetOfClaim(_ state: inout TCPState, _ s: TCPFields, from side: Side) -> TCPStep {
        let receiver = state[side.opposite]
        if !receiver.marks.contains(.silent), s.sequence == receiver.acknowledged, !state.isHalfOpen {
            state.phase = .closed
            if !state[side].continuesClaim(s) { state[side].beginClaim(at: s.sequence) }
            state[side].marks.insert(.reset)
        }
        return .passed
    }

    /// Whether the RST belongs to the opening, which it then ends.
    private static func resetByOpener(_ state: inout TCPState, _ s: TCPFields, at now: Instant) -> Bool {
        let handshake = state.handshake
        let refusesSYN =
            handshake.answer.marks.contains(.pureSYN) && s.flags.contains(.ack)
            && handshake.answer.isn(acknowledgedBy: s.acknowledgement) != nil
        guard handshake.isUnderWay else {
            return state.phase == .closed
                && (refusesSYN || handshake.mayPlaceOfOpener(s.sequence))
        }
        // Whether the data of a SYN was taken is not known (RFC 7413 section 4.2): its end may be ahead of what is expected.
        if s.sequence == handshake.offer.isn &+ 1 || (refusesSYN && handshake.stage == .crossed) {
            state.abandonOpening(by: handshake.opener, at: now)
            return true
        }
        if handshake.offer.isNext(s.sequence) { return true }
        if handshake.offer.isNextOfOther(s.sequence) {
            return state.handshake.offer.withdraw(handshake.offer.otherISN)
        }
        if handshake.answer.marks.contains(.stray), handshake.answer.otherISN == s.sequence { return true }
        return refusesSYN || (handshake.hasAnswer && handshake.mayPlaceOfOpener(s.sequence))
    }

    private static func resetByResponder(_ state: inout TCPState, _ s: TCPFields, at now: Instant) -> Bool {
        let handshake = state.handshake
        let refused = s.flags.contains(.ack) ? handshake.offer.isn(acknowledgedBy: s.acknowledgement) : nil
        guard handshake.isUnderWay else {
            let mayFollow = refused != nil || handshake.mayPlaceOfResponder(s.sequence)
            return (state.phase == .closed && mayFollow) || handshake.answer.isNextOfOther(s.sequence)
        }
        if handshake.stage != .syn, handshake.answer.isNext(s.sequence) {
            state.abandonOpening(by: handshake.opener.opposite, at: now)
            return true
        }
        if let refused {
            // Once it has answered, only an opener that has not seen the answer believes this one.
            if handshake.stage != .answered, !state.handshake.offer.withdraw(refused) {
                state.abandonOpening(by: handshake.opener.opposite, at: now)
            }
            return true
        }
        return handshake.hasAnswer && handshake.mayPlaceOfResponder(s.sequence)
    }

    private static func resetInWindow(_ state: inout TCPState, _ s: TCPFields, from side: Side) -> TCPStep {
        let sender = state[side]
        let receiver = state[side.opposite]
        if sender.isNext(s.sequence, for: receiver) {
            if !state.isHalfOpen, state.phase != .timeWait {
                state.phase = .closed
                state[side].noteReset(at: s.sequence)
            }
            return .passed
        }
        let lowest = lowestReset(of: sender, within: receiver.reach)
        // One past the window stands what follows a probe of a closed one, or a FIN.
        let isInside = !s.sequence.isBefore(lowest) && !s.sequence.isAfter(sender.ceiling &+ 1)
        return isInside ? .passed : .refused(.invalidSequence, .resetOutsideWindow)
    }

    /// The step of a segment that acknowledges more than the number of the RST that ended the connection; nil: it is none. Its sender
    /// had that before the RST came, so it has ignored the RST (RFC 5961 section 3.2), and the connection lives.
    static func outlivesReset(
        _ state: inout TCPState, _ s: TCPFields, from side: Side, at now: Instant,
        _ posture: AntiEvasion, _ unseenBytes: UInt32, _ idle: Instant.Span
    ) -> TCPStep? {
        guard state.isResetInDoubt, s.flags.contains(.ack), s.flags.isDisjoint(with: .syn | .rst),
            state[side.opposite].isResetInDoubt, s.acknowledgement.isAfter(state[side].acknowledged)
        else { return nil }
        var next = state
        next[side.opposite].marks.remove(.reset)
        next.phase = .established
        next.advancePhase()
        let step = judge(&next, s, from: side, at: now, posture, unseenBytes, idle)
        guard step.refusal == nil, !step.isLate else { return nil }
        state = next
        return step
    }

    /// How far back a RST may stand. A side that is gone answers each segment that still reaches it with a RST at the
    /// acknowledgement it carries (RFC 9293 section 3.10.7.1): all but the last are behind what was acknowledged since, and
    /// their receiver ignores them. Nobody acknowledges less than the SYN.
    private static func lowestReset(of sender: TCPEndpoint, within reach: UInt32) -> UInt32 {
        let lowest = sender.lowest(within: reach)
        return sender.marks.contains(.young) ? lowest.later(sender.start &+ 1) : lowest
    }
}

extension TCPState {
    /// A RST has ended the connection, unless its receiver had more than was seen to be acknowledged. Of a connection that was taken
    /// over that is not known well enough.
    public var isResetInDoubt: Bool {
        phase == .closed && windows == .known && low.isResetInDoubt != high.isResetInDoubt
            && !(low.marks.contains(.reset) && high.marks.contains(.reset))
    }

    /// Makes windows of an opening that was answered and given up, of which segments may still be about, before the record
    /// of it goes to that of another. One whose connection has the windows already knows less of it than they do.
    mutating func keepAbandoned(before s: TCPFields, from side: Side, at now: Instant) {
        guard handshake.stage == .abandoned, handshake.answer.isValid, !handshake.repeatsSYN(s, from: side),
            !handshakeIsOfWindows
        else { return }
        establish(at: now)
    }

    /// One side has given the opening up. If it was to replace a connection that lives, that one goes on.
    fileprivate mutating func abandonOpening(by side: Side, at now: Instant) {
        guard isHalfOpen else {
            handshake.stage = .abandoned
            return
        }
        if handshake.stage != .syn, !hasWindows { establish(at: now) } else { handshake.stage = .abandoned }
        phase = .closed
        self[side].noteReset(at: self[side].end)
    }
}
