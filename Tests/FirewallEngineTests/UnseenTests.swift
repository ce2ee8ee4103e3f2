// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import PacketWire
import TestSupport
import Testing

@Suite("Packets that a full queue passed unseen, failing open")
struct UnseenTests {
    /// Both sides have sent so much that only they know of, that it is in no window.
    private func goOnUnseen(_ talk: TCPTalk) {
        for party in [TCPTalk.Party.peer, .host] { talk[party].next &+= 3 << 29 }
        talk.peer.expected = talk.host.next
        talk.host.expected = talk.peer.next
    }

    @Test("A connection goes on from wherever it is, whoever speaks first", arguments: [TCPTalk.Party.peer, .host])
    func goesOn(_ first: TCPTalk.Party) throws {
        let engine = try EngineUnderTest("failure: { engine: open }")
        let talk = TCPTalk(engine)
        talk.open()
        talk.exchange()
        goOnUnseen(talk)
        engine.engine.notePassedUnseen(at: engine.clock.now)
        #expect(talk.send(first, data: 100) == .pass)
        talk.exchange()
        talk.close()
        #expect(engine.events.isEmpty)
    }

    @Test("Where nothing passed unseen the same segments are refused")
    func refusedOtherwise() throws {
        let engine = try EngineUnderTest("failure: { engine: open }")
        let talk = TCPTalk(engine)
        talk.open()
        talk.exchange()
        goOnUnseen(talk)
        let fate = talk.send(.peer, data: 100)
        #expect(fate == .drop(.invalidSequence) || fate == .drop(.invalidACK))
    }

    @Test("A connection that was opened unseen goes on where a rule would have admitted it")
    func openedUnseen() throws {
        let engine = try EngineUnderTest(
            """
            failure: { engine: open }
            engine: { timeouts: { cold-start: 5m } }
            rules:
              - { name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }
              - { name: DNS, action: allow, direction: outgoing, protocol: tcp, destination: { ports: 53 } }
            """)
        engine.waits(.minutes(10))
        engine.engine.notePassedUnseen(at: engine.clock.now)
        let talk = TCPTalk(engine)
        goOnUnseen(talk)
        talk.exchange()
        let other = TCPTalk(engine, hostPort: 81)
        goOnUnseen(other)
        #expect(other.send(.peer, data: 1).isDrop)
        engine.waits(.minutes(10))
        let late = TCPTalk(engine, peerPort: 3)
        goOnUnseen(late)
        #expect(late.send(.peer, data: 1) == .drop(.outOfConnection))
    }

    @Test("A connection that opens anew what is over goes on although the answer passed unseen")
    func openedAnew() throws {
        let engine = try EngineUnderTest("failure: { engine: open }")
        let talk = TCPTalk(engine)
        talk.open()
        talk.close()
        talk.peer.next &+= 900_000
        #expect(talk.send(.peer, .syn) == .pass)
        engine.engine.notePassedUnseen(at: engine.clock.now)
        talk.host.next &+= 3 << 29
        talk.peer.expected = talk.host.next
        #expect(talk.send(.peer, data: 100) == .pass)
        talk.exchange()
        talk.close()
        #expect(engine.events.isEmpty)
    }

    @Test("A SYN that waited while its copy passed unseen is answered anew when all is over, and the answer passes")
    func openedTwice() throws {
        let engine = try EngineUnderTest("failure: { engine: open }")
        let talk = TCPTalk(engine)
        engine.engine.notePassedUnseen(at: engine.clock.now)
        #expect(talk.send(.peer, .syn) == .pass)
        let answer = talk.segment(.host, [.syn, .ack])
        for _ in 0..<2 { #expect(talk.deliver(answer, from: .host) == .pass) }
        // The peer has the connection of the copy, and says so; the host knows only the new one, and resets.
        talk.peer.expected = talk.host.next &+ 10_000_000
        talk.peer.next &+= 80
        #expect(talk.send(.peer) == .pass)
        talk.host.next = talk.peer.expected
        #expect(talk.send(.host, .rst) == .pass)
        for _ in 0..<2 {
            engine.waits(.seconds(1))
            #expect(talk.deliver(answer, from: .host) == .pass)
        }
        #expect(engine.events.isEmpty)
    }

    @Test("A connection known from before the rules were away for a while goes on when they come again")
    func rulesAgain() throws {
        let engine = try EngineUnderTest("failure: { engine: closed }")
        let talk = TCPTalk(engine)
        talk.open()
        talk.exchange()
        goOnUnseen(talk)
        engine.engine.beginColdStart(at: engine.clock.now)
        talk.exchange()
        talk.close()
        #expect(engine.events.isEmpty)
    }

    /// How packets come to pass unseen.
    enum Way: CaseIterable {
        case queueWasFull, rulesWereAway
    }

    private func passUnseen(_ way: Way, _ engine: EngineUnderTest) {
        switch way {
        case .queueWasFull: engine.engine.notePassedUnseen(at: engine.clock.now)
        case .rulesWereAway: engine.engine.beginColdStart(at: engine.clock.now)
        }
    }

    @Test("A connection opened since, which was seen whole, has its windows", arguments: Way.allCases)
    func openedSince(_ way: Way) throws {
        let engine = try EngineUnderTest("failure: { engine: open }")
        passUnseen(way, engine)
        let during = TCPTalk(engine, peerPort: 7)
        engine.waits(.seconds(9))
        during.open()
        engine.waits(.seconds(4))
        let since = TCPTalk(engine)
        since.open()
        for talk in [during, since] {
            talk.exchange()
            goOnUnseen(talk)
        }
        #expect(since.send(.peer, data: 100).isDrop)
        #expect(during.send(.peer, data: 100) == .pass)
    }

    @Test("An idle connection is taken up where it is even hours later", arguments: Way.allCases)
    func idle(_ way: Way) throws {
        let engine = try EngineUnderTest("failure: { engine: open }")
        let talk = TCPTalk(engine)
        talk.open()
        goOnUnseen(talk)
        engine.waits(.seconds(1))
        passUnseen(way, engine)
        engine.waits(.minutes(120))
        talk.exchange()
        engine.waits(.minutes(1))
        goOnUnseen(talk)
        #expect(talk.send(.peer, data: 100).isDrop)
    }

    @Test("A RST out of the windows passes and closes nothing; nonsense stays nonsense")
    func attacks() throws {
        let engine = try EngineUnderTest("failure: { engine: open }")
        let talk = TCPTalk(engine)
        talk.open()
        engine.engine.notePassedUnseen(at: engine.clock.now)
        #expect(talk.deliver(talk.segment(.peer, .rst, by: 1 << 24), from: .peer) == .pass)
        talk.exchange()
        #expect(talk.deliver(talk.segment(.peer, [.syn, .fin]), from: .peer) == .drop(.invalidFlags))
        talk.close()
    }
}

extension Fate {
    fileprivate var isDrop: Bool {
        if case .drop = self { true } else { false }
    }
}
