// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// What one side's SYN offered. Two initial sequence numbers are kept, because a SYN may be repeated with another one
/// (a client that gave up and tries again from the same port, a server behind SYN cookies or behind a balancer), and
/// nobody on the path knows yet which the peer will take. The first stays until the peer has chosen: a forged SYN cannot
/// push a real one out.
struct TCPOffer: Equatable, Sendable, BitwiseCopyable {
    /// The initial sequence number that was seen first, or that the peer has acknowledged.
    var isn: UInt32 = 0
    /// The most recent other one; equal to `isn` when there is none.
    var otherISN: UInt32 = 0
    var timestamp: UInt32 = 0
    /// Data bytes seen after the SYN (RFC 7413), also those sent before the handshake is complete.
    var length: UInt16 = 0
    /// As in the header: the window of a SYN is never scaled (RFC 7323 section 2.2).
    var window: UInt16 = 0
    /// As in the headers of other segments before the handshake was complete.
    var laterWindow: UInt16 = 0
    /// `TCPFields.noWindowScale` without the option.
    var scale: UInt8 = TCPFields.noWindowScale
    var marks = Marks()

    struct Marks: OptionSet, Equatable, Sendable, BitwiseCopyable {
        var rawValue: UInt8
        static let timestamped = Marks(rawValue: 1 << 0)
        static let fastOpen = Marks(rawValue: 1 << 1)
        /// A FIN follows the `length` data bytes.
        static let fin = Marks(rawValue: 1 << 2)
        /// This side has acknowledged the peer's SYN.
        static let hasAcknowledged = Marks(rawValue: 1 << 3)
        /// A SYN without ACK was seen, from the responder: simultaneous open, or a split handshake.
        static let pureSYN = Marks(rawValue: 1 << 4)
        /// The answer to an earlier copy of the same SYN, whose connection is over. The opener may still act on it.
        static let earlier = Marks(rawValue: 1 << 5)
        /// No SYN yet: the responder has acknowledged something unknown, which `otherISN` holds. A RST with that sequence
        /// answers it (RFC 9293 section 3.10.7.3).
        static let stray = Marks(rawValue: 1 << 6)
        /// The opener's SYN was seen more than once.
        static let repeated = Marks(rawValue: 1 << 7)
    }

    init() {}

    init(_ s: TCPFields) {
        isn = s.sequence
        otherISN = s.sequence
        absorb(s)
    }

    /// A further SYN of the same side. What options the peer will go by is unknown (systems leave some out when they repeat
    /// a SYN), so the most generous of each is kept.
    mutating func absorb(_ s: TCPFields) {
        note(s.sequence)
        length = max(length, UInt16(clamping: s.dataLength))
        window = max(window, s.window)
        if scale == TCPFields.noWindowScale || (s.windowScale != TCPFields.noWindowScale && s.windowScale > scale) {
            scale = s.windowScale
        }
        if s.fastOpen { marks.insert(.fastOpen) }
        if s.hasTimestamps {
            marks.insert(.timestamped)
            timestamp = s.timestampValue
        }
    }

    /// Whether this side has answered, with a SYN or what follows it.
    var isValid: Bool { !marks.isDisjoint(with: [.hasAcknowledged, .pureSYN]) }
    /// Whether this side has shown that it has seen the peer's SYN.
    var knowsPeer: Bool { marks.contains(.hasAcknowledged) && !marks.contains(.earlier) }

    /// Takes note of the initial sequence number of a further SYN.
    mutating func note(_ sequence: UInt32) {
        if sequence != isn { otherISN = sequence }
    }

    /// The largest window offered so far, in bytes.
    func largestWindow(shift: UInt8) -> UInt32 { max(UInt32(window), UInt32(laterWindow) << UInt32(shift)) }

    /// Sequence numbers that follow the SYN: data and FIN.
    var span: UInt32 { UInt32(length) + (marks.contains(.fin) ? 1 : 0) }
    /// The sequence number after all that was seen.
    var end: UInt32 { isn &+ 1 &+ span }

    func has(_ sequence: UInt32) -> Bool { sequence == isn || sequence == otherISN }

    /// The initial sequence number that this acknowledgement acknowledges, with any part of the data after it.
    func isn(acknowledgedBy acknowledgement: UInt32) -> UInt32? {
        if acknowledgement.isWithin(span, from: isn &+ 1) { return isn }
        if acknowledgement.isWithin(span, from: otherISN &+ 1) { return otherISN }
        return nil
    }

    /// The initial sequence number that a segment within `window` after the SYN follows.
    func isn(before sequence: UInt32, within window: UInt32) -> UInt32? {
        if sequence.isWithin(window, from: isn &+ 1) { return isn }
        if sequence.isWithin(window, from: otherISN &+ 1) { return otherISN }
        return nil
    }

    /// Whether this is exactly what the peer expects next, having taken the SYN alone or all that follows it.
    func isNext(_ sequence: UInt32) -> Bool { sequence == isn &+ 1 || sequence == end }

