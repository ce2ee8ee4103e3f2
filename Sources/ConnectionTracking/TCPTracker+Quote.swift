// SPDX-License-Identifier: GPL-3.0-or-later

/// Sequence numbers that ICMP errors quote (RFC 5927 section 4.1).
extension TCPTracker {
    /// Whether `side` may have a segment with this sequence number in flight: anything up to what it has sent, as far
    /// back as the peer's window allows it to repeat, or a SYN of an opening.
    package static func isPlausibleQuote(_ state: TCPState, sequence: UInt32, sentBy side: Side) -> Bool {
        if state.hasWindows {
            let sender = state[side]
            let reach = state[side.opposite].reach
            if sequence.isWithin(reach &+ UInt32(sender.unseen), from: sender.end &- reach) { return true }
        }
        switch state.handshake.stage {
        case .none: return false
        case .syn where side != state.handshake.opener: return false
        case .over where side != state.handshake.opener && !state.handshake.answer.isValid: return false
        default: break
        }
        let offer = side == state.handshake.opener ? state.handshake.offer : state.handshake.answer
        return sequence.isWithin(offer.span &+ 1, from: offer.isn)
            || sequence.isWithin(offer.span &+ 1, from: offer.otherISN)
    }
}
