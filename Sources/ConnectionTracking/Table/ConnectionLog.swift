// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

/// How a connection ended.
public enum ConnectionEnding: UInt8, Sendable, BitwiseCopyable, CaseIterable {
    /// Both sides have said that they are done, and both heard it.
    case fin
    /// A RST of the side that opened it, or of the other; of an opening too that was given up or refused.
    case resetByOriginator, resetByResponder
    /// No packet came for as long as its stage lasts.
    case idle
    /// The policy admits it no more, or has it dropped.
    case policy
    /// It made room for another one.
    case evicted
    /// There were more than the limits let this worker have.
    case limit
    /// The agent stopped, and nobody goes on with it.
    case agent
    /// Both ends have opened the same ports anew, and nothing had ended it before.
    case replaced
}

/// Protocols that have a table limit of their own.
public struct TrackedProtocols: OptionSet, Hashable, Sendable, BitwiseCopyable {
    public var rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    public init(_ kind: TrackedProtocol) { rawValue = 1 << kind.rawValue }
    public static let tcp = TrackedProtocols(.tcp)
    public static let udp = TrackedProtocols(.udp)
    public static let icmp = TrackedProtocols(.icmp)
}

/// A connection as it was when it ended.
public struct EndedConnection: Sendable, BitwiseCopyable {
    public var key: ConnectionKey
    public var opener: Side
    public var openingDirection: Direction
    public var openingInterface: UInt32
    /// When it was opened or, if it is older than the agent, met; and when its last packet came.
    public var opened: Instant
    public var lastSeen: Instant
    public var ofOpener: Traffic
    public var ofResponder: Traffic
    /// What admitted it, in the numbering of the engine's generation.
    public var rule: Int32
    public var generation: UInt32
    public var ending: ConnectionEnding
    /// The stage that it was in: of an idle one, that whose time was over.
    public var stage: ConnectionStage
}

/// What a table keeps of connections for the log of them, while a policy asks for one.
struct ConnectionLog: Sendable {
    /// What is known of a connection's opening, beside its entry.
    struct Opening: Sendable, BitwiseCopyable {
        var opened: Instant
        var rule: Int32 = -1
        var generation: UInt32 = 0
        /// What was counted before, for others of the same ports.
        var earlierOfLow = Traffic()
        var earlierOfHigh = Traffic()
    }

    /// Ends that wait to be taken; more than that are only counted. Twice what one turn of upkeep can end.
    static let capacity = 8192

    var isOn = false
    /// The protocols of which every end is told.
    var protocols: TrackedProtocols = []
    /// Parallel to the table's entries; empty while it is off.
    var openings: [Opening] = []
    private var ended: [EndedConnection] = []
    private var next = 0
    private(set) var lost: UInt64 = 0

    var isWaiting: Bool { !ended.isEmpty }
    var isEmpty: Bool { ended.isEmpty && lost == 0 }

    mutating func reserve() { ended.reserveCapacity(Self.capacity) }

    mutating func append(_ connection: EndedConnection) {
        guard ended.count < Self.capacity else {
            lost &+= 1
            return
        }
        ended.append(connection)
    }

    mutating func take() -> EndedConnection? {
        guard next < ended.count else { return nil }
        defer {
            next += 1
            if next == ended.count {
                ended.removeAll(keepingCapacity: true)
                next = 0
            }
        }
        return ended[next]
    }

    mutating func takeLost() -> UInt64 {
        defer { lost = 0 }
        return lost
    }
}
