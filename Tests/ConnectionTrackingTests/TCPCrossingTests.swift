// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import Testing

@testable import ConnectionTracking

@Suite("TCP: simultaneous open and split handshake")
struct TCPCrossingTests {
    /// Both SYNs were seen; the ends know each other's numbers.
    private func crossed(_ posture: AntiEvasion = .normal) -> TCPConversation {
        var talk = TCPConversation()
        talk.posture = posture
        talk.send(.client, .syn)
        talk.send(.server, .syn)
        return talk
    }

    private func synACK(_ talk: TCPConversation, _ party: Party) -> TCPFields {
        talk.segment(party, [.syn, .ack], by: -1)
    }

    @Test("SYNs that cross open a connection", arguments: [Party.client, .server])
    func simultaneous(first: Party) {
        var talk = crossed()
        #expect(talk.phase == .synReceived && talk.state.opener == talk.side(.client))
        talk.pass(synACK(talk, first), from: first)
        #expect(talk.phase == .synReceived)
        talk.pass(synACK(talk, first.peer), from: first.peer)
        #expect(talk.phase == .established && talk.state.opener == talk.side(.client))
        talk.passInVain(synACK(talk, .client), from: .client)
        talk.passInVain(synACK(talk, .server), from: .server)
        talk.send(.server)
        talk.send(.client, data: 500)
        talk.send(.server, data: 500)
        talk.refuse(talk.segment(.client, acknowledging: 1), from: .client, as: .invalidACK)
    }

    @Test("crossing SYNs and their answers may come twice, and the answers in any order")
    func duplicates() {
        var talk = TCPConversation()
        let first = talk.send(.client, .syn)
        let second = talk.send(.server, .syn)
        talk.passInVain(first, from: .client)
        talk.passInVain(second, from: .server)
        talk.pass(synACK(talk, .server), from: .server)
        talk.passInVain(second, from: .server)
        talk.passInVain(first, from: .client)
        talk.pass(talk.segment(.client), from: .client)
        #expect(talk.phase == .established)
        talk.passInVain(second, from: .server)
        talk.passInVain(synACK(talk, .client), from: .client)
    }

    @Test("a crossing SYN+ACK with wrong numbers is refused, from either side", arguments: Party.allCases)
    func wrongAnswers(party: Party) {
        var talk = crossed()
        talk.refuse(synACK(talk, party).with { $0.acknowledgement &+= 1 }, from: party, as: .invalidACK)
        talk.pass(synACK(talk, party), from: party)
    }

    @Test("a forged SYN of the server does not keep the client from opening")
    func forgedServerSYN() {
        var talk = TCPConversation.established()
        talk.close(first: .client)
        talk.renew(clientISN: 0x5555_5555, serverISN: 0x6666_6666)
        #expect(talk.pass(talk.segment(.server, .syn).with { $0.sequence = 0x1234_5678 }, from: .server).reopened)
        #expect(talk.state.opener == talk.side(.server))
        talk.send(.client, .syn)
        talk.refuse(talk.segment(.server, [.syn, .ack], acknowledging: 1), from: .server, as: .invalidACK)
        talk.send(.server, [.syn, .ack])
        #expect(talk.state.opener == talk.side(.client))
        talk.send(.client)
        #expect(talk.phase == .established)
    }

    @Test("the second SYN needs the admission of its own direction")
    func admission() {
        var talk = TCPConversation()
        talk.send(.client, .syn)
        #expect(TCPTracker.needsAdmission(talk.state, talk.segment(.server, .syn), from: talk.side(.server)))
        #expect(!TCPTracker.needsAdmission(talk.state, talk.segment(.server, [.syn, .ack]), from: talk.side(.server)))
    }

    @Test("a split handshake that does not wait for the client's SYN+ACK is refused by its posture row")
    func fourSegments() {
        var talk = crossed()
        let early = talk.segment(.server)
        let step = talk.judge(early, from: .server)
        #expect(step.refusal == .invalidFlags && step.row == .splitHandshake && !step.isSilent)
        talk.refuse(early, from: .server, as: .invalidFlags)
        talk.refuse(talk.segment(.server, data: 10), from: .server, as: .invalidFlags)
        #expect(talk.phase == .synReceived)
        talk.pass(synACK(talk, .client), from: .client)
        talk.pass(synACK(talk, .server), from: .server)
        #expect(talk.phase == .established)
    }

