// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

/// How far a TCP connection has come, as an observer on the path can know it. The names are those of RFC 9293 section
/// 3.3.2 seen from the opener; where the observer cannot know what the opener knows, the phase says what was *seen*.
public enum TCPPhase: UInt8, Sendable, BitwiseCopyable, CaseIterable {
    /// The opener's SYN, nothing of the other side's that answers it.
    case synSent
    /// The responder's SYN+ACK, or both SYNs of a simultaneous open; not yet the acknowledgements that complete the opening.
    case synReceived
    /// Both SYNs were acknowledged; no FIN.
    case established
    /// The opener's FIN, not acknowledged.
    case finWait1
    /// The opener's FIN, acknowledged; the responder may go on sending.
    case finWait2
    /// The responder's FIN, acknowledged or not; the opener may go on sending.
    case closeWait
    /// Both FINs, the opener's first, not both acknowledged. Wider than CLOSING of RFC 9293: it includes the time
    /// from the FIN that a waiting opener receives until the acknowledgement of it was seen.
    case closing
    /// Both FINs, the responder's first, not both acknowledged.
    case lastACK
    /// Both FINs acknowledged, the opener's was first.
    case timeWait
    /// Reset, refused, or both FINs acknowledged and the responder's was first.
    case closed

    /// The handshake is not finished.
    public var isHalfOpen: Bool { self == .synSent || self == .synReceived }
    /// Nothing but stragglers and a new opening can come.
    public var isOver: Bool { self == .timeWait || self == .closed }
}

extension Timeouts {
    /// How long a connection is remembered after its last packet in this phase.
    public func span(of phase: TCPPhase) -> Instant.Span {
        switch phase {
        case .synSent: synSent
        case .synReceived: synReceived
        case .established: established
        case .finWait1: finWait1
        case .finWait2: finWait2
        case .closeWait: closeWait
        case .closing: closing
        case .lastACK: lastACK
        case .timeWait: timeWait
        case .closed: closed
        }
    }
}
