// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import Testing

@testable import ConnectionTracking

@Suite("TCP: resets")
struct TCPResetTests {
    @Test("a RST at exactly the next expected sequence ends the connection", arguments: Party.allCases)
    func exact(party: Party) {
        var talk = TCPConversation.established()
        talk.send(.client, data: 100)
        talk.send(.server, data: 100)
        talk.pass(talk.segment(party, .rst), from: party)
        #expect(talk.phase == .closed)
    }

    @Test("a RST with ACK is judged by its sequence; its acknowledgement may be anything")
    func withACK() {
        var talk = TCPConversation.established()
        talk.pass(talk.segment(.client, [.rst, .ack], acknowledging: 123_456), from: .client)
        #expect(talk.phase == .closed)
    }

    @Test("a RST elsewhere inside the window passes and changes nothing", arguments: [1, 1_000, 1_024_000])
    func inside(shift: Int64) {
        var talk = TCPConversation.established()
        talk.send(.server)
        talk.passInVain(talk.segment(.client, .rst, by: shift), from: .client)
        talk.passInVain(talk.segment(.server, .rst, by: shift), from: .server)
    }

    @Test("a RST outside the window is refused", arguments: [1_024_002, 2_000_000, 1 << 31, -1, -1_000])
    func outside(shift: Int64) {
        var talk = TCPConversation.established()
        talk.send(.server)
        talk.refuse(talk.segment(.client, .rst, by: shift), from: .client, as: .invalidSequence)
        talk.refuse(talk.segment(.server, .rst, by: shift), from: .server, as: .invalidSequence)
    }

    @Test("when data before the RST was lost, the challenge ACK leads to one that counts")
    func challenge() {
        var talk = TCPConversation.established()
        talk.send(.client, data: 10)
        talk.send(.server)
        talk.passInVain(talk.segment(.client, .rst, by: 2_000), from: .client)
        let challenge = talk.segment(.server)
        talk.pass(challenge, from: .server)
        talk.pass(talk.segment(.client, .rst).with { $0.sequence = challenge.acknowledgement }, from: .client)
        #expect(talk.phase == .closed)
    }

    @Test("a RST at the last acknowledgement counts although later data was seen")
    func atLastAcknowledgement() {
        var talk = TCPConversation.established()
        talk.send(.client, data: 100)
        talk.send(.server)
        talk.pass(talk.segment(.client, data: 3_000), from: .client)
        talk.passInVain(talk.segment(.client, .rst, by: 1_000), from: .client)
        talk.pass(talk.segment(.client, .rst), from: .client)
        #expect(talk.phase == .closed)
    }

    @Test("unless the other side had that data, and acknowledges it", arguments: [false, true])
    func outlived(isFinished: Bool) {
        var talk = TCPConversation.established()
        talk.send(.client, data: 100)
        talk.send(.server, data: 50)
        let forged = talk.segment(.client, [.rst, .ack])
        talk.send(.client, isFinished ? [.fin, .ack] : .ack, data: 300)
        talk.pass(forged, from: .client)
        #expect(talk.phase == .closed)
        talk.passInVain(talk.segment(.server, acknowledging: isFinished ? -301 : -300), from: .server)
        #expect(talk.phase == .closed, "what it has said before shows nothing")
        talk.send(.server)
        #expect(talk.phase == (isFinished ? .finWait2 : .established))
        talk.send(.server, data: 2_000)
        talk.send(.client)
        talk.send(.server, [.fin, .ack])
        talk.send(.client, isFinished ? .ack : [.fin, .ack])
        if !isFinished { talk.send(.server) }
        #expect(talk.phase.isOver)
    }

    @Test("what the side goes on to send before that passes, and may be acknowledged with it")
    func goesOnBefore() {
        var talk = TCPConversation.established()
        talk.send(.server)
        let forged = talk.segment(.client, .rst)
        talk.send(.client, data: 300)
        talk.pass(forged, from: .client)
        talk.send(.client, data: 300)
        #expect(talk.phase == .closed)
        talk.send(.server)
        #expect(talk.phase == .established)
        talk.send(.client, data: 300)
        talk.send(.server)
        talk.pass(talk.segment(.client, .rst), from: .client)
        #expect(talk.phase == .closed)
    }

    @Test("at the end of all that was sent it counts, whatever the other side acknowledges late")
    func certain() {
        var talk = TCPConversation.established()
        talk.send(.client, data: 300)
        let late = talk.segment(.server)
        talk.pass(talk.segment(.client, .rst), from: .client)
        talk.pass(late, from: .server)
        #expect(talk.phase == .closed)
    }

    @Test("a side that is gone answers what is in flight with RSTs at old acknowledgements")
    func answersToInFlight() {
        var talk = TCPConversation.established()
        let early = talk.segment(.client)
        talk.send(.server, data: 3_000)
        talk.send(.client)
        talk.send(.server, data: 3_000)
        let answer = talk.segment(.server, .rst).with { $0.sequence = early.acknowledgement }
        talk.passInVain(answer, from: .server)
        talk.send(.client)
        talk.passInVain(answer, from: .server)
        talk.pass(talk.segment(.server, .rst), from: .server)
        talk.passInVain(answer, from: .server)
    }

