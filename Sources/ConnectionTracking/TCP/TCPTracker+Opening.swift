// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

/// Openings: the first of a connection, and later ones for the same pair of ports.
extension TCPTracker {
    /// The state of a connection whose opening SYN `side` has just sent.
    public static func open(_ s: TCPFields, from side: Side, at _: Instant) -> TCPState {
        var state = TCPState()
        state.opener = side
        state.handshake = TCPHandshake(s, from: side)
        state.authentication.note(syn: s, isFirst: true)
        return state
    }

    /// Whether this segment is an opening of its own, which has to be put to the rules of its own direction and to the limits
    /// first: a pure SYN against the opener's direction, or on a connection that is over.
    public static func needsAdmission(_ state: TCPState, _ s: TCPFields, from side: Side) -> Bool {
        isOpening(s) && (state.phase.isOver || side != state.opener)
    }

    /// A SYN without ACK passes whatever the state: nobody but its receiver knows whether a connection still lives there.
    static func syn(
        _ state: inout TCPState, _ s: TCPFields, from side: Side, at now: Instant, _ posture: AntiEvasion
    ) -> TCPStep {
        state.authentication.note(syn: s, isFirst: !state.handshake.isUnderWay)
        if state.phase.isOver { return reopen(&state, s, from: side, at: now) }
        guard state.handshake.isUnderWay else {
            if !state.handshake.repeatsSYN(s, from: side) { state.handshake = TCPHandshake(s, from: side) }
            return .passed
        }
        guard side == state.handshake.opener else { return responderSYN(&state, s, posture) }
        state.handshake.offer.absorb(s)
        state.handshake.offer.marks.insert(.repeated)
        return .passed
    }

    /// The old windows stay until the new handshake is complete: a peer in TIME-WAIT may answer with an ACK of the old
    /// connection, which its opener then resets (RFC 9293 section 3.6.1, RFC 6191).
    private static func reopen(
        _ state: inout TCPState, _ s: TCPFields, from side: Side, at now: Instant
    ) -> TCPStep {
        if state.handshake.isUnderWay, side == state.handshake.opener, state.handshake.offer.has(s.sequence) {
            state.handshake.offer.absorb(s)
        } else {
            state.keepAbandoned(before: s, from: side, at: now)
            state.handshake.reopen(s, from: side)
        }
        state.opener = side
        state.phase = state.handshake.stage == .syn ? .synSent : .synReceived
        var step = TCPStep.passed
        step.reopened = true
        return step
    }

    /// The SYNs have crossed (RFC 9293 section 3.5, simultaneous connection synchronization), or the responder splits the
    /// handshake. One that has shown that it knows the opener's SYN splits it, unless the SYN was repeated and its answer to
    /// that has overtaken its own; from another its next answer will tell.
    private static func responderSYN(
        _ state: inout TCPState, _ s: TCPFields, _ posture: AntiEvasion
    ) -> TCPStep {
        if state.handshake.answer.has(s.sequence), state.handshake.stage != .syn {
            state.handshake.answer.marks.insert(.pureSYN)
            return .passed
        }
        var step = TCPStep.passed
        if state.handshake.answer.knowsPeer, !state.handshake.offer.marks.contains(.repeated) {
            step = .judged(.splitHandshake, as: .invalidFlags, by: posture)
            if step.refusal != nil { return step }
        }
        if state.handshake.stage == .syn {
            let hasAnswered = state.handshake.answer.knowsPeer && state.handshake.answer.has(s.sequence)
            state.handshake.answer = TCPOffer(s)
            if hasAnswered { state.handshake.answer.marks.insert(.hasAcknowledged) }
            state.handshake.stage = hasAnswered ? .answered : .crossed
            if state.isHalfOpen { state.phase = .synReceived }
        } else {
            state.handshake.answer.absorb(s)
        }
        state.handshake.answer.marks.insert(.pureSYN)
        return step
    }

    static func synACK(
        _ state: inout TCPState, _ s: TCPFields, from side: Side, at now: Instant,
        _ posture: AntiEvasion
    ) -> TCPStep {
        guard state.handshake.isUnderWay else { return lateSYNACK(&state, s, from: side, at: now, posture) }
        return side == state.handshake.opener
            ? openerSYNACK(&state, s, at: now, posture)
            : responderSYNACK(&state, s, at: now, posture)
    }

    /// A SYN+ACK with a wrong acknowledgement is dropped alone; the opener would answer with a RST, and the right one still
    /// opens.
    private static func responderSYNACK(
        _ state: inout TCPState, _ s: TCPFields, at now: Instant, _ posture: AntiEvasion
    ) -> TCPStep {
        guard let isn = state.handshake.offer.isn(acknowledgedBy: s.acknowledgement) else {
            let responder = state.handshake.opener.opposite
            return state.isLateSYNACK(s, from: responder) ? .passed : .refused(.invalidACK, .outsideOpening)
        }
        var step = TCPStep.passed
        if s.dataLength > 0, !state.handshake.offer.marks.contains(.fastOpen) {
            step = .judged(.synData, as: .invalidFlags, by: posture)
            if step.refusal != nil { return step }
        }
        state.handshake.answer(with: s, choosing: isn)
        if state.isHalfOpen { state.phase = .synReceived }
        if state.handshake.offer.marks.contains(.hasAcknowledged) { complete(&state, at: now, &step) }
        return step
    }