    /// Whether a segment with this sequence may follow the SYN within the window that the peer has offered. A keep-alive
    /// repeats the SYN's own number.
    func mayPlace(_ sequence: UInt32, within window: UInt32) -> Bool {
        has(sequence) || isn(before: sequence, within: window + span + 2) != nil
    }

    /// Whether this follows a SYN that the peer has not taken.
    func isNextOfOther(_ sequence: UInt32) -> Bool { otherISN != isn && sequence == otherISN &+ 1 }

    /// The peer has chosen; the other one is kept for its stragglers.
    mutating func choose(_ chosen: UInt32) {
        guard chosen != isn else { return }
        otherISN = isn
        isn = chosen
    }

    /// The peer has refused this one. False if it was the only one.
    mutating func withdraw(_ refused: UInt32) -> Bool {
        guard isn != otherISN else { return false }
        if refused == isn { isn = otherISN } else { otherISN = isn }
        return true
    }
}

/// An opening that is under way, beside the windows of the connection that it would replace, if there is one; afterwards
/// the record by which its late duplicates are known.
struct TCPHandshake: Equatable, Sendable, BitwiseCopyable {
    enum Stage: UInt8, Sendable, BitwiseCopyable {
        /// No opening was seen: the connection was taken over in mid-stream.
        case none
        /// The opener's SYN.
        case syn
        /// Both SYNs, and no SYN+ACK of the responder.
        case crossed
        /// The responder has acknowledged the opener's SYN.
        case answered
        /// Its connection has the windows.
        case completed
        /// Refused or given up.
        case abandoned
    }

    var offer = TCPOffer()
    /// Valid from `crossed` on, and after a handshake that came so far.
    var answer = TCPOffer()
    var stage = Stage.none
    var opener = Side.low

    var isUnderWay: Bool { stage == .syn || stage == .crossed || stage == .answered }
    var isOver: Bool { stage == .completed || stage == .abandoned }
    /// Whether the responder has answered this SYN, now or an earlier copy of it.
    var hasAnswer: Bool { stage != .syn || answer.marks.contains(.earlier) }
    init() {}

    init(_ s: TCPFields, from side: Side) {
        offer = TCPOffer(s)
        stage = .syn
        opener = side
    }

    /// Opens again after the connection of this handshake is over. Of a SYN that is repeated both ends may still act on
    /// what was said before; if the SYNs have crossed, it may be that of either.
    mutating func reopen(_ s: TCPFields, from side: Side) {
        let repeated = side == opener ? offer : answer
        let hasCrossed = answer.marks.contains(.pureSYN)
        guard stage != .none, answer.isValid, side == opener || hasCrossed, repeated.has(s.sequence) else {
            self = TCPHandshake(s, from: side)
            return
        }
        if side != opener {
            (offer, answer, opener) = (answer, offer, side)
            answer.marks.insert(.pureSYN)
        }
        offer.absorb(s)
        offer.marks.subtract([.hasAcknowledged, .pureSYN, .earlier])
        answer.marks.insert(.earlier)
        stage = .syn
    }

    /// The largest windows that were offered so far, in bytes.
    var openerWindow: UInt32 { offer.largestWindow(shift: shift(of: offer)) }
    var responderWindow: UInt32 { answer.largestWindow(shift: shift(of: answer)) }

    func mayPlaceOfOpener(_ sequence: UInt32) -> Bool { offer.mayPlace(sequence, within: responderWindow) }
    func mayPlaceOfResponder(_ sequence: UInt32) -> Bool { answer.mayPlace(sequence, within: openerWindow) }

    /// The opener's side of the connection that this handshake makes.
    var openerEndpoint: TCPEndpoint {
        var endpoint = endpoint(of: offer, facing: answer)
        // What the SYN+ACK acknowledged of the SYN's data is not kept; its window starts at most after all of it.
        endpoint.ceiling = endpoint.ceiling &+ offer.span
        return endpoint
    }

    var responderEndpoint: TCPEndpoint { endpoint(of: answer, facing: offer) }

    private func endpoint(of own: TCPOffer, facing peer: TCPOffer) -> TCPEndpoint {
        var endpoint = TCPEndpoint()
        endpoint.marks = .young
        endpoint.start = own.isn
        endpoint.end = own.end
        endpoint.ceiling = own.isn &+ 1 &+ peer.largestWindow(shift: shift(of: peer))
        endpoint.scale = shift(of: own)
        endpoint.largestWindow = own.largestWindow(shift: endpoint.scale)
        endpoint.acknowledged = peer.isn &+ 1
        endpoint.timestamp = own.timestamp
        if own.marks.contains(.timestamped) { endpoint.marks.insert(.timestamped) }
        if own.marks.contains(.fin) { endpoint.marks.insert(.fin) }
        return endpoint
    }

    /// Windows outside SYN segments are scaled only if both sides offered it (RFC 7323 section 2.2).
    private func shift(of own: TCPOffer) -> UInt8 {
        let isScaled = offer.scale != TCPFields.noWindowScale && answer.scale != TCPFields.noWindowScale
        return isScaled ? min(own.scale, 14) : 0
    }
}
