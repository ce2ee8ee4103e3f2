// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

/// Where a connection is in its life, as far as the table cares: what timeout holds, what limits count it, and what
/// may be given up under pressure.
public enum ConnectionStage: UInt8, Sendable, BitwiseCopyable, CaseIterable {
    case synSent, synReceived, established, finWait1, finWait2, closeWait, closing, lastACK, timeWait, closed
    /// UDP before the first answer, and where more than a question and its answer were exchanged.
    case udp, udpStream
    case icmp
    /// The policy refuses the connection, of whatever protocol; it is remembered for its reason only.
    case refused
    /// UDP that was answered, and may be over with that.
    case udpAnswered
}

extension ConnectionStage {
    /// A TCP handshake that is not finished.
    var isHalfOpen: Bool { self == .synSent || self == .synReceived }

    /// A TCP connection that counts as concurrent for the per-computer limits: from its admitted SYN until both sides are
    /// done (TIME-WAIT) or one has reset it. A refused one was never admitted.
    var isConcurrent: Bool { rawValue < ConnectionStage.timeWait.rawValue }

    /// Nothing is lost with the entry but the name of the reason for stragglers.
    var isOver: Bool { self == .timeWait || self == .closed }
}

extension Connection {
    @inline(__always)
    public var stage: ConnectionStage {
        if refusal.isRefused { return .refused }
        switch key.protocolNumber {
        case IPProtocol.tcp: return tcp.isUnanswered ? .synReceived : ConnectionStage(tcp.phase)
        case IPProtocol.udp: return udp.stage
        default: return .icmp
        }
    }
}

extension ConnectionStage {
    /// The stages of TCP are its phases.
    @inline(__always)
    init(_ phase: TCPPhase) {
        self =
            switch phase {
            case .synSent: .synSent
            case .synReceived: .synReceived
            case .established: .established
            case .finWait1: .finWait1
            case .finWait2: .finWait2
            case .closeWait: .closeWait
            case .closing: .closing
            case .lastACK: .lastACK
            case .timeWait: .timeWait
            case .closed: .closed
            }
    }
}

extension Timeouts {
    /// How long an entry in this stage is kept after `lastSeen`.
    public func span(of stage: ConnectionStage) -> Instant.Span {
        if let phase = TCPPhase(rawValue: stage.rawValue) { return span(of: phase) }
        switch stage {
        case .udp, .udpAnswered: return udp
        case .udpStream: return udpStream
        case .icmp: return icmp
        default: return error
        }
    }

    /// In nanoseconds, in the order of the stages.
    var byStage: [Int64] { ConnectionStage.allCases.map { span(of: $0).nanoseconds } }
}

extension Connection {
    /// Whether it counts as half-open in the total: opened to this side, and not answered in full.
    var countsHalfOpen: Bool { openingDirection == .incoming && stage.isHalfOpen }

    /// What a connection counts as for its computer in this stage. Half-open counts against the computer that opens,
    /// hence only for incoming connections.
    func counted(in stage: ConnectionStage?) -> ComputerCounts.Kinds {
        guard let stage, stage.isConcurrent else { return [] }
        guard openingDirection == .incoming else { return .outgoing }
        return stage.isHalfOpen ? [.incoming, .halfOpen] : .incoming
    }
}
