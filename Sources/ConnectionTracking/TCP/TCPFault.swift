// SPDX-License-Identifier: GPL-3.0-or-later

/// Which test of the tracker a segment failed, where no posture row decided. Several tests lead to one reason; the fault tells
/// them apart.
public enum TCPFault: UInt8, Sendable, BitwiseCopyable, CaseIterable {
    /// It ends further back than its receiver's windows let its sender repeat.
    case belowReach
    /// It ends beyond the highest right edge of a window that its receiver offered.
    case aboveCeiling
    /// It lies past its sender's FIN.
    case pastFIN
    /// It acknowledges what its receiver was never seen to send.
    case acknowledgesUnsent
    /// Its acknowledgement is further back than its own windows let its receiver repeat.
    case acknowledgesTooOld
    /// A SACK block ends beyond what its receiver was seen to send (RFC 2018).
    case selectivelyAcknowledgesUnsent
    /// A RST outside the window (RFC 5961 section 3).
    case resetOutsideWindow
    /// A segment without ACK after the SYN (RFC 9293 section 3.10.7.4).
    case noAcknowledgement
    /// Its numbers are none of the opening that is under way.
    case outsideOpening
    /// The connection is over.
    case closed
    /// The entry contradicts itself.
    case inconsistent
}
