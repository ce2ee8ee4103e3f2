// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import PacketWire
import TestSupport
import Testing

@testable import PolicyFile

@Suite("Each row of engine.anti-evasion decides about what it names")
struct PostureSettingTests {
    /// A packet that a row speaks of, and the nearest one of which it does not.
    struct Row: Sendable, CustomTestStringConvertible {
        let key: String
        let reason: DropReason
        var policy = ""
        let offends: @Sendable (EngineUnderTest) -> Fate
        let spares: @Sendable (EngineUnderTest) -> Fate
        var testDescription: String { key }

        init(
            _ key: String, _ reason: DropReason, by offends: @escaping @Sendable (EngineUnderTest) -> Fate,
            butNot spares: @escaping @Sendable (EngineUnderTest) -> Fate, policy: String = ""
        ) {
            (self.key, self.reason, self.policy, self.offends, self.spares) = (key, reason, policy, offends, spares)
        }

        /// Two segments that open nothing in an open connection.
        init(_ key: String, open flags: TCPFlags, butNot others: TCPFlags) {
            self.init(
                key, .invalidFlags, by: { Row.opened($0).send(.peer, flags) },
                butNot: { Row.opened($0).send(.peer, others) })
        }

        /// Two packets from outside, of no connection.
        init(
            _ key: String, _ reason: DropReason, _ packet: PacketBuilder, butNot other: PacketBuilder,
            policy: String = ""
        ) {
            self.init(key, reason, by: { $0.receives(packet) }, butNot: { $0.receives(other) }, policy: policy)
        }

        private static func opened(_ engine: EngineUnderTest) -> TCPTalk {
            let talk = TCPTalk(engine)
            talk.open()
            return talk
        }
    }

    private static func segment(_ flags: TCPFlags) -> PacketBuilder { .toHost.tcp(40_000, 80, flags, seq: 7) }

    /// What the peer's next segment gets whose time stamp differs by `difference` ms from its last, or is `value`.
    private static func stamped(_ engine: EngineUnderTest, by difference: Int = 0, to value: UInt32? = nil) -> Fate {
        let talk = TCPTalk(engine)
        talk.peer.timestamp = 3_000_000_000
        talk.host.timestamp = 9_000_000
        talk.open()
        talk.exchange()
        talk.peer.timestamp = value ?? UInt32(3_000_000_000 + difference)
        return talk.send(.peer, data: 1)
    }

    /// What the peer's SYN gets after the host's, acknowledged by itself or not at all.
    private static func crossing(_ engine: EngineUnderTest, acknowledgedBefore: Bool) -> Fate {
        TCPTalk(engine, hostPort: 2_000, peerPort: 80).send(.host, .syn)
        if acknowledgedBefore { engine.receives(.toHost.tcp(80, 2_000, .ack, seq: 5_000, ack: 0xffff_ff01)) }
        return engine.receives(.toHost.tcp(80, 2_000, .syn, seq: 5_000))
    }

    /// What a byte in the middle of the peer's data gets when it comes again.
    private static func repeated(_ engine: EngineUnderTest, _ byte: String) -> Fate {
        let talk = TCPTalk(engine)
        talk.open()
        talk.send(.peer, data: 200)
        return talk.deliver(talk.segment(.peer, by: -100).payload(byte), from: .peer)
    }

    /// What a FIN with these options gets on a connection whose SYN had none of them.
    private static func signed(_ engine: EngineUnderTest, _ options: [TCPOption]) -> Fate {
        let talk = TCPTalk(engine)
        talk.open()
        return talk.deliver(
            .toHost.tcp(40_000, 80, [.fin, .ack], seq: talk.peer.next, ack: talk.host.next, options: options),
            from: .peer)
    }

