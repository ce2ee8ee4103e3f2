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

    /// Whether a segment that passes on a connection that is over brings nothing new, so that it is to leave no trace. A FIN
    /// that comes again renews the memory of the connection (RFC 9293 section 3.10.7.4): others will follow.
    static func isLateOnClosed(_ state: TCPState, _ s: TCPFields, from side: Side) -> Bool {
        state.hasWindows && !state.isUnlearnt && s.flags.contains(.ack) && s.flags.isDisjoint(with: .syn | .rst | .fin)
            && state[side].repeats(s, to: state[side.opposite], within: 1 << 30)
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
            && (s.sackBlockCount == 0 || !s.sackHighest.isAfter(receiver.limitOfAcknowledgement))
    }
}
