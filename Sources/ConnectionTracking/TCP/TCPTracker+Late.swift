// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// Segments that are merely late. On a path whose delay varies by more than the round trip takes, a segment may be overtaken
/// by many windows, or by the close. One that says nothing that was not said before does no harm: it passes, and changes
/// and renews nothing. How far back that goes is no matter of windows but of time, so it holds only while the connection
/// lives; once it is idle, nothing is under way any more.
extension TCPTracker {
    /// More than a path of 10 Gbit/s carries in ten milliseconds.
    private static let recentPast: UInt32 = 1 << 24
    /// Longer than anything stays on the way that is not lost for good.
    private static let longestDelay = Instant.Span.seconds(1)

    /// The step of a segment that lies behind the windows.
    static func late(
        _ state: TCPState, _ s: TCPFields, from side: Side, at now: Instant, _ posture: AntiEvasion,
        idle: Instant.Span
    ) -> TCPStep? {
        let (sender, receiver) = (state[side], state[side.opposite])
        guard idle < longestDelay, sender.repeats(s, to: receiver, within: recentPast) else { return nil }
        var step = TCPStep.passed
        if let row = sender.timestampFault(of: s, at: now, window: posture.pawsWindow) {
            step = .judged(row, as: .invalidSequence, by: posture)
        }
        step.isLate = true
        return step
    }

    /// The step of a segment on a connection that is over. Unless it opens another, what passes says of neither side that it has
    /// sent or acknowledged more, and renews nothing: a connection that one side takes for closed, and the other does not, is soon
    /// forgotten, whatever they go on sending. But a FIN that comes again in TIME-WAIT renews that (RFC 9293 section 3.10.7.4):
    /// others will follow.
    static func judgeOver(
        _ state: inout TCPState, _ s: TCPFields, from side: Side, at now: Instant,
        _ posture: AntiEvasion, _ unseenBytes: UInt32, _ idle: Instant.Span
    ) -> TCPStep {
        if isOpening(s) { return judge(&state, s, from: side, at: now, posture, unseenBytes, idle) }
        if let step = outlivesReset(&state, s, from: side, at: now, posture, unseenBytes, idle) { return step }
        var next = state
        var step = judge(&next, s, from: side, at: now, posture, unseenBytes, idle)
        if step.refusal != nil {
            guard step.row == nil else { return step }
            return .refused(.packetOnClosedConnection, .closed)
        }
        if step.reopened {
            state = next
            return step
        }
        // What is known of the opening tells its stragglers from others, and a window that a RST has overtaken what is under way. Where
        // it is not sure that the RST counted, what is sent meanwhile may soon be acknowledged.
        state.handshake = next.handshake
        if state.isResetInDoubt {
            (state.low, state.high) = (next.low, next.high)
        } else if state.hasWindows {
            state.low.ceiling = next.low.ceiling
            state.high.ceiling = next.high.ceiling
        }
        step.isLate = !(state.phase == .timeWait && s.flags.contains(.fin))
        return step
    }

    /// A segment with ACK, and without SYN or RST, of the side that opens anew what is over, and that does not acknowledge the
    /// answer to its SYN: it can only be of the connection before. Its sender has given that up, so nothing of it is of use
    /// any more but the last acknowledgement of the other side's FIN.
    static func ofConnectionBefore(_ state: TCPState, _ s: TCPFields, from side: Side) -> TCPStep {
        let (sender, receiver) = (state[side], state[side.opposite])
        let isLastACK =
            state.hasWindows && receiver.marks.contains(.fin) && s.acknowledgement == receiver.end
            && s.sequence == sender.end && s.dataLength == 0 && !s.flags.contains(.fin)
        guard isLastACK else { return .refused(.packetOnClosedConnection, .closed) }
        var step = TCPStep.passed
        step.isLate = true
        return step
    }
}

extension TCPEndpoint {
    /// Whether all that this segment brings and acknowledges was sent and acknowledged before, not longer ago than `past`
    /// bytes.
    fileprivate func repeats(_ s: TCPFields, to receiver: TCPEndpoint, within past: UInt32) -> Bool {
        guard s.dataLength <= past else { return false }
        let last = s.sequence &+ s.dataLength &+ (s.flags.contains(.fin) ? 1 : 0)
        return !last.isAfter(end) && !last.isBefore(lowest(within: past))
            && !s.acknowledgement.isAfter(acknowledged)
            && !s.acknowledgement.isBefore(receiver.lowest(within: past))
            && (s.sackBlockCount == 0 || !s.sackHighest.isAfter(s.acknowledgement)
                || !s.sackHighest.isAfter(receiver.limitOfAcknowledgement))
    }
}
