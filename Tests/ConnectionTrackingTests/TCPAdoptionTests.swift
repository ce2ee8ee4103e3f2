// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import TestSupport
import Testing

@testable import ConnectionTracking

@Suite("TCP: connections older than the agent")
struct TCPAdoptionTests {
    /// A connection of which nothing was seen; the first segment is the client's.
    private func adopted(data: UInt32 = 100, from party: Party = .client) -> TCPConversation {
        var talk = TCPConversation()
        talk.client.next = 0xffff_f000
        talk.server.next = 0x1000_0000
        talk.client.expected = talk.server.next
        talk.server.expected = talk.client.next
        talk.isKnown = true
        let first = talk.segment(party, data: data)
        talk.state = TCPTracker.adopt(first, from: talk.side(party), opener: talk.side(.client), at: talk.clock.now)
        talk[party].next &+= data
        talk[party.peer].expected &+= data
        return talk
    }

    @Test("a connection taken over goes on from either side", arguments: Party.allCases, Party.allCases)
    func goesOn(first: Party, second: Party) {
        var talk = adopted(from: first)
        #expect(talk.phase == .established && talk.state.opener == talk.side(.client))
        for _ in 0..<20 {
            talk.send(second, data: 50_000)
            talk.send(second.peer, data: 50_000)
        }
        talk.close(first: second)
        #expect(talk.phase.isOver)
    }

    @Test("the window scale counts as 14")
    func scale() {
        var talk = adopted()
        talk.server.window = 100
        talk.send(.server)
        talk.refuse(talk.segment(.client, data: 1_000, by: 100 << 14 - 999), from: .client, as: .invalidSequence)
        talk.pass(talk.segment(.client, data: 1_000, by: 100 << 14 - 1_000), from: .client)
    }

    @Test("what was in flight before may be acknowledged, until everything is")
    func inFlight() {
        var talk = adopted()
        talk.pass(talk.segment(.server, data: 1_000), from: .server)
        talk.pass(talk.segment(.client, acknowledging: 90_000), from: .client)
        talk.pass(talk.segment(.server, data: 1_000, by: 90_000), from: .server)
        talk.pass(talk.segment(.client, acknowledging: 91_000), from: .client)
        talk.pass(talk.segment(.client, acknowledging: 91_500), from: .client)
        talk.clock.advance(by: .seconds(60))
        talk.pass(talk.segment(.client, acknowledging: 91_500), from: .client)
        talk.refuse(talk.segment(.client, acknowledging: 91_501), from: .client, as: .invalidACK)
    }

    @Test("numbers far away are refused from the first segment on")
    func farAway() {
        var talk = adopted()
        talk.refuse(talk.segment(.server, by: 1 << 31), from: .server, as: .invalidSequence)
        talk.refuse(talk.segment(.client, acknowledging: 1 << 31), from: .client, as: .invalidACK)
        talk.send(.server)
        talk.refuse(talk.segment(.server, data: 1, by: 1 << 29), from: .server, as: .invalidSequence)
    }

    @Test("a segment far from all that was seen passes where the windows are guesses, and teaches nothing")
    func farFetched() {
        var talk = adopted()
        talk.send(.server)
        talk.passInVain(talk.segment(.client, [.fin, .ack], data: 1_000, by: 1 << 26), from: .client)
        talk.passInVain(talk.segment(.client, acknowledging: 1 << 26), from: .client)
        talk.send(.client, data: 1_000)
        talk.pass(talk.segment(.client, data: 1_000, by: 1 << 24), from: .client)
    }

    @Test("a FIN, a RST, a SYN+ACK may be the first segment")
    func first() {
        let clock = TCPConversation().clock.now
        var s = TCPFields()
        s.acknowledgement = 99
        s.flags = [.fin, .ack]
        #expect(TCPTracker.adopt(s, from: .low, opener: .low, at: clock).phase == .finWait1)
        #expect(TCPTracker.adopt(s, from: .low, opener: .high, at: clock).phase == .closeWait)
        s.flags = [.rst, .ack]
        #expect(TCPTracker.adopt(s, from: .low, opener: .low, at: clock).phase == .closed)
        var talk = TCPConversation()
        talk.client.next &+= 1
        talk.server.expected = talk.client.next
        talk.isKnown = true
        let synACK = talk.segment(.server, [.syn, .ack])
        talk.state = TCPTracker.adopt(synACK, from: talk.side(.server), opener: talk.side(.client), at: clock)
        talk.server.next &+= 1
        talk.client.expected = talk.server.next
        talk.passInVain(synACK, from: .server)
        talk.send(.client, data: 10)
        talk.send(.server, data: 10)
    }

    @Test("a connection whose opening was missed goes on after the RST of the one before")
    func afterReset() {
        var talk = adopted()
        let rst = talk.segment(.client, .rst)
        talk.renew(clientISN: talk.client.next &+ 0x1234_5678, serverISN: 0x6666_6666)
        talk.client.expected = talk.server.next
        talk.server.expected = talk.client.next
        talk.state = TCPTracker.adopt(rst, from: talk.side(.client), opener: talk.side(.client), at: talk.clock.now)
        #expect(talk.phase == .closed)
        var late = talk
        talk.send(.client)
        talk.send(.server, data: 10)
        talk.send(.client, data: 10)
        #expect(talk.phase == .established)

        late.clock.advance(by: .minutes(2))
        late.refuse(late.segment(.client, data: 10), from: .client, as: .packetOnClosedConnection)
    }

    @Test("a first segment that acknowledges nothing sets no bounds for the other side")
    func withoutACK() {
        var talk = adopted()
        let probe = talk.segment(.client, [.fin, .urg, .psh])
        talk.state = TCPTracker.adopt(probe, from: talk.side(.client), opener: talk.side(.client), at: talk.clock.now)
        talk.send(.server, data: 10)
        talk.send(.client, data: 10)
        talk.refuse(talk.segment(.client, data: 10, by: 1 << 30), from: .client, as: .invalidSequence)
    }

    @Test("a closed window is learnt as closed, and data sent before it closed still passes")
    func closedWindow() {
        var talk = adopted(data: 5_000)
        talk.server.window = 0
        talk.pass(talk.segment(.server, acknowledging: -4_000), from: .server)
        talk.pass(talk.segment(.client, data: 1_000, by: -1_000), from: .client)
        talk.refuse(talk.segment(.client, data: 1_000, by: 1 << 20), from: .client, as: .invalidSequence)
    }
}
