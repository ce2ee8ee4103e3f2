// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import PacketWire
import TestSupport
import Testing

@Suite("Each timeout of the policy file governs what it names")
struct TimeoutSettingTests {
    /// Brings one connection to where only this timeout counts.
    struct Stage: Sendable, CustomTestStringConvertible {
        let key: String
        let drive: @Sendable (EngineUnderTest) throws -> Void
        var testDescription: String { key }

        init(_ key: String, _ drive: @escaping @Sendable (EngineUnderTest) throws -> Void) {
            self.key = key
            self.drive = drive
        }

        /// An open TCP connection, and what follows.
        init(open key: String, _ follow: @escaping @Sendable (TCPTalk) -> Void) {
            self.init(key) { engine in
                let talk = TCPTalk(engine)
                talk.open()
                follow(talk)
            }
        }

        static let all: [Stage] = [
            Stage("syn-sent") { TCPTalk($0).send(.peer, .syn) },
            Stage("syn-received") {
                let talk = TCPTalk($0)
                talk.send(.peer, .syn)
                talk.send(.host, [.syn, .ack])
            },
            Stage(open: "established") { $0.exchange() },
            Stage(open: "fin-wait-1") { $0.send(.peer, [.fin, .ack]) },
            Stage(open: "fin-wait-2") {
                $0.send(.peer, [.fin, .ack])
                $0.send(.host)
            },
            Stage(open: "close-wait") {
                $0.send(.host, [.fin, .ack])
                $0.send(.peer)
            },
            Stage(open: "closing") {
                $0.send(.peer, [.fin, .ack])
                $0.send(.host)
                $0.send(.host, [.fin, .ack])
            },
            Stage(open: "last-ack") {
                $0.send(.host, [.fin, .ack])
                $0.send(.peer)
                $0.send(.peer, [.fin, .ack])
            },
            Stage(open: "time-wait") { $0.close() },
            Stage(open: "closed") { $0.close(first: .host) },
            Stage("error") { engine in
                let talk = TCPTalk(engine)
                talk.open()
                try engine.reloads(
                    """
                    rules: [{ name: No web, action: deny, direction: incoming, destination: { ports: 80 }, protocol: tcp }]
                    engine: { timeouts: { error: 77s } }
                    """)
                talk.send(.peer, data: 1)
            },
            Stage("udp") { $0.sends(.fromHost.udp(5_000, 53)) },
            Stage("udp-stream") {
                $0.sends(.fromHost.udp(5_000, 53))
                $0.receives(.toHost.udp(53, 5_000))
                $0.sends(.fromHost.udp(5_000, 53))
            },
            Stage("icmp") { $0.sends(.fromHost.echoRequest(id: 1, seq: 1)) },
        ]
    }

    @Test("It is remembered so long, and no longer", arguments: Stage.all)
    func timeouts(_ stage: Stage) throws {
        let engine = try EngineUnderTest("engine: { timeouts: { \(stage.key): 77s } }")
        try stage.drive(engine)
        #expect(engine.connections == 1)
        engine.waits(.seconds(75))
        #expect(engine.connections == 1)
        engine.waits(.seconds(5))
        #expect(engine.connections == 0)
    }

    @Test(
        "A segment of an unknown connection is admitted after the agent's start, and after the kernel's",
        arguments: ["cold-start: 9s, boot-start: 1s", "cold-start: 1s, boot-start: 9s"])
    func grace(_ timeouts: String) throws {
        let engine = try EngineUnderTest(
            "engine: { timeouts: { \(timeouts) } }", startsNow: true, clock: ManualClock(startingAt: 0))
        engine.waits(.seconds(8))
        #expect(engine.receives(.toHost.tcp(40_000, 80, .ack)) == .pass)
        engine.waits(.seconds(2))
        #expect(engine.receives(.toHost.tcp(40_001, 80, .ack)) == .drop(.outOfConnection))
    }

    @Test("An incomplete datagram is remembered as long as fragment says")
    func fragment() throws {
        let whole = PacketBuilder.toHost.udp(5_000, 5_001).payload(count: 600)
        for (seconds, fate) in [(2, Fate.drop(.overlappingFragment)), (4, .pass)] {
            let engine = try EngineUnderTest(ReasonCase.stateless + "\nengine: { timeouts: { fragment: 3s } }")
            #expect(engine.receives(whole.fragment(0..<304)) == .pass)
            engine.waits(.seconds(Int64(seconds)))
            #expect(engine.receives(whole.fragment(0..<312)) == fate)
        }
    }

    @Test("A datagram's fragments wait for their first one as long as fragment-hold says")
    func fragmentHold() throws {
        let engine = try EngineUnderTest("engine: { timeouts: { fragment-hold: 3s } }")
        let whole = PacketBuilder.toHost.udp(1, 2).payload(count: 600)
        #expect(engine.receives(whole.fragment(304..<608)) == .hold)
        engine.waits(.milliseconds(2_900))
        #expect(engine.released.isEmpty)
        engine.waits(.milliseconds(200))
        #expect(engine.released == [.drop(.incompleteDatagram)])
    }
}