    static let rows: [Row] = [
        Row(
            "invalid-timestamps", .invalidSequence, by: { stamped($0, by: -1_001) },
            butNot: { stamped($0, by: -1_000) }),
        Row("paws-zero", .invalidSequence, by: { stamped($0, to: 0) }, butNot: { stamped($0, by: 1) }),
        Row(
            "fragments", .fragmented, .toHost.udp(5_000, 5_001).payload(count: 600).fragment(0..<304),
            butNot: .toHost.udp(5_000, 5_001).payload(count: 600), policy: "stateful: { udp: { enabled: false } }"),
        Row("zero-flags", open: [], butNot: .ack),
        Row("congestion-flags", .ceFlags, segment([.syn, .ece]), butNot: segment(.syn)),
        Row("urgent-flags", .invalidFlags, segment([.syn, .urg]), butNot: segment(.syn)),
        Row("syn-fin", open: [.syn, .fin], butNot: [.fin, .ack]),
        Row("syn-rst", open: [.syn, .rst], butNot: [.rst]),
        Row("rst-fin", open: [.rst, .fin, .ack], butNot: [.rst, .ack]),
        Row("syn-data", .invalidFlags, segment(.syn).payload("GET /"), butNot: segment(.syn)),
        Row(
            "split-handshake", .invalidFlags, by: { crossing($0, acknowledgedBefore: true) },
            butNot: { crossing($0, acknowledgedBefore: false) }),
        Row("rst-out-of-connection", .outOfConnection, segment(.rst), butNot: segment(.syn)),
        Row("fin-out-of-connection", .outOfConnection, segment([.fin, .ack]), butNot: segment(.rst)),
        Row(
            "outgoing-out-of-connection", .outOfConnection, by: { $0.sends(.fromHost.tcp(1, 2, .ack)) },
            butNot: { $0.sends(.fromHost.tcp(1, 2, .syn)) }),
        Row(
            "evasive-retransmit", .droppedRetransmit, by: { repeated($0, "x") },
            butNot: { repeated($0, "d") }),
        Row("checksum", .invalidChecksum, segment(.syn).transportChecksum(1), butNot: segment(.syn)),
        Row(
            "tcp-auth-option", .invalidFlags,
            by: { signed($0, [.bytes([19, 18] + [UInt8](repeating: 7, count: 16))]) },
            butNot: { signed($0, []) }),
    ]

    private func engine(_ row: Row, _ action: String) throws -> EngineUnderTest {
        try EngineUnderTest(row.policy + "\nengine: { anti-evasion: { \(row.key): \(action) } }")
    }

    @Test("allow lets it pass in silence, log with an event; deny drops it, deny-silent without one", arguments: rows)
    func actions(_ row: Row) throws {
        for (action, event) in [("allow", nil), ("log", EventAction.logOnly), ("deny", .deny), ("deny-silent", nil)] {
            let engine = try engine(row, action)
            let drops = action.hasPrefix("deny")
            #expect(row.offends(engine) == (drops ? .drop(row.reason) : .pass), "\(action)")
            #expect(engine.events.map(\.action) == (event.map { [$0] } ?? []), "\(action)")
            #expect(engine.events.allSatisfy { $0.reason == row.reason }, "\(action)")
        }
    }

    @Test("The nearest other packet passes in silence whatever the row says", arguments: rows)
    func others(_ row: Row) throws {
        for action in ["log", "deny"] {
            let engine = try engine(row, action)
            #expect(row.spares(engine) == .pass, "\(action)")
            #expect(engine.events.isEmpty, "\(action)")
        }
    }

    @Test("paws-window says how old a time stamp may be", arguments: [0, 1, 5, 3_600])
    func window(_ seconds: Int) throws {
        let policy = "engine: { anti-evasion: { invalid-timestamps: deny, paws-window: \(seconds)s } }"
        #expect(try Self.stamped(EngineUnderTest(policy), by: -1_000 * seconds) == .pass)
        #expect(try Self.stamped(EngineUnderTest(policy), by: -1_000 * seconds - 1) == .drop(.invalidSequence))
    }

    @Test("Every row that this version has is in the table")
    func complete() {
        #expect(Self.rows.map(\.key) == AntiEvasion.rows.map(\.key))
    }
}
