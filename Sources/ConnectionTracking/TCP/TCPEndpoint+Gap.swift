// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// Whether all that this side sent was seen. A receiver that lacks something expects that next, and takes a RST at the end of
/// what it has beyond for no reset (RFC 5961 section 3.2).
///
/// Kept is where what was seen without a gap up to `end` begins: once that is acknowledged, the peer has everything that we
/// have seen. That the gap was filled is believed when the peer says so, which it does at once (RFC 5681 section 4.2).
///
/// A FIN beyond a gap may be forged, and then data in its place are genuine: whichever its receiver gets in order first counts
/// there. So it is one only when the gap is closed, and none once data have come in its place. Of data behind it the peer's next
/// acknowledgement tells whether they count, or it.
extension TCPEndpoint {
    private static let gapShift: UInt32 = 15
    private static let gapMask: UInt16 = 0x7fff
    /// Set in `gapUnits` when the peer has selectively acknowledged what ends at `end`.
    private static let hasLast: UInt16 = 0x8000

    /// Takes note that something before this sequence number was not seen.
    mutating func noteGap(before sequence: UInt32) {
        marks.insert(.gapped)
        gapUnits = UInt16(truncatingIfNeeded: (sequence &+ (1 << Self.gapShift &- 1)) >> Self.gapShift) & Self.gapMask
    }

    /// Takes note of what the peer has of it. Linux also takes a RST at the end of what it has acknowledged selectively.
    mutating func closeGap(_ s: TCPFields) {
        closeGap(acknowledged: s.acknowledgement)
        if s.sackBlockCount > 0 && s.sackHighest == end { gapUnits |= Self.hasLast }
    }

    mutating func closeGap(acknowledged acknowledgement: UInt32) {
        let ahead = (UInt16(truncatingIfNeeded: acknowledgement >> Self.gapShift) &- gapUnits) & Self.gapMask
        if acknowledgement == end || ahead < 1 << 14 { marks.remove(.gapped) }
    }

    /// Whether a RST of this side with this sequence number ends the connection of a peer: it is what the peer expects next, as
    /// far as can be known, or what it has last acknowledged, if all that came since was lost. Linux takes the number of the FIN
    /// itself, too: some systems that give a connection up send it in both.
    func isNext(_ sequence: UInt32, for receiver: TCPEndpoint) -> Bool {
        if sequence == receiver.acknowledged { return true }
        if sequence == end { return !marks.contains(.gapped) || gapUnits & Self.hasLast != 0 }
        return hasFinished && sequence == end &- 1
    }

    /// Takes note of a RST of this side that ends the connection. At what the peer has last acknowledged it does so only if all that came
    /// since was lost behind us: until the peer acknowledges more, that counts as not seen.
    mutating func noteReset(at sequence: UInt32) {
        let isCertain = sequence == end || (hasFinished && sequence == end &- 1)
        if isCertain { marks.remove(.gapped) } else if !marks.contains(.gapped) { noteGap(before: end) }
        marks.insert(.reset)
    }

    /// A RST of this side has ended the connection, unless its peer had more than it had acknowledged.
    var isResetInDoubt: Bool { marks.isSuperset(of: [.reset, .gapped]) }

    /// Its FIN was seen, and nothing before it is missing as far as can be known.
    var hasFinished: Bool {
        marks.contains(.fin) && (!marks.contains(.gapped) || marks.contains(.finAcknowledged))
    }

    /// Whether this lies wholly behind a FIN that may be forged, as may this.
    func mayLieBehindFIN(_ s: TCPFields, _ unseenBytes: UInt32) -> Bool {
        s.dataLength > 0 && unseenBytes == 0 && !s.flags.contains(.fin) && !s.sequence.isBefore(end)
            && s.sequence &+ s.dataLength &- end <= UInt32(UInt16.max)
    }

    /// What of this side has come in the place of a FIN beyond a gap, or behind it.
    mutating func doubtFIN(before s: TCPFields) {
        let dataEnd = s.sequence &+ s.dataLength
        if dataEnd.isAfter(end) || (dataEnd == end && s.dataLength > 0) { marks.remove(.fin) }
    }
}
