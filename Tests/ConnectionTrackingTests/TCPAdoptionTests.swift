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

    @Test("numbers far away are refused once both sides have acknowledged each other, and not before")
    func farAway() {
        var talk = adopted()
        talk.pass(talk.segment(.server, by: 1 << 31), from: .server)
        talk.pass(talk.segment(.client, acknowledging: 1 << 30), from: .client)
        talk.send(.client)
        talk.send(.server)
        talk.refuse(talk.segment(.server, by: 1 << 31), from: .server, as: .invalidSequence)
        talk.refuse(talk.segment(.client, acknowledging: 1 << 31), from: .client, as: .invalidACK)
        talk.refuse(talk.segment(.server, data: 1, by: 1 << 29), from: .server, as: .invalidSequence)
    }

    @Test("a late handshake refuses nothing of what a forgery has made forget", arguments: Party.allCases)
    func lateHandshake(party: Party) {
        var talk = TCPConversation()
        let syn = talk.segment(.client, .syn)
        talk.client.next &+= 1
        talk.server.expected = talk.client.next
        let answer = talk.segment(.server, [.syn, .ack])
        talk.server.next &+= 1
        talk.client.expected = talk.server.next
        let ack = talk.segment(.client)
        talk.isKnown = true
        talk.state = TCPTracker.remember(opener: talk.side(.client), at: talk.clock.now)
        talk.send(party, data: 1_000)
        talk.pass(talk.segment(party, by: 1 << 31, acknowledging: 1 << 30), from: party)
        talk.pass(syn, from: .client)
        talk.pass(answer, from: .server)
        talk.pass(ack, from: .client)
        for each in [party.peer, party, party.peer] { talk.send(each) }
        for each in Party.allCases { talk.send(each, data: 50_000) }
        talk.refuse(talk.segment(party, acknowledging: 1 << 30), from: party, as: .invalidACK)
        talk.refuse(talk.segment(party, data: 1, by: 1 << 30), from: party, as: .invalidSequence)
    }

    @Test("forged segments of either side fix no bound, however many there are", arguments: Party.allCases, [0, 1, 5])
    func forged(_ forger: Party, _ before: Int) {
        var random = SeededRandom(seed: 7)
        for flags in [.ack, [.ack, .psh], [.fin, .ack], .rst, [.rst, .ack], [.syn, .ack]] as [TCPFlags] {
            var talk = adopted()
            talk.state = TCPTracker.remember(opener: talk.side(.client), at: talk.clock.now)
            for round in 0..<20 {
                for _ in 0..<before {
                    var s = talk.segment(forger, flags, data: flags.contains(.psh) ? 100 : 0)
                    s.sequence = .random(in: 0 ... .max, using: &random)
                    s.acknowledgement = .random(in: 0 ... .max, using: &random)
                    talk.pass(s, from: forger)
                    if round > 0 { break }
                }
                #expect(talk.phase == .established)
                talk.send(forger, data: 500)
                talk.send(forger.peer)
                talk.send(forger.peer, data: 1_000)
                talk.send(forger)
                #expect(talk.state.hasWindows)
                talk.state = TCPTracker.remember(opener: talk.side(.client), at: talk.clock.now)
            }
        }
    }

    @Test("a forgery between the segments of an idle connection delays its agreement by one segment at most")
    func forgedInBetween() {
        var talk = adopted(data: 0)
        var forged = talk.segment(.client)
        forged.sequence = 0x7777_7777
        forged.acknowledgement = 0x3333_3333
        for _ in 0..<100 { talk.pass(forged, from: .client) }
        talk.send(.server)
        #expect(talk.state.isClaimed)
        talk.pass(forged, from: .client)
        #expect(talk.state.isClaimed)
        talk.send(.client)
        #expect(talk.state.hasWindows && talk.phase == .established)
    }

    @Test("a RST ends a connection taken over at what its receiver itself has said that it expects, and nowhere else")
    func reset() {
        var talk = adopted()
        talk.passInVain(talk.segment(.client, .rst), from: .client)
        talk.passInVain(talk.segment(.server, .rst, by: 5), from: .server)
        talk.pass(talk.segment(.server, acknowledging: -90_000), from: .server)
        #expect(talk.state.isClaimed)
        talk.passInVain(talk.segment(.client, .rst), from: .client)
        var other = talk
        other.pass(other.segment(.server, .rst), from: .server)
        #expect(other.phase == .closed)
        talk.pass(talk.segment(.client, .rst, by: -90_000), from: .client)
        #expect(talk.phase == .closed)
        talk.refuse(talk.segment(.client, data: 1), from: .client, as: .packetOnClosedConnection)
        talk.passInVain(talk.segment(.server, data: 1), from: .server)
    }

    @Test("a connection that is learnt anew keeps its standing, and is known again when both sides have spoken")
    func relearnt() {
        var talk = TCPConversation.established()
        for party in Party.allCases { talk[party].next &+= 1 << 30 }
        talk.client.expected = talk.server.next
        talk.server.expected = talk.client.next
        let segment = talk.segment(.client, data: 10)
        TCPTracker.relearn(&talk.state, segment, from: talk.side(.client), at: talk.clock.now)
        #expect(talk.state.isClaimed && !talk.state.isUnanswered)
        talk.client.next &+= 10
        talk.server.expected = talk.client.next
        talk.send(.server)
        #expect(talk.state.hasWindows)
        talk.close(first: .server)
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

    @Test("a FIN may be the first segment, and counts when it is acknowledged", arguments: Party.allCases)
    func firstFIN(_ party: Party) {
        var talk = adopted()
        let clock = talk.clock.now
        let fin = talk.segment(party, [.fin, .ack])
        talk.state = TCPTracker.adopt(fin, from: talk.side(party), opener: talk.side(.client), at: clock)
        #expect(talk.phase == .established)
        talk[party].next &+= 1
        talk[party.peer].expected = talk[party].next
        talk.send(party.peer)
        #expect(talk.phase == (party == .client ? .finWait2 : .closeWait))
        talk.send(party.peer, [.fin, .ack])
        talk.send(party)
        #expect(talk.phase.isOver)
    }

    @Test("a SYN+ACK may be the first segment")
    func first() {
        let clock = TCPConversation().clock.now
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

    @Test("a connection whose opening was missed takes the place of what was claimed of the one before")
    func afterAnother() {
        var talk = adopted()
        talk.renew(clientISN: talk.client.next &+ 0x1234_5678, serverISN: 0x6666_6666)
        talk.client.expected = talk.server.next
        talk.server.expected = talk.client.next
        talk.send(.client)
        talk.send(.server, data: 10)
        talk.send(.client, data: 10)
        #expect(talk.phase == .established && talk.state.hasWindows)
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
