// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// Whether all that this side sent was seen. A receiver that lacks something expects that next, and takes a RST at the end of
/// what it has beyond for no reset (RFC 5961 section 3.2).
///
/// Kept is where what was seen without a gap up to `end` begins: once that is acknowledged, the peer has everything that we
/// have seen. That the gap was filled is believed when the peer says so, which it does at once (RFC 5681 section 4.2).
extension TCPEndpoint {
    private static let gapShift: UInt32 = 14

    /// Takes note that something before this sequence number was not seen.
    mutating func noteGap(before sequence: UInt32) {
        marks.insert(.gapped)
        gapUnits = UInt16(truncatingIfNeeded: (sequence &+ (1 << Self.gapShift &- 1)) >> Self.gapShift)
    }

    /// Takes note of what the peer has of it. Linux also takes a RST at the end of what it has acknowledged selectively.
    mutating func closeGap(_ s: TCPFields) {
        closeGap(acknowledged: s.acknowledgement)
        if s.sackBlockCount > 0 && s.sackHighest == end { marks.remove(.gapped) }
    }

    mutating func closeGap(acknowledged acknowledgement: UInt32) {
        let ahead = UInt16(truncatingIfNeeded: acknowledgement >> Self.gapShift) &- gapUnits
        if acknowledgement == end || ahead < 1 << 15 { marks.remove(.gapped) }
    }

    /// Whether a RST of this side with this sequence number ends the connection of a peer: it is what the peer expects next, as
    /// far as can be known, or what it has last acknowledged, if all that came since was lost.
    func isNext(_ sequence: UInt32, for receiver: TCPEndpoint) -> Bool {
        sequence == receiver.acknowledged || (sequence == end && !marks.contains(.gapped))
    }
}
