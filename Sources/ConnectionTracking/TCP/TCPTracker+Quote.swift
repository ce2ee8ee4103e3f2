// SPDX-License-Identifier: GPL-3.0-or-later

/// Sequence numbers that ICMP errors quote (RFC 5927 section 4.1).
extension TCPTracker {
    /// Whether `side` may have a segment with this sequence number in flight: anything up to what it has sent, as far
    /// back as the peer's window allows it to repeat, or a SYN of an opening. While the sides have not agreed nothing is known.
    public static func isPlausibleQuote(_ state: TCPState, sequence: UInt32, sentBy side: Side) -> Bool {
        if state.isClaimed { return true }
        if state.hasWindows {
            let sender = state[side]
            let lowest = sender.lowest(within: state[side.opposite].reach)
            if sequence.isWithin(sender.limitOfAcknowledgement &- lowest, from: lowest) { return true }
        }
        let isOpener = side == state.handshake.opener
        guard state.handshake.stage != .none,
            isOpener || (state.handshake.stage != .syn && state.handshake.answer.isValid)
        else { return false }
        let offer = isOpener ? state.handshake.offer : state.handshake.answer
        return sequence.isWithin(offer.span &+ 1, from: offer.isn)
            || sequence.isWithin(offer.span &+ 1, from: offer.otherISN)
    }
}
