// SPDX-License-Identifier: GPL-3.0-or-later

package import PacketWire

/// Everything remembered about one connection: a TCP connection, a pair of UDP endpoints, or an ICMPv4 exchange.
///
/// One flat value, changed in place in its table. Which of `tcp`, `udp` and `icmp` means something follows from the key's
/// protocol number; a union would save their sum, which the two small ones do not amount to. The fields stand in an order
/// that keeps together what a packet of a known connection uses, and leaves no gaps: 280 bytes (a test watches it).
package struct Connection: Sendable, BitwiseCopyable {
    package let key: ConnectionKey
    /// The side that sent the opening packet.
    package var opener: Side
    /// When the last packet that renews the connection was seen; the timeouts count from here.
    package var lastSeen: Instant
    package var tcp = TCPState()
    package var udp = UDPState()
    package var icmp = ICMPState()
    /// Set while the connection is one whose opening the policy refuses.
    package var refusal = Refusal.none
    /// The generation (as in `CachedRuleDecision`) by which the opening was judged last.
    package var generation: UInt32 = 0
    private let openedSecond: UInt32
    package var decisionOfLow = CachedRuleDecision()
    /// The direction of the opening packet. Here, it stands where alignment leaves a byte free.
    package var openingDirection: Direction
    /// Index of the interface that the opening packet used (entered by, or left by when outgoing).
    package var openingInterface: UInt32
    package var decisionOfHigh = CachedRuleDecision()
    /// Last two and first four bytes of `openingMAC`.
    private var macLow: UInt16
    private var macHigh: UInt32
    package var trafficOfLow = Traffic()
    package var trafficOfHigh = Traffic()

    /// A connection whose opening packet, sent by `opener`, was seen now.
    package init(
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
    package var openingMAC: MACAddress {
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

    /// When the opening packet was seen, to the second.
    package var openedAt: Instant { Instant(nanoseconds: Int64(openedSecond) * 1_000_000_000) }

    /// The cached rule decision for packets of this side.
    package subscript(decisionOf side: Side) -> CachedRuleDecision {
        get { side == .low ? decisionOfLow : decisionOfHigh }
        set { if side == .low { decisionOfLow = newValue } else { decisionOfHigh = newValue } }
    }

    /// Counts a packet of this side.
    package mutating func count(bytes: UInt32, from side: Side) {
        if side == .low { trafficOfLow.add(bytes) } else { trafficOfHigh.add(bytes) }
    }

    /// The direction in which packets of this side go.
    package func direction(of side: Side) -> Direction {
        side == opener ? openingDirection : openingDirection.opposite
    }
}

/// Why a connection's packets are refused: a reason and a rule in the numbering of the engine, meaningless here.
package struct Refusal: Hashable, Sendable, BitwiseCopyable {
    package var rule: Int32
    /// 0 is no refusal.
    package var reason: UInt8
    package init(reason: UInt8, rule: Int32) {
        self.reason = reason
        self.rule = rule
    }
    package static let none = Refusal(reason: 0, rule: -1)
    package var isRefused: Bool { reason != 0 }
}

/// What the rules said about packets of one side of a connection. The table neither reads nor interprets it.
package struct CachedRuleDecision: Sendable, BitwiseCopyable {
    /// One bit for each combination of the six rule flags (`TCPFlags.ruleFlags`) for which the decision is known to hold.
    package var flagsSeen: UInt64 = 0
    /// The generation of policy, schedules and interfaces that decided; 0 is none.
    package var generation: UInt32 = 0
    /// Index of the deciding rule, or -1.
    package var rule: Int32 = -1
    /// Index of the matching Log Only rule, or -1.
    package var logOnlyRule: Int32 = -1
    /// The interface that the packet used; rules may look at it.
    package var interface: UInt32 = 0
    package var outcome: UInt8 = 0
    /// The direction by whose rules it was decided.
    package var direction = Direction.incoming
    package init() {}
}

/// Packets and bytes of one side, refused ones not included.
package struct Traffic: Hashable, Sendable, BitwiseCopyable {
    package var packets: UInt64 = 0
    package var bytes: UInt64 = 0
    package init() {}

    fileprivate mutating func add(_ more: UInt32) {
        packets &+= 1
        bytes &+= UInt64(more)
    }
}
