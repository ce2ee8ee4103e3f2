// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

/// Everything remembered about one connection: a TCP connection, a pair of UDP endpoints, or an ICMPv4 exchange.
///
/// One flat value, changed in place in its table. Which of `tcp`, `udp` and `icmp` means something follows from the key's
/// protocol number; a union would save their sum, which the two small ones do not amount to. The fields stand in an order
/// that keeps together what a packet of a known connection uses: 288 bytes (a test watches it).
public struct Connection: Sendable, BitwiseCopyable {
    public let key: ConnectionKey
    /// The side that sent the opening packet.
    public var opener: Side
    /// When the last packet that renews the connection was seen; the timeouts count from here.
    public var lastSeen: Instant
    public var tcp = TCPState()
    public var udp = UDPState()
    public var icmp = ICMPState()
    /// Set while the connection is one whose opening the policy refuses.
    public var refusal = Refusal.none
    /// The generation (as in `CachedRuleDecision`) by which the opening was judged last.
    public var generation: UInt32 = 0
    private let openedSecond: UInt32
    public var decisionOfLow = CachedRuleDecision()
    /// The direction of the opening packet. Here, it stands where alignment leaves a byte free.
    public var openingDirection: Direction
    /// `isOwnTraffic` and what follows it, in one byte. Here for the same reason.
    private var traits: UInt8 = 0
    /// Index of the interface that the opening packet used (entered by, or left by when outgoing).
    public var openingInterface: UInt32
    public var decisionOfHigh = CachedRuleDecision()
    /// Last two and first four bytes of `openingMAC`.
    private var macLow: UInt16
    private var macHigh: UInt32
    public var trafficOfLow = Traffic()
    public var trafficOfHigh = Traffic()
    /// Where the program in the kernel keeps its windows, among its worker's places; -1 where it does not.
    public internal(set) var fastPlace: Int32 = -1
    /// What keeps it from there, in the numbering of the engine, as the last packet has shown it; 1 is that none has yet.
    public var fastPathObstacle: UInt8 = 1

    /// A connection whose opening packet, sent by `opener`, was seen now.
    public init(
        key: ConnectionKey, opener: Side, openingDirection: Direction, at now: Instant,
        openingInterface: UInt32 = 0, openingMAC: MACAddress = .none
    ) {
        self.key = key
        self.opener = opener
        self.openingDirection = openingDirection
        lastSeen = now
        openedSecond = UInt32(truncatingIfNeeded: now.nanoseconds / 1_000_000_000)
        self.openingInterface = openingInterface
        (macLow, macHigh) = Self.halves(openingMAC)
    }

    /// Source MAC of the opening packet, for judging it again after a reload.
    public var openingMAC: MACAddress {
        get {
            let bits = UInt64(macHigh) << 16 | UInt64(macLow)
            return bits == 0xffff_ffff_ffff ? .none : MACAddress(bits: bits)
        }
        set { (macLow, macHigh) = Self.halves(newValue) }
    }

    /// Nothing sends from the broadcast address, so its bits can stand for `none`.
    private static func halves(_ address: MACAddress) -> (low: UInt16, high: UInt32) {
        (UInt16(truncatingIfNeeded: address.bits), UInt32(truncatingIfNeeded: address.bits >> 16))
    }

    /// The agent itself opened it: rules do not apply to it.
    public var isOwnTraffic: Bool {
        get { traits & 1 != 0 }
        set { traits = traits & ~1 | (newValue ? 1 : 0) }
    }

    /// A control connection has announced it (`Expectations`), and its opening needed no Allow rule for that.
    public var isAnnounced: Bool {
        get { traits & 2 != 0 }
        set { traits = traits & ~2 | (newValue ? 2 : 0) }
    }

    /// The rule that admitted it wants it logged.
    public var isLogged: Bool {
        get { traits & 4 != 0 }
        set { traits = traits & ~4 | (newValue ? 4 : 0) }
    }

    /// Who of this host has opened it is not known yet, and rules ask for it.
    public var isSenderUnknown: Bool {
        get { traits & 16 != 0 }
        set { traits = traits & ~16 | (newValue ? 16 : 0) }
    }

    /// Its end was told, where ends are.
    public internal(set) var isEndTold: Bool {
        get { traits & 8 != 0 }
        set { traits = traits & ~8 | (newValue ? 8 : 0) }
    }

    /// When the opening packet was seen, to the second.
    public var openedAt: Instant { Instant(nanoseconds: Int64(openedSecond) * 1_000_000_000) }

    /// The cached rule decision for packets of this side.
    public subscript(decisionOf side: Side) -> CachedRuleDecision {
        get { side == .low ? decisionOfLow : decisionOfHigh }
        set { if side == .low { decisionOfLow = newValue } else { decisionOfHigh = newValue } }
    }

    /// Counts a packet of this side.
    public mutating func count(bytes: UInt32, from side: Side) {
        if side == .low { trafficOfLow.add(bytes) } else { trafficOfHigh.add(bytes) }
    }

    /// Counts packets of this side that passed in the kernel.
    mutating func count(packets: UInt64, bytes: UInt64, from side: Side) {
        if side == .low { trafficOfLow.add(packets, bytes) } else { trafficOfHigh.add(packets, bytes) }
    }

    /// The direction in which packets of this side go.
    public func direction(of side: Side) -> Direction {
        side == opener ? openingDirection : openingDirection.opposite
    }
}

/// Why a connection's packets are refused: a reason and a rule in the numbering of the engine, meaningless here.
public struct Refusal: Hashable, Sendable, BitwiseCopyable {
    public var rule: Int32
    /// 0 is no refusal.
    public var reason: UInt8
    /// Up to three causes, in the engine's numbering, in the order in which they were found; 0 is none.
    public var firstCause: UInt8 = 0
    public var secondCause: UInt8 = 0
    public var thirdCause: UInt8 = 0
    public init(reason: UInt8, rule: Int32) {
        self.reason = reason
        self.rule = rule
    }
    public static let none = Refusal(reason: 0, rule: -1)
    public var isRefused: Bool { reason != 0 }
}

/// What the rules said about packets of one side of a connection. The table neither reads nor interprets it.
public struct CachedRuleDecision: Sendable, BitwiseCopyable {
    /// One bit for each combination of the six rule flags (`TCPFlags.ruleFlags`) for which the decision is known to hold.
    public var flagsSeen: UInt64 = 0
    /// The generation of policy, schedules and interfaces that decided; 0 is none.
    public var generation: UInt32 = 0
    /// Index of the deciding rule, or -1.
    public var rule: Int32 = -1
    /// Index of the matching Log Only rule, or -1.
    public var logOnlyRule: Int32 = -1
    /// The interface that the packet used; rules may look at it.
    public var interface: UInt32 = 0
    public var outcome: UInt8 = 0
    /// The direction by whose rules it was decided.
    public var direction = Direction.incoming
    public init() {}
}

/// Packets and bytes of one side, refused ones not included.
public struct Traffic: Hashable, Sendable, BitwiseCopyable {
    public var packets: UInt64 = 0
    public var bytes: UInt64 = 0
    public init() {}

    fileprivate mutating func add(_ more: UInt32) {
        packets &+= 1
        bytes &+= UInt64(more)
    }

    fileprivate mutating func add(_ morePackets: UInt64, _ moreBytes: UInt64) {
        packets &+= morePackets
        bytes &+= moreBytes
    }
}
