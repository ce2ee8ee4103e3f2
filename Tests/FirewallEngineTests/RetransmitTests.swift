// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import PacketWire
import TestSupport
import Testing

@Suite("Retransmissions that differ")
struct RetransmitTests {
    private static let deny = "engine: { anti-evasion: { evasive-retransmit: deny } }"

    private func opened(_ policy: String = deny) throws -> TCPTalk {
        let talk = TCPTalk(try EngineUnderTest(policy))
        talk.open()
        return talk
    }

    private func again(_ talk: TCPTalk, _ text: String, _ party: TCPTalk.Party = .peer, by shift: Int) -> Fate {
        talk.deliver(talk.segment(party, [.psh, .ack], by: shift).payload(text), from: party)
    }

    @Test(
        "of either side, before and after their acknowledgement", arguments: [TCPTalk.Party.peer, .host], [false, true])
    func sides(_ party: TCPTalk.Party, _ isAcknowledged: Bool) throws {
        let talk = try opened()
        talk.send(party, [.psh, .ack], data: 100)
        if isAcknowledged { talk.send(party == .host ? .peer : .host) }
        let same = talk.segment(party, [.psh, .ack], data: 100, by: -100)
        #expect(talk.deliver(same, from: party) == .pass)
        #expect(talk.engine.events.isEmpty)
        #expect(again(talk, "x", party, by: -50) == .drop(.droppedRetransmit))
        #expect(talk.engine.lastEvent?.note == .prevFull)
        #expect(talk.send(party, [.psh, .ack], data: 10) == .pass)
    }

    @Test("are told by their notes")
    func notes() throws {
        let talk = try opened()
        talk.send(.peer, data: 100)
        talk.send(.peer, data: 100)
        for (start, count, wrong, note) in [
            (10, 20, 15, EventNote.prevFull), (50, 100, 60, .prevPart), (50, 150, 120, .nextFull),
            (50, 100, 120, .nextPart),
        ] {
            var bytes = (0..<count).map { UInt8((start + $0) % 100 % 251) }
            bytes[wrong - start] ^= 1
            let packet = talk.segment(.peer, by: start - 200).payload(bytes)
            #expect(talk.deliver(packet, from: .peer) == .drop(.droppedRetransmit))
            #expect(talk.engine.lastEvent?.note == note)
        }
        #expect(talk.engine.events.count == 4)
    }

    @Test("A keep-alive may carry any byte")
    func keepAlive() throws {
        let talk = try opened()
        talk.exchange()
        #expect(again(talk, "?", by: -1) == .pass)
        #expect(again(talk, "??", by: -2) == .drop(.droppedRetransmit))
        #expect(talk.engine.events.count == 1)
    }

    @Test("A connection that opens anew on the same ports is another", arguments: [true, false])
    func reopened(_ isReset: Bool) throws {
        let talk = try opened()
        talk.send(.peer, data: 50)
        if isReset { talk.send(.peer, [.rst, .ack]) } else { talk.close() }
        let engine = talk.engine
        let next = TCPTalk(engine)
        next.peer.next = talk.peer.next &- 60
        next.host.next = talk.host.next &+ 100_000
        next.open()
        #expect(again(next, "other bytes in the old place", by: 0) == .pass)
        #expect(engine.events.isEmpty)
    }

    @Test("So is one that opens where the entry of an earlier one is gone, however much there is to tidy up")
    func openedAfterExpiry() throws {
        let engine = try EngineUnderTest(Self.deny)
        for port in 0..<100 as Range<UInt16> {
            let talk = TCPTalk(engine, peerPort: 40_000 + port)
            talk.open()
            talk.send(.peer, data: 50)
        }
        engine.waits(.hours(48))
        for port in 0..<100 as Range<UInt16> {
            let talk = TCPTalk(engine, peerPort: 40_000 + port)
            talk.open()
            #expect(again(talk, "other bytes in the old place", by: 0) == .pass)
        }
        #expect(engine.events.isEmpty)
    }

    @Test("A connection that was taken over is not compared")
    func takenOver() throws {
        let talk = TCPTalk(try EngineUnderTest(Self.deny, startsNow: true))
        talk.peer.expected = talk.host.next
        talk.host.expected = talk.peer.next
        for _ in 0..<3 { talk.exchange(100) }
        #expect(again(talk, "x", by: -50) == .pass)
    }

    @Test("A segment whose checksum is wrong is nothing that was seen")
    func disbelieved() throws {
        let talk = try opened()
        let garbage = talk.segment(.peer, [.psh, .ack]).payload("garbage").transportChecksum(1)
        #expect(talk.engine.receives(garbage) { $0.checksumNotVerified = true } == .pass)
        #expect(again(talk, "genuine", by: 0) == .pass)
        #expect(talk.engine.events.isEmpty)
    }

    @Test("Tap mode reports and passes them, and log passes them with the note")
    func passing() throws {
        let tapped = try opened("mode: tap\n" + Self.deny)
        tapped.send(.peer, data: 50)
        #expect(again(tapped, "x", by: -20) == .passReporting(.droppedRetransmit))
        let logged = try opened("engine: { anti-evasion: { evasive-retransmit: log } }")
        logged.send(.peer, data: 50)
        #expect(again(logged, "x", by: -20) == .pass)
        #expect(logged.engine.lastEvent?.action == .logOnly)
        #expect(logged.engine.lastEvent?.note == .prevFull)
    }

    @Test("A reload that asks for it no more gives the memory back, and one that does begins anew")
    func reload() throws {
        let talk = try opened()
        talk.send(.peer, data: 50)
        try talk.engine.reloads("")
        #expect(again(talk, "x", by: -20) == .pass)
        try talk.engine.reloads(Self.deny)
        #expect(again(talk, "x", by: -20) == .pass, "nothing is known of it")
        talk.send(.peer, data: 50)
        #expect(again(talk, "x", by: -20) == .drop(.droppedRetransmit))
    }
}