    @Test("a server that never got the client's SYN takes its SYN+ACK for the answer, and acknowledges it")
    func lostSYN() {
        var talk = crossed()
        talk.pass(synACK(talk, .client), from: .client)
        talk.refuse(talk.segment(.server, acknowledging: 1), from: .server, as: .invalidACK)
        talk.send(.server)
        #expect(talk.phase == .established && talk.state.opener == talk.side(.client))
        talk.send(.server, data: 500)
        talk.send(.client, data: 500)
        talk.refuse(talk.segment(.client, data: 1, by: 2_000_000), from: .client, as: .invalidSequence)
    }

    @Test("a server whose SYN+ACK was lost acknowledges the SYN that is repeated")
    func lostSYNACK() {
        var talk = TCPConversation()
        let syn = talk.send(.client, .syn)
        talk.send(.server, .syn)
        talk.pass(syn, from: .client)
        talk.send(.server)
        talk.send(.client, data: 10)
        #expect(talk.phase == .established && talk.state.opener == talk.side(.client))
    }

    @Test("a SYN+ACK still passes to an end that has reset the opening, and so does the repeated SYN before it")
    func resetAndAnswered() {
        var talk = crossed()
        talk.pass(talk.segment(.server, [.rst, .ack]), from: .server)
        talk.pass(talk.segment(.client, .syn, by: -1), from: .client)
        talk.refuse(
            talk.segment(.client, [.syn, .ack], by: -1, acknowledging: 100_000), from: .client, as: .invalidFlags)
        talk.pass(synACK(talk, .client), from: .client)
    }

    @Test(
        "nothing but an answer to the new SYN+ACK follows the repeated SYN of an end whose peer has reset the opening")
    func resetAndFollowed() {
        var talk = TCPConversation.established()
        talk.close(first: .client)
        talk.renew(clientISN: 0x5555_5555, serverISN: 0x6666_6666)
        talk.send(.server, .syn)
        let syn = talk.send(.client, .syn)
        talk.pass(synACK(talk, .server), from: .server)
        talk.pass(talk.segment(.server, [.rst, .ack]), from: .server)
        talk.pass(syn, from: .client)
        for shift in [0, 2_000_000] as [Int64] {
            let data = talk.segment(.client, data: 10, by: shift)
            talk.refuse(data, from: .client, as: .packetOnClosedConnection)
        }
        talk.pass(synACK(talk, .server), from: .server)
        talk.pass(talk.segment(.client, data: 10), from: .client)
        #expect(talk.phase == .established)
    }

    @Test("every simultaneous open succeeds whatever is lost of it", arguments: [0, 15_000], [false, true])
    func everyLoss(lead: Int64, takesCrossedSYNACK: Bool) {
        for losses in 0..<1_024 as Range<UInt64> {
            var model = TCPModel(losing: losses, serverAfter: lead, takingCrossedSYNACK: takesCrossedSYNACK)
            let report = model.run()
            #expect(report.failure == nil && report.established == 1, "losses \(losses)")
        }
    }

    @Test("a split handshake of five is refused at the SYN whose sender has shown that it knows the first")
    func fiveSegments() {
        var talk = TCPConversation()
        talk.send(.client, .syn)
        talk.pass(talk.segment(.server), from: .server)
        talk.refuse(talk.segment(.server, .syn), from: .server, as: .invalidFlags)
    }

    @Test("a split handshake opens a connection where the row lets it", arguments: [PostureAction.allow, .log])
    func splitAllowed(action: PostureAction) {
        var posture = AntiEvasion.normal
        posture.splitHandshake = action
        var talk = crossed(posture)
        let step = talk.judge(talk.segment(.server), from: .server)
        #expect(step.refusal == nil)
        #expect(step.logged == (action == .log ? .invalidFlags : nil))
        talk.send(.client, data: 20)
        #expect(talk.phase == .established)
        talk.send(.server, data: 20)
    }

    @Test("deny-silent refuses without an event")
    func silent() {
        var posture = AntiEvasion.normal
        posture.splitHandshake = .denySilent
        var talk = TCPConversation()
        talk.posture = posture
        talk.send(.client, .syn)
        let step = talk.judge(talk.segment(.client, [.syn, .ack]), from: .client)
        #expect(step.refusal == .invalidFlags && step.isSilent)
    }

    @Test("a SYN+ACK from the opener is refused unless the SYNs have crossed")
    func openerSYNACK() {
        var talk = TCPConversation()
        talk.send(.client, .syn)
        talk.refuse(talk.segment(.client, [.syn, .ack], by: -1), from: .client, as: .invalidFlags)
        talk.send(.server, [.syn, .ack])
        talk.refuse(talk.segment(.client, [.syn, .ack], by: -1), from: .client, as: .invalidFlags)
        talk.send(.client)
        talk.refuse(talk.segment(.client, [.syn, .ack], by: -1), from: .client, as: .invalidFlags)
    }
}
