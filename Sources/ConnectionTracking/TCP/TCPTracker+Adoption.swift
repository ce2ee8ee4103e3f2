// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

/// Connections that began before the agent, or went on while it saw nothing.
///
/// Who knows only addresses and ports can forge a segment of one, with any numbers. So what a segment says is at first no more
/// than a claim: of each side is kept what it was seen to send, without a gap, and what it acknowledged last. Nothing is refused
/// for it; a segment that does not continue a claim begins another in its place. The two sides have agreed when each has
/// acknowledged what the other was seen to send; only then do claims become bounds.
///
/// A forgery would have to guess both numbers, each to 65,535 of 2^32. One that does is so near the truth that the bounds made of
/// it, which reach further back than that, refuse nothing genuine.
extension TCPTracker {
    /// The state of a connection of which this segment, sent by `side`, is the first that was seen.
    public static func adopt(
        _ s: TCPFields, from side: Side, opener: Side, at now: Instant
    ) -> TCPState {
        var state = unheard(opener: opener, at: now)
        state.windows = .claimed
        if s.flags.contains(.ack), !s.flags.contains(.rst) { _ = claim(&state, s, from: side, at: now) }
        return state
    }

    /// The state of an established connection of which no more is known, such as those that an earlier run of the agent knew.
    /// Unlike one that is adopted from a segment, it was admitted by its handshake: it keeps the time of an established
    /// connection although nobody was heard yet.
    public static func remember(opener: Side, at now: Instant) -> TCPState {
        var state = unheard(opener: opener, at: now)
        state.windows = .remembered
        return state
    }

    /// Forgets the bounds of a connection that may have moved on unseen, and takes this segment, which they refuse, for a claim.
    public static func relearn(_ state: inout TCPState, _ s: TCPFields, from side: Side, at now: Instant) {
        let wasEstablished = !state.isHalfOpen && state.windows != .claimed
        state = adopt(s, from: side, opener: state.opener, at: now)
        if wasEstablished, state.isClaimed { state.windows = .remembered }
    }

    private static func unheard(opener: Side, at now: Instant) -> TCPState {
        var state = TCPState()
        state.opener = opener
        state.phase = .established
        state.low.start = TCPEndpoint.second(of: now)
        state.low.scale = 14
        state.low.marks = [.silent, .unsettled]
        state.high = state.low
        return state
    }

    /// Takes a segment with ACK and without RST for what its sender claims; it passes.
    static func claim(_ state: inout TCPState, _ s: TCPFields, from side: Side, at now: Instant) -> TCPStep {
        state[side].claim(s, at: now)
        if state.low.agrees(with: state.high), state.high.agrees(with: state.low) {
            let (low, high) = (state.low, state.high)
            state.low.settleClaim(with: high)
            state.high.settleClaim(with: low)
            state.windows = .learnt
            state.advancePhase()
        }
        return .passed
    }

    /// A segment with ACK, and without SYN or RST, of a connection that ended before the two sides had agreed: whatever is still
    /// on its way, of the side that reset it no more than near to what was seen of it, or to its RST.
    static func onClosedClaim(_ state: TCPState, _ s: TCPFields, from side: Side) -> TCPStep {
        let sender = state[side]
        let isPassed = !sender.marks.contains(.reset) || sender.continuesClaim(s)
        return isPassed ? .passed : .refused(.packetOnClosedConnection, .closed)
    }

    /// Whether a segment with ACK and without SYN or RST may follow the SYN of the opening under way, although nothing that
    /// was seen has answered that: the opener sends, or is acknowledged to have sent, at most an unscaled window after it.
    public static func mayFollowRepeatedSYN(_ state: TCPState, _ s: TCPFields, from side: Side) -> Bool {
        guard state.isHalfOpen, state.windows == .none, s.flags.contains(.ack),
            s.flags.isDisjoint(with: .syn | .rst)
        else { return false }
        let ofOpener = side == state.handshake.opener ? s.sequence : s.acknowledgement
        return state.handshake.offer.isn(before: ofOpener, within: UInt32(UInt16.max)) != nil
    }
}

/// Claims. Until the sides have agreed, `ceiling` holds where what was seen of this side begins, up to `end`.
extension TCPEndpoint {
    /// How far beyond what was seen a side may have sent, or sends, and still continue it.
    private static let claimSlack: UInt32 = 65_535
    /// The most that is taken for seen without a gap.
    private static let longestClaim: UInt32 = 1 << 24

    /// Whether this segment lies where this side was seen to send.
    func continuesClaim(_ s: TCPFields) -> Bool {
        guard !marks.contains(.silent), s.dataLength <= Self.longestClaim else { return false }
        let reach = end &- ceiling &+ 2 &* Self.claimSlack
        return (s.sequence &+ s.dataLength).isWithin(reach, from: ceiling &- Self.claimSlack)
    }

    fileprivate mutating func claim(_ s: TCPFields, at now: Instant) {
        if !continuesClaim(s) { beginClaim(at: s.sequence) }
        if s.sequence.isBefore(ceiling) { ceiling = s.sequence }
        if (s.sequence &+ s.dataLength).isAfter(end) { marks.remove(.fin) }
        send(s, unseenBytes: 0, acknowledged: end)
        if s.flags.contains(.syn) { advance(to: s.sequence &+ 1 &+ s.dataLength) }
        if end &- ceiling > Self.longestClaim { ceiling = end &- Self.longestClaim }
        acknowledged = s.acknowledgement
        windowUnits = max(windowUnits, s.window)
        noteTimestamp(of: s, at: now)
    }

    /// Forgets what this side was seen to send: it begins here.
    mutating func beginClaim(at sequence: UInt32) {
        marks.subtract([.silent, .fin, .timestamped, .gapped])
        ceiling = sequence
        end = sequence
        windowUnits = 0
    }

    /// Whether this side has last acknowledged what the other was seen to send.
    fileprivate func agrees(with other: TCPEndpoint) -> Bool {
        guard !marks.contains(.silent), !other.marks.contains(.silent) else { return false }
        return acknowledged.isWithin(other.end &- other.ceiling &+ Self.claimSlack, from: other.ceiling)
    }

    /// Makes of the bounds of an opening those of a connection that was taken over, which may be further on. The scale of windows
    /// is known.
    mutating func distrust(facing other: TCPEndpoint, at now: Instant) {
        marks.remove(.young)
        marks.insert(.unsettled)
        start = Self.second(of: now)
        largestWindow = max(largestWindow, Self.leastLearntWindow)
        ceiling = ceiling.later(other.acknowledged &+ max(other.largestWindow, Self.leastLearntWindow))
    }

    /// Makes bounds of what both sides have claimed, as `other` was before.
    ///
    /// The scale of windows is in SYN segments only, so it counts as 14, the most there is (RFC 7323 section 2.3); windows are
    /// learnt as each side shows them.
    fileprivate mutating func settleClaim(with other: TCPEndpoint) {
        if other.acknowledged.isAfter(end) { marks.remove(.fin) }
        if !other.acknowledged.isBefore(end) { marks.remove(.gapped) }
        advance(to: other.acknowledged)
        largestWindow = max(largestWindow, Self.leastLearntWindow)
        ceiling = other.acknowledged &+ max(other.largestWindow, Self.leastLearntWindow)
        if marks.contains(.fin), other.acknowledged == end { marks.insert(.finAcknowledged) }
    }
}