    @Test("of the RSTs that answer four acknowledgements in flight the last one counts")
    func fourInFlight() {
        var talk = TCPConversation.established()
        let first = talk.server.next
        for _ in 0..<4 {
            talk.send(.server, data: 1_000)
            talk.send(.client)
        }
        for number in UInt32(1)...3 {
            talk.passInVain(
                talk.segment(.server, .rst).with { $0.sequence = first &+ number * 1_000 }, from: .server)
        }
        talk.refuse(talk.segment(.server, .rst).with { $0.sequence = first &- 1 }, from: .server, as: .invalidSequence)
        #expect(talk.phase == .established)
        talk.pass(talk.segment(.server, .rst), from: .server)
        #expect(talk.phase == .closed)
    }

    @Test("a RST that overtakes data, and those that answer the acknowledgements of it")
    func overtakesData() {
        var talk = TCPConversation.established()
        let first = talk.server.next
        let data = (0..<4).map { Int64($0) * 1_000 }.map { talk.segment(.server, data: 1_000, by: $0) }
        talk.pass(data[0], from: .server)
        talk.passInVain(talk.segment(.server, .rst, by: 4_000), from: .server)
        for segment in data {
            talk.pass(segment, from: .server)
            talk.pass(talk.segment(.client, acknowledging: Int64(segment.sequence &- first) + 1_000), from: .client)
        }
        for number in UInt32(1)...3 {
            talk.passInVain(
                talk.segment(.server, .rst).with { $0.sequence = first &+ number * 1_000 }, from: .server)
        }
        talk.pass(talk.segment(.server, .rst, by: 4_000), from: .server)
        #expect(talk.phase == .closed)
    }

    @Test("a RST further back than the windows reach is refused, whatever is in flight")
    func farBehind() {
        var talk = TCPConversation.established()
        for _ in 0..<3_000 {
            talk.send(.server, data: 1_000)
            talk.send(.client)
        }
        let reach = 2 * Int64(talk.client.bytes)
        talk.passInVain(talk.segment(.server, .rst, by: -reach), from: .server)
        talk.refuse(talk.segment(.server, .rst, by: -reach - 1), from: .server, as: .invalidSequence)
    }

    @Test("what the other side has in flight after a RST passes, and so do the RSTs that answer it")
    func inFlight() {
        var talk = TCPConversation.established()
        talk.send(.client, data: 100)
        talk.send(.server, data: 2_000)
        talk.pass(talk.segment(.client, .rst), from: .client)
        for _ in 0..<3 {
            talk.pass(talk.segment(.server, data: 1_000), from: .server)
            talk.pass(talk.segment(.client, .rst), from: .client)
        }
        talk.pass(talk.segment(.server, [.fin, .ack]), from: .server)
        #expect(talk.phase == .closed)
        talk.refuse(talk.segment(.server, data: 10, by: 3_000_000), from: .server, as: .packetOnClosedConnection)
        talk.refuse(talk.segment(.server, acknowledging: 1_000), from: .server, as: .packetOnClosedConnection)
    }

    @Test("the side that reset has nothing more to say, except what its RST has overtaken")
    func overtaken() {
        var talk = TCPConversation.established()
        let data = talk.send(.client, data: 100)
        talk.send(.server, data: 2_000)
        let lateACK = talk.segment(.client)
        talk.pass(talk.segment(.client, .rst), from: .client)
        talk.passInVain(talk.segment(.client, acknowledging: -2_000), from: .client)
        talk.refuse(talk.segment(.client, acknowledging: 1), from: .client, as: .packetOnClosedConnection)
        talk.refuse(talk.segment(.client, data: 1), from: .client, as: .packetOnClosedConnection)
        talk.refuse(talk.segment(.client, [.fin, .ack]), from: .client, as: .packetOnClosedConnection)
        talk.refuse(talk.segment(.client, .rst, by: 3_000_000), from: .client, as: .packetOnClosedConnection)
        talk.pass(lateACK, from: .client)
        talk.passInVain(lateACK, from: .client)
        talk.passInVain(data, from: .client)
        talk.passInVain(talk.segment(.client, .rst), from: .client)
    }

    @Test("a RST in TIME-WAIT passes and does not shorten it")
    func timeWait() {
        var talk = TCPConversation.established()
        talk.close(first: .client)
        #expect(talk.phase == .timeWait)
        talk.passInVain(talk.segment(.server, .rst), from: .server)
    }

    @Test("a RST ends a connection that is closing", arguments: Party.allCases)
    func whileClosing(party: Party) {
        var talk = TCPConversation.established()
        talk.send(.client, [.fin, .ack])
        talk.send(.server)
        talk.pass(talk.segment(.server, data: 500), from: .server)
        talk.pass(talk.segment(party, .rst, by: party == .server ? 500 : 0), from: party)
        #expect(talk.phase == .closed)
    }
}