    /// The opener sends a SYN+ACK only after a SYN of the responder, unless a late copy of one is still on its way.
    private static func openerSYNACK(
        _ state: inout TCPState, _ s: TCPFields, at now: Instant, _ posture: AntiEvasion
    ) -> TCPStep {
        guard state.handshake.stage != .syn, state.handshake.answer.marks.contains(.pureSYN) else {
            if state.isLateSYNACK(s, from: state.handshake.opener) { return .passed }
            return .judged(.splitHandshake, as: .invalidFlags, by: posture)
        }
        guard let isn = state.handshake.answer.isn(acknowledgedBy: s.acknowledgement) else {
            return .refused(.invalidACK, .outsideOpening)
        }
        guard state.handshake.offer.has(s.sequence) else {
            guard state.handshake.stage == .crossed else { return .passed }
            state.handshake.turnAround()
            if state.isHalfOpen { state.opener = state.handshake.opener }
            return responderSYNACK(&state, s, at: now, posture)
        }
        state.handshake.offer.choose(s.sequence)
        state.handshake.offer.absorb(s)
        state.handshake.answer.choose(isn)
        state.handshake.offer.marks.insert(.hasAcknowledged)
        var step = TCPStep.passed
        if state.handshake.stage == .answered { complete(&state, at: now, &step) }
        return step
    }

    /// A SYN+ACK when no opening is under way: a late duplicate, or nonsense.
    private static func lateSYNACK(
        _ state: inout TCPState, _ s: TCPFields, from side: Side, at now: Instant, _ posture: AntiEvasion
    ) -> TCPStep {
        if state.handshake.repeatsSYNACK(s, from: side) {
            if side != state.handshake.opener { state.handshake.noteLateAnswer(s) }
            return .passed
        }
        if state.isClaimed { return state.phase.isOver ? .passed : claim(&state, s, from: side, at: now) }
        let (sender, receiver) = (state[side], state[side.opposite])
        if state.handshake.stage == .none, state.hasWindows {
            return sender.fault(ofAcknowledging: s, sentBy: receiver).map { .refused(.invalidACK, $0) } ?? .passed
        }
        if state.hasWindows, let fault = sender.fault(ofPlacing: s, before: receiver) {
            return .refused(.invalidSequence, fault)
        }
        if state.phase.isOver { return .refused(.packetOnClosedConnection, .closed) }
        return .judged(.splitHandshake, as: .invalidFlags, by: posture)
    }

    /// Makes the connection of the handshake the connection.
    static func complete(_ state: inout TCPState, at now: Instant, _ step: inout TCPStep) {
        step.reopened = !state.isHalfOpen
        state.establish(at: now)
        state.authentication.complete()
    }
}

extension TCPHandshake {
    /// The responder has acknowledged the SYN with this initial sequence number.
    mutating func answer(with s: TCPFields, choosing isn: UInt32) {
        if isn != offer.isn, stage == .answered { stage = .syn }
        offer.choose(isn)
        if stage == .syn { answer.begin(s, within: offer.window) } else { answer.absorb(s) }
        answer.marks.insert(.hasAcknowledged)
        stage = .answered
    }

    /// The SYN that came first was forged or given up, since its sender answers the other side's with a number of its own: that
    /// one is the opening.
    fileprivate mutating func turnAround() {
        offer = answer
        offer.marks.subtract([.pureSYN, .hasAcknowledged])
        answer = TCPOffer()
        opener = opener.opposite
        stage = .syn
    }

    /// Keeps the sequence number of a SYN+ACK that came when the handshake was over.
    fileprivate mutating func noteLateAnswer(_ s: TCPFields) {
        if answer.isValid {
            answer.note(s.sequence)
        } else {
            answer = TCPOffer(s)
            answer.marks.insert(.hasAcknowledged)
        }
    }

    /// Whether this SYN is one that the handshake, now over, has already seen.
    func repeatsSYN(_ s: TCPFields, from side: Side) -> Bool {
        guard isOver else { return false }
        return side == opener ? offer.has(s.sequence) : answer.isValid && answer.has(s.sequence)
    }

    /// Whether this SYN+ACK belongs to the handshake, now over. The responder may answer a late duplicate of the SYN, with
    /// another sequence number if it has closed since: the RST or the challenge that this provokes tells it.
    func repeatsSYNACK(_ s: TCPFields, from side: Side) -> Bool {
        guard isOver else { return false }
        if side == opener {
            return answer.marks.contains(.pureSYN)
                && (offer.has(s.sequence) || answer.isn(acknowledgedBy: s.acknowledgement) != nil)
        }
        return offer.isn(acknowledgedBy: s.acknowledgement) != nil
    }
}
