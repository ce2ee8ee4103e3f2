// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

/// Segments of a connection that has windows.
extension TCPTracker {
    static func exchange(
        _ state: inout TCPState, _ s: TCPFields, from side: Side, at now: Instant,
        _ posture: AntiEvasion, _ unseenBytes: UInt32, idle: Instant.Span
    ) -> TCPStep {
        var sender = state[side]
        var receiver = state[side.opposite]
        if let fault = sender.fault(ofPlacing: s, before: receiver) {
            return late(state, s, from: side, at: now, posture, idle: idle) ?? .refused(.invalidSequence, fault)
        }
        if let fault = sender.fault(ofAcknowledging: s, sentBy: receiver) {
            return late(state, s, from: side, at: now, posture, idle: idle) ?? .refused(.invalidACK, fault)
        }
        var step = TCPStep.passed
        if let row = sender.timestampFault(of: s, at: now, window: posture.pawsWindow) {
            step = .judged(row, as: .invalidSequence, by: posture)
            if step.refusal != nil { return step }
        }
        if state.windows == .learnt, isFarFetched(s, from: sender, to: receiver) { return step }
        sender.send(s, unseenBytes: unseenBytes, acknowledged: receiver.acknowledged)
        sender.acknowledge(s, to: &receiver, at: now)
        sender.noteTimestamp(of: s, at: now)
        state[side] = sender
        state[side.opposite] = receiver
        state.advancePhase()
        return step
    }

    /// Whether a connection that was taken over should learn nothing from this segment. The guess at its windows can admit
    /// a good part of the sequence space; what is a window, or 16 MiB, from all that was seen may be a forgery. Nearer ones
    /// move the bounds no further than these reach back.
    static func isFarFetched(_ s: TCPFields, from sender: TCPEndpoint, to receiver: TCPEndpoint) -> Bool {
        let distance = min(receiver.reach / 2, 1 << 24)
        let distanceOfACK = min(sender.reach / 2, 1 << 24)
        return !s.sequence.isWithin(2 * distance, from: sender.end &- distance)
            || !s.acknowledgement.isWithin(2 * distanceOfACK, from: receiver.end &- distanceOfACK)
    }

    /// Lets the state follow a segment that was refused and passed all the same (tap mode, failure open, or a rule's drop
    /// that was not carried out).
    ///
    /// If only one of its two numbers is out of place, our bounds may be what is wrong, and they are moved to it;
    /// if both are, it belongs to something else, and its receiver will ignore it as well.
    public static func follow(
        _ state: inout TCPState, _ s: TCPFields, from side: Side, at now: Instant
    ) {
        let step = step(&state, s, from: side, at: now, .permissive)
        guard let refusal = step.refusal, state.hasWindows, !state.phase.isOver,
            s.flags.contains(.ack), s.flags.isDisjoint(with: .syn | .rst)
        else { return }
        var sender = state[side]
        var receiver = state[side.opposite]
        switch refusal {
        case .invalidSequence where s.sequence.isAfter(sender.end) && sender.mayAcknowledge(s, sentBy: receiver):
            sender.move(to: s.sequence &+ s.dataLength)
        case .invalidACK where s.acknowledgement.isAfter(receiver.end): receiver.move(to: s.acknowledgement)
        default: return
        }
        sender.acknowledge(s, to: &receiver, at: now)
        state[side] = sender
        state[side.opposite] = receiver
        state.advancePhase()
    }

    /// The refusal of a segment that fits neither an opening nor, since there are none, windows.
    static func refusalWithoutWindows(
        _ state: TCPState, _ s: TCPFields, from side: Side
    ) -> TCPRefusal {
        guard side != state.handshake.opener else { return .invalidACK }
        return state.handshake.offer.isn(acknowledgedBy: s.acknowledgement) == nil ? .invalidACK : .invalidSequence
    }
}

extension TCPEndpoint {
    /// Whether the side that reset the connection can have sent this before, so that the RST has overtaken it: it brings
    /// nothing new.
    func mayFollowReset(_ s: TCPFields) -> Bool {
        !(s.sequence &+ s.dataLength &+ (s.flags.contains(.fin) ? 1 : 0)).isAfter(end)
    }

    /// Takes it for true that this side has sent everything before `sequence`.
    fileprivate mutating func move(to sequence: UInt32) {
        marks.subtract([.fin, .finAcknowledged])
        advance(to: sequence)
        ceiling = ceiling.later(end)
    }
}

extension AntiEvasion {
    /// Every row that the state judges says `allow`.
    fileprivate static let permissive: AntiEvasion = {
        var rows = AntiEvasion()
        rows.invalidTimestamps = .allow
        rows.pawsZero = .allow
        rows.synData = .allow
        rows.splitHandshake = .allow
        rows.tcpAuthOption = .allow
        return rows
    }()
}
