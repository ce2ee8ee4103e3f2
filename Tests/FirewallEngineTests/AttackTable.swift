// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import PacketWire
import TestSupport
import Testing

/// Something that has got through, or moved what it must not move: how it goes, what it comes to, and the nearest honest packet,
/// which passes.
struct Attack: Sendable, CustomTestStringConvertible {
    let what: String
    var policy = ""
    /// The agent has just begun.
    var startsNow = false
    /// The user whose marked packets are the agent's own.
    var ownUser: UInt32?
    let outcome: Fate
    let attack: @Sendable (EngineUnderTest) throws -> Fate
    let honest: @Sendable (EngineUnderTest) throws -> Fate

    var testDescription: String { what }

    init(
        _ what: String, _ policy: String = "", startsNow: Bool = false, ownUser: UInt32? = nil, is outcome: Fate,
        _ attack: @escaping @Sendable (EngineUnderTest) throws -> Fate,
        but honest: @escaping @Sendable (EngineUnderTest) throws -> Fate
    ) {
        self.what = what
        self.policy = policy
        self.startsNow = startsNow
        self.ownUser = ownUser
        self.outcome = outcome
        self.attack = attack
        self.honest = honest
    }

    static let all = lengths + quotes + redirects + groups + cuts + marks + state
}

@Suite("The table of attacks: what each comes to, and what passes beside it")
struct AttackTableTests {
    @Test("The attack is stopped", arguments: Attack.all)
    func attack(_ row: Attack) throws {
        let engine = try EngineUnderTest(row.policy, startsNow: row.startsNow, ownUser: row.ownUser)
        #expect(try row.attack(engine) == row.outcome)
    }

    @Test("The nearest honest packet passes", arguments: Attack.all)
    func honest(_ row: Attack) throws {
        let engine = try EngineUnderTest(row.policy, startsNow: row.startsNow, ownUser: row.ownUser)
        #expect(try row.honest(engine) == .pass)
        #expect(engine.events.isEmpty)
    }
}

// MARK: - Lengths that hide what follows

extension Attack {
    private static let noTelnet = """
        rules: [{ name: No telnet, action: deny, priority: 4, direction: incoming, protocol: tcp, destination: { ports: 23 } }]
        engine: { sanity: { drop-zero-payload: false } }
        """

    private static let lengths = [
        Attack(
            "IPv6 payload length 0 and hop-by-hop options without a jumbo payload: the stack takes all that is there",
            noTelnet, is: .drop(.unreadableIPv6Header),
            { $0.receives(PacketBuilder.toHost6.hopByHop().syn(1, 23).payloadLength(0)) },
            but: { $0.receives(PacketBuilder.toHost6.hopByHop().syn(1, 24)) }),
        Attack(
            "The same with a jumbo payload that a length field could say", noTelnet, is: .drop(.unreadableIPv6Header),
            {
                let jumbo: [UInt8] = [0xc2, 4, 0, 0, 0xff, 0xff]
                return $0.receives(PacketBuilder.toHost6.hopByHop(options: jumbo).syn(1, 23).payloadLength(0))
            },
            but: { engine in
                engine.receives(PacketBuilder.toHost6.syn(1, 24).payloadLength(0)) { $0.isSegmentationOffload = true }
            }),
    ]
}
