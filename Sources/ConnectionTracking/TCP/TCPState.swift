// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

/// Everything remembered about one TCP connection. A pure value: `TCPTracker.step` makes the next one of it.
///
/// It has two halves. The *windows*, one `TCPEndpoint` per side, judge segments of the connection as it is. The
/// *handshake* judges an opening that is under way, whether the first one, when there are no windows yet, or a later one for
/// the same pair of ports, when the windows go on judging what belongs to the old connection until the new one is
/// complete. Only then does a new connection take the place of the windows. So a forged SYN costs nothing, and the ACK with
/// which a peer challenges a SYN, the RST which answers that, and the handshake which follows, each find the half they
/// belong to (RFC 5961 section 4, RFC 9293 section 3.5).
///
/// Invariants: a half-open phase has a handshake under way; any other has windows, or claims to them, except `closed` after
/// an opening that was refused.
public struct TCPState: Equatable, Sendable, BitwiseCopyable {
    var low = TCPEndpoint()
    var high = TCPEndpoint()
    var handshake = TCPHandshake()
    public var phase = TCPPhase.synSent
    /// The side whose SYN opened the connection, or was taken for the opener when it was taken over.
    public var opener = Side.low
    var windows = Windows.none
    var authentication = TCPAuthenticationSeen()

    /// What `low` and `high` hold.
    enum Windows: UInt8, Sendable, BitwiseCopyable {
        case none
        /// Taken over in mid-stream: what each side was seen to claim, which bounds nothing (`TCPTracker+Adoption`).
        case claimed
        /// As `claimed`, of a connection that was known to be established before.
        case remembered
        /// The bounds that both sides agreed on, with scales of windows that are guessed.
        case learnt
        /// The bounds that follow from an opening that was seen.
        case known
    }

    /// Whether `low` and `high` hold windows.
    public var hasWindows: Bool { windows == .known || windows == .learnt }
    /// Whether the two sides have not agreed yet on what both have said.
    public var isClaimed: Bool { windows == .claimed || windows == .remembered }

    public init() {}

    /// Whether the windows follow from an opening that was seen.
    public var isOfSeenOpening: Bool { windows == .known }

    /// Whether a side of an opening that was seen has sent data, as far as that can be known: much of it counts as some.
    public func hasSentData(_ side: Side) -> Bool {
        let endpoint = self[side]
        return !endpoint.marks.contains(.young)
            || endpoint.end &- endpoint.start > (endpoint.marks.contains(.fin) ? 2 : 1)
    }

    /// Whether the segment only asks whether the other side is still there, with a byte below what that expects: of any value
    /// (RFC 9293 section 3.8.4).
    public func isKeepAlive(_ s: TCPFields, from side: Side) -> Bool {
        s.dataLength == 1 && s.sequence &+ 1 == self[side.opposite].acknowledged
    }

    /// Whether what was seen of this side ends there.
    public func isEnd(_ sequence: UInt32, of side: Side) -> Bool { self[side].end == sequence }

    /// Whether nothing of this side lies between its SYN, which was seen, and this sequence number.
    public func begins(_ side: Side, at sequence: UInt32) -> Bool {
        windows == .known && self[side].marks.contains(.young) && sequence == self[side].start &+ 1
    }

    public var isHalfOpen: Bool { phase.isHalfOpen }

    /// How long the connection is remembered after its last packet.
    public func timeout(_ timeouts: Timeouts) -> Instant.Span { timeouts.span(of: phase) }

    subscript(side: Side) -> TCPEndpoint {
        get { side == .low ? low : high }
        set { if side == .low { low = newValue } else { high = newValue } }
    }

    /// Whether this SYN+ACK may be a late copy of the one that made the windows, although the record of it is lost or, for a
    /// connection taken over, never was.
    func isLateSYNACK(_ s: TCPFields, from side: Side) -> Bool {
        guard hasWindows, mayExchange(s, from: side) else { return false }
        return !self[side].marks.contains(.young) || self[side].start == s.sequence
    }

    /// Whether both numbers of the segment lie within the windows.
    func mayExchange(_ s: TCPFields, from side: Side) -> Bool {
        self[side].mayPlace(s, before: self[side.opposite])
            && self[side].mayAcknowledge(s, sentBy: self[side.opposite])
    }

