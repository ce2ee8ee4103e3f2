// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import Testing

@testable import ConnectionTracking

@Suite("TCP: closing")
struct TCPClosingTests {
    @Test("the opener closes first")
    func openerFirst() {
        var talk = TCPConversation.established()
        talk.send(.client, [.fin, .ack])
        #expect(talk.phase == .finWait1)
        talk.send(.server)
        #expect(talk.phase == .finWait2)
        talk.send(.server, [.fin, .ack])
        #expect(talk.phase == .closing)
        talk.send(.client)
        #expect(talk.phase == .timeWait)
    }

    @Test("the responder closes first")
    func responderFirst() {
        var talk = TCPConversation.established()
        talk.send(.server, [.fin, .ack])
        #expect(talk.phase == .closeWait)
        talk.send(.client)
        #expect(talk.phase == .closeWait)
        talk.send(.client, [.fin, .ack])
        #expect(talk.phase == .lastACK)
        talk.send(.server)
        #expect(talk.phase == .closed)
    }

    @Test("one segment may acknowledge a FIN and carry the other, with the last data")
    func threeSegments() {
        var talk = TCPConversation.established()
        talk.send(.client, [.fin, .ack], data: 30)
        talk.send(.server, [.fin, .ack], data: 70)
        #expect(talk.phase == .closing)
        talk.send(.client)
        #expect(talk.phase == .timeWait)
    }

    @Test("both close at once")
    func simultaneous() {
        var talk = TCPConversation.established()
        let first = talk.segment(.client, [.fin, .ack])
        let second = talk.segment(.server, [.fin, .ack])
        talk.pass(first, from: .client)
        talk.pass(second, from: .server)
        #expect(talk.phase == .closing)
        talk.pass(talk.segment(.client, by: 1, acknowledging: 1), from: .client)
        #expect(talk.phase == .closing)
        talk.pass(talk.segment(.server, by: 1, acknowledging: 1), from: .server)
        #expect(talk.phase == .timeWait)
    }

    @Test("after a half-close the other side goes on for as long as it likes", arguments: Party.allCases)
    func halfClose(closer: Party) {
        var talk = TCPConversation.established()
        talk.send(closer, [.fin, .ack])
        for _ in 0..<100 {
            talk.send(closer.peer, data: 8_000)
            talk.send(closer)
        }
        #expect(talk.phase == (closer == .client ? .finWait2 : .closeWait))
        talk.send(closer.peer, [.fin, .ack])
        talk.send(closer)
        #expect(talk.phase == (closer == .client ? .timeWait : .closed))
    }

    @Test("no data stands beyond a FIN; what lies before it may still come, and so may the FIN again")
    func beyondFIN() {
        var talk = TCPConversation.established()
        let hole = talk.segment(.client, data: 1_000)
        let fin = talk.segment(.client, [.fin, .ack], data: 500, by: 1_000)
        talk.pass(fin, from: .client)
        #expect(talk.phase == .finWait1)
        talk.refuse(talk.segment(.client, data: 1, by: 1_500), from: .client, as: .invalidSequence)
        talk.refuse(talk.segment(.client, by: 1_502), from: .client, as: .invalidSequence)
        talk.refuse(talk.segment(.client, [.fin, .ack], by: 1_501), from: .client, as: .invalidSequence)
        talk.passInVain(hole, from: .client)
        talk.passInVain(fin, from: .client)
        talk.passInVain(talk.segment(.client, by: 1_501), from: .client)
        talk.pass(talk.segment(.server, acknowledging: 1_000), from: .server)
        #expect(talk.phase == .finWait1)
        talk.pass(talk.segment(.server, acknowledging: 1_501), from: .server)
        #expect(talk.phase == .finWait2)
    }

    @Test("a FIN before data that was already sent closes nothing", arguments: Party.allCases)
    func staleFIN(party: Party) {
        var talk = TCPConversation.established()
        talk.send(party, data: 3_000)
        talk.passInVain(talk.segment(party, [.fin, .ack], data: 1_000, by: -3_000), from: party)
        talk.send(party.peer)
        talk.passInVain(talk.segment(party, [.fin, .ack], by: -2), from: party)
        talk.send(party, [.fin, .ack])
        #expect(talk.phase == (party == .client ? .finWait1 : .closeWait))
    }

    @Test("stragglers of a connection that both sides have closed pass", arguments: Party.allCases)
    func stragglers(first: Party) {
        var talk = TCPConversation.established()
        let data = talk.send(first.peer, data: 2_000)
        let ack = talk.send(first)
        talk.send(first, [.fin, .ack])
        talk.send(first.peer)
        let fin = talk.send(first.peer, [.fin, .ack])
        let last = talk.send(first)
        let phase = talk.phase
        #expect(phase.isOver)
        for (segment, party) in [(data, first.peer), (ack, first), (fin, first.peer), (last, first)] {
            talk.passInVain(segment, from: party)
        }
        #expect(talk.phase == phase)
    }

    @Test("anything else on it is a packet on a closed connection", arguments: Party.allCases, Party.allCases)
    func onClosed(first: Party, sender: Party) {
        var talk = TCPConversation.established()
        talk.close(first: first)
        let strangers = [
            talk.segment(sender, data: 1), talk.segment(sender, by: 1), talk.segment(sender, by: 2_000_000),
            talk.segment(sender, acknowledging: 1), talk.segment(sender, .rst, by: 2_000_000),
            talk.segment(sender, [.fin, .ack]), talk.segment(sender, .fin),
            talk.segment(sender, [.syn, .ack], by: 5_000_000),
        ]
        for stranger in strangers { talk.refuse(stranger, from: sender, as: .packetOnClosedConnection) }
    }
}
