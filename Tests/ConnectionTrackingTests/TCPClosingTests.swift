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
        talk.passInVain(hole, from: .client)
        talk.passInVain(fin, from: .client)
        talk.passInVain(talk.segment(.client, by: 1_501), from: .client)
        talk.pass(talk.segment(.server, acknowledging: 1_000), from: .server)
        #expect(talk.phase == .established)
        talk.pass(talk.segment(.server, acknowledging: 1_501), from: .server)
        #expect(talk.phase == .finWait2)
        talk.refuse(talk.segment(.client, data: 1, by: 1_500), from: .client, as: .invalidSequence)
        talk.refuse(talk.segment(.client, by: 1_502), from: .client, as: .invalidSequence)
        talk.refuse(talk.segment(.client, [.fin, .ack], by: 1_501), from: .client, as: .invalidSequence)
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

    /// Data that are lost behind us come again; what was forged beyond them is overrun by what is genuine.
    @Test("a FIN beyond a gap counts when the gap is closed, and is none where data come in its place")
    func beyondGap() {
        var talk = TCPConversation.established()
        talk.send(.client, data: 100)
        talk.send(.server)
        talk.pass(talk.segment(.client, [.fin, .ack], by: 50), from: .client)
        #expect(talk.phase == .established)
        // What the receiver has of it is no sign that the gap is closed.
        talk.pass(
            talk.segment(.server).with {
                $0.sackBlockCount = 1
                $0.sackLowest = talk.client.next &+ 50
                $0.sackHighest = talk.client.next &+ 51
            }, from: .server)
        #expect(talk.phase == .established)
        var genuine = talk
        talk.send(.client, data: 50)
        talk.client.next &+= 1
        talk.server.expected = talk.client.next
        talk.send(.server)
        #expect(talk.phase == .finWait2)
        talk.refuse(talk.segment(.client, data: 1), from: .client, as: .invalidSequence)

        genuine.send(.client, data: 500)
        genuine.send(.server)
        #expect(genuine.phase == .established)
        genuine.send(.client, data: 500)
        genuine.close(first: .client)
        #expect(genuine.phase == .timeWait)
    }

    @Test("a FIN in the place of data that was seen is none")
    func inPlaceOfData() {
        var talk = TCPConversation.established()
        talk.send(.client, data: 1)
        talk.pass(talk.segment(.client, [.fin, .ack], by: -1), from: .client)
        talk.send(.server)
        #expect(talk.phase == .established)
        talk.send(.client, data: 10)
    }

    @Test("a FIN before what was seen beyond a gap is one when just that is acknowledged", arguments: [false, true])
    func beforeForgery(isGenuine: Bool) {
        var talk = TCPConversation.established()
        talk.send(.client, data: 100)
        talk.send(.server)
        talk.pass(talk.segment(.client, data: 1, by: 1_000), from: .client)
        talk.pass(talk.segment(.client, [.fin, .ack], data: 10), from: .client)
        #expect(talk.phase == .established)
        talk.client.next &+= isGenuine ? 11 : 1_001
        talk.server.expected = talk.client.next
        talk.send(.server)
        #expect(talk.phase == (isGenuine ? .finWait2 : .established))
        if !isGenuine { talk.send(.client, data: 10) }
    }

    @Test("of two FINs beyond a gap the one that is acknowledged counts")
    func twoFINs() {
        var talk = TCPConversation.established()
        talk.send(.client, data: 100)
        talk.send(.server)
        talk.pass(talk.segment(.client, [.fin, .ack], data: 10, by: 1), from: .client)
        talk.send(.client, [.fin, .ack])
        #expect(talk.phase == .established)
        talk.send(.server)
        #expect(talk.phase == .finWait2)
    }

    @Test("a SYN that is forged just before what is expected does not take the RST for itself")
    func resetBehindForgedSYN() {
        var talk = TCPConversation.established()
        talk.send(.client, data: 100)
        talk.pass(talk.segment(.client, .syn, by: -1), from: .client)
        talk.pass(talk.segment(.client, [.rst, .ack]), from: .client)
        #expect(talk.phase == .closed)
    }

    @Test("an acknowledgement ahead of what was sent says nothing of it")
    func emptyAhead() {
        var talk = TCPConversation.established()
        talk.send(.client, data: 100)
        talk.passInVain(talk.segment(.client, by: 1_000), from: .client)
        talk.refuse(talk.segment(.server, acknowledging: 1), from: .server, as: .invalidACK)
        talk.close(first: .client)
        #expect(talk.phase == .timeWait)
    }

    @Test("a FIN that was lost before us is one when it comes again, although its sender has gone on")
    func lostBefore() {
        var talk = TCPConversation.established()
        talk.send(.client, data: 10)
        talk.send(.server)
        talk.pass(talk.segment(.client, by: 1), from: .client)
        talk.send(.client, [.fin, .ack])
        talk.send(.server)
        #expect(talk.phase == .finWait2)
    }

    /// Linux takes it for the next number in CLOSE-WAIT, LAST-ACK and CLOSING.
    @Test("a RST with the number of the FIN ends the connection", arguments: [false, true])
    func resetWithNumberOfFIN(isAcknowledged: Bool) {
        var talk = TCPConversation.established()
        talk.send(.client, data: 100)
        talk.send(.client, [.fin, .ack])
        if isAcknowledged { talk.send(.server) }
        talk.passInVain(talk.segment(.client, .rst, by: -2), from: .client)
        talk.pass(talk.segment(.client, .rst, by: -1), from: .client)
        #expect(talk.phase == .closed)
    }

    @Test(
        "a FIN beyond a gap, with data beyond it: the next acknowledgement tells which of them count",
        arguments: [false, true])
    func beyondGap(isFIN: Bool) {
        var talk = TCPConversation.established()
        talk.send(.server)
        talk.pass(talk.segment(.client, [.fin, .ack], by: 1), from: .client)
        talk.pass(talk.segment(.client, data: 1, by: 1_000), from: .client)
        talk.pass(talk.segment(.client, data: isFIN ? 1 : 1_000), from: .client)
        talk.pass(talk.segment(.server, acknowledging: isFIN ? 2 : 1_001), from: .server)
        #expect(talk.phase == (isFIN ? .finWait2 : .established))
        if isFIN { return }
        talk.client.next &+= 1_001
        talk.server.expected = talk.client.next
        talk.send(.client, data: 100)
        talk.send(.server)
        talk.pass(talk.segment(.client, .rst), from: .client)
        #expect(talk.phase == .closed)
    }

    @Test(
        "a FIN in the place of a byte that came ahead counts only if nothing was missing before its segment",
        arguments: [false, true])
    func inPlaceOfByte(isWhole: Bool) {
        var talk = TCPConversation.established()
        talk.send(.server)
        talk.pass(talk.segment(.client, data: 10, by: 1), from: .client)
        if !isWhole { talk.pass(talk.segment(.client, data: 5), from: .client) }
        let start: Int64 = isWhole ? 0 : 5
        talk.pass(talk.segment(.client, [.fin, .ack], data: UInt32(10 - start), by: start), from: .client)
        talk.pass(talk.segment(.server, acknowledging: 11), from: .server)
        #expect(talk.phase == (isWhole ? .finWait2 : .established))
    }
}