    /// Whether the segment goes on with what was before the opening under way: within the windows, or where nothing is known
    /// but claims, with what its sender has claimed.
    func mayContinue(_ s: TCPFields, from side: Side) -> Bool {
        hasWindows ? mayExchange(s, from: side) : isClaimed && self[side].continuesClaim(s)
    }

    /// Whether the handshake under way is a late copy of the one that made the windows: its SYNs are theirs, or guessed from
    /// what followed them, or, where the record of these is lost or never was, stand not far before what the windows have
    /// seen. Sequence numbers grow from one connection to the next (RFC 9293 section 3.4.1), so those of a new one stand
    /// behind.
    var handshakeIsOfWindows: Bool {
        guard hasWindows else { return false }
        return isOfWindows(handshake.offer, handshake.opener)
            && isOfWindows(handshake.answer, handshake.opener.opposite)
    }

    private func isOfWindows(_ offer: TCPOffer, _ side: Side) -> Bool {
        let endpoint = self[side]
        if endpoint.marks.contains(.young) {
            return offer.isn.isWithin(endpoint.end &- endpoint.start, from: endpoint.start)
        }
        return !isHalfOpen && offer.isn.isWithin(1 << 20, from: endpoint.end &- 1 << 20)
    }

    /// Taken over in mid-stream, and the two sides have not agreed since: a single forged packet can have made it, so it is no
    /// more than an opening that waits for its answer.
    public var isUnanswered: Bool { windows == .claimed && !phase.isOver }

    /// Whether the invariants hold. No packet alone makes them fail: every step keeps them, and what a state file says is
    /// refused where it does not. Only a mistake in this program or damaged memory leads to Internal States Error.
    var isConsistent: Bool {
        phase.isHalfOpen ? handshake.isUnderWay : windows != .none || phase == .closed
    }
}

extension TCPState {
    /// The handshake is complete: its connection takes the place of what was before.
    ///
    /// Beside it may stand claims: those of an earlier connection, or, if the handshake is late, what was kept of this one, or forged
    /// in the place of that. How far it has come since is not known then, and its windows count as learnt.
    mutating func establish(at now: Instant) {
        let isLate = isClaimed && !(low.marks.contains(.silent) && high.marks.contains(.silent))
        let earlier = isClaimed || windows == .learnt ? (low, high) : nil
        var openerEndpoint = handshake.openerEndpoint
        var responderEndpoint = handshake.responderEndpoint
        openerEndpoint.timestampSecond = TCPEndpoint.second(of: now)
        responderEndpoint.timestampSecond = TCPEndpoint.second(of: now)
        self[handshake.opener] = openerEndpoint
        self[handshake.opener.opposite] = responderEndpoint
        windows = .known
        handshake.stage = .completed
        opener = handshake.opener
        phase = .established
        guard let earlier else { return }
        low.takeUp(earlier.0)
        high.takeUp(earlier.1)
        if isLate {
            low.distrust(facing: high, at: now)
            high.distrust(facing: low, at: now)
            windows = .learnt
        }
        advancePhase()
    }

    /// Moves on from the FINs seen and acknowledged so far.
    mutating func advancePhase() {
        let opened = self[opener].marks
        let responded = self[opener.opposite].marks
        let (openerHasFinished, responderHasFinished) = (self[opener].hasFinished, self[opener.opposite].hasFinished)
        switch phase {
        case .established where openerHasFinished:
            phase = responderHasFinished ? .closing : opened.contains(.finAcknowledged) ? .finWait2 : .finWait1
        case .established where responderHasFinished: phase = .closeWait
        case .finWait1, .finWait2:
            if responderHasFinished {
                phase = .closing
            } else if opened.contains(.finAcknowledged) {
                phase = .finWait2
            }
        case .closeWait where openerHasFinished: phase = .lastACK
        default: break
        }
        guard opened.contains(.finAcknowledged), responded.contains(.finAcknowledged) else { return }
        if phase == .closing { phase = .timeWait }
        if phase == .lastACK { phase = .closed }
    }
}
