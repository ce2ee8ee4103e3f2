// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

/// Connections that began before the agent.
extension TCPTracker {
    /// The state of a connection of which this segment, sent by `side`, is the first that was seen.
    ///
    /// The scale of windows is in SYN segments only, so it counts as 14, the most there is (RFC 7323 section 2.3); windows are
    /// learnt as each side shows them. The silent side is taken to offer the greatest window until it speaks, and either
    /// side may have sent more than was seen until everything is acknowledged.
    public static func adopt(
        _ s: TCPFields, from side: Side, opener: Side, at now: Instant
    ) -> TCPState {
        var state = TCPState()
        state.opener = opener
        state.phase = s.flags.contains(.rst) ? .closed : .established
        state.hasWindows = true
        var sender = learning(from: s.sequence, acknowledged: s.acknowledgement, at: now)
        var receiver = learning(from: s.acknowledgement, acknowledged: s.sequence, at: now)
        sender.send(s, unseenBytes: 0)
        if s.flags.contains(.syn) { sender.advance(to: s.sequence &+ 1 &+ s.dataLength) }
        if s.flags.contains(.rst) { sender.marks.insert(.reset) }
        if s.flags.contains(.ack) { sender.acknowledge(s, to: &receiver, at: now) }
        sender.noteTimestamp(of: s, at: now)
        sender.ceiling = sender.end &+ TCPEndpoint.greatestWindow
        state[side] = sender
        state[side.opposite] = receiver
        state.advancePhase()
        return state
    }

    /// Whether a segment with ACK and without SYN or RST may follow the SYN of the opening under way, although nothing that
    /// was seen has answered that: the opener sends, or is acknowledged to have sent, at most an unscaled window after it.
    public static func mayFollowRepeatedSYN(_ state: TCPState, _ s: TCPFields, from side: Side) -> Bool {
        guard state.isHalfOpen, !state.hasWindows, s.flags.contains(.ack), s.flags.isDisjoint(with: .syn | .rst) else {
            return false
        }
        let ofOpener = side == state.handshake.opener ? s.sequence : s.acknowledgement
        return state.handshake.offer.isn(before: ofOpener, within: UInt32(UInt16.max)) != nil
    }

    /// Learns both sides' bounds from the first segment with ACK of a connection that was taken over with another. An
    /// opening that is under way goes on.
    static func learn(_ state: inout TCPState, _ s: TCPFields, from side: Side, at now: Instant) {
        let before = state
        state = adopt(s, from: side, opener: before.opener, at: now)
        state.handshake = before.handshake
        if before.low.marks.contains(.remembered) { state.low.marks.insert(.remembered) }
        guard before.phase == .closed || before.isHalfOpen else { return }
        state.phase = before.phase
        state[side.opposite].marks.formUnion(before[side.opposite].marks.intersection(.reset))
    }

    /// Nothing but a RST was seen, which belonged to the connection before this one, whose SYN came before the agent.
    static func adoptAnew(
        _ state: inout TCPState, _ s: TCPFields, from side: Side, opener: Side, at now: Instant
    ) -> TCPStep {
        state = adopt(s, from: side, opener: opener, at: now)
        var step = TCPStep.passed
        step.reopened = true
        return step
    }

    private static func learning(from sequence: UInt32, acknowledged: UInt32, at now: Instant) -> TCPEndpoint {
        var endpoint = TCPEndpoint()
        endpoint.start = TCPEndpoint.second(of: now)
        endpoint.end = sequence
        endpoint.ceiling = sequence
        endpoint.acknowledged = acknowledged
        endpoint.largestWindow = TCPEndpoint.greatestWindow
        endpoint.scale = 14
        endpoint.marks = [.silent, .unsettled]
        return endpoint
    }
}

extension TCPEndpoint {
    /// Taken over a moment ago.
    func isFresh(at now: Instant) -> Bool {
        marks.contains(.unsettled) && Self.second(of: now) &- start < Self.settlingTime
    }
}
