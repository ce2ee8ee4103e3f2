// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import Testing

@testable import ConnectionTracking

@Suite("TCP: opening")
struct TCPHandshakeTests {
    @Test("three segments open a connection, from whichever side", arguments: Side.allCases)
    func threeWay(side: Side) {
        var talk = TCPConversation()
        talk.clientSide = side
        talk.send(.client, .syn)
        #expect(talk.phase == .synSent && talk.state.isHalfOpen && talk.state.opener == side)
        talk.send(.server, [.syn, .ack])
        #expect(talk.phase == .synReceived && talk.state.isHalfOpen)
        talk.send(.client)
        #expect(talk.phase == .established && !talk.state.isHalfOpen && talk.state.opener == side)
    }

    @Test(
        "a SYN+ACK with a wrong acknowledgement is dropped alone, and the right one still opens",
        arguments: [-1, 1, 77])
    func wrongSYNACK(shift: Int64) {
        var talk = TCPConversation()
        talk.send(.client, .syn)
        talk.refuse(talk.segment(.server, [.syn, .ack], acknowledging: shift), from: .server, as: .invalidACK)
        talk.send(.server, [.syn, .ack])
        talk.send(.client)
        #expect(talk.phase == .established)
    }

    @Test("the ACK that completes the handshake must acknowledge the SYN+ACK", arguments: [-1, 1, 1_000_000])
    func wrongThird(shift: Int64) {
        var talk = TCPConversation()
        talk.send(.client, .syn)
        talk.send(.server, [.syn, .ack])
        talk.refuse(talk.segment(.client, acknowledging: shift), from: .client, as: .invalidACK)
        talk.refuse(talk.segment(.client, by: Int64(talk.server.window) + 2), from: .client, as: .invalidSequence)
        talk.send(.client)
    }

    @Test("an ACK before any SYN+ACK acknowledges what was never sent")
    func prematureACK() {
        var talk = TCPConversation()
        talk.send(.client, .syn)
        talk.refuse(talk.segment(.client, acknowledging: 5), from: .client, as: .invalidACK)
        talk.refuse(talk.segment(.client, [.fin, .ack], acknowledging: 5), from: .client, as: .invalidACK)
    }

    @Test("each segment of the handshake may come twice and late")
    func duplicates() {
        var talk = TCPConversation()
        let syn = talk.send(.client, .syn)
        talk.passInVain(syn, from: .client)
        let synACK = talk.send(.server, [.syn, .ack])
        talk.passInVain(syn, from: .client)
        talk.passInVain(synACK, from: .server)
        let ack = talk.send(.client)
        talk.passInVain(ack, from: .client)
        talk.passInVain(synACK, from: .server)
        talk.passInVain(syn, from: .client)
        talk.send(.client, data: 300)
        talk.send(.server, data: 60_000)
        talk.send(.client)
        talk.passInVain(syn, from: .client)
        talk.passInVain(synACK, from: .server)
        talk.passInVain(ack, from: .client)
    }

    @Test("data that overtakes the ACK of the handshake completes it")
    func dataFirst() {
        var talk = TCPConversation()
        talk.send(.client, .syn)
        talk.send(.server, [.syn, .ack])
        let ack = talk.segment(.client)
        talk.pass(talk.segment(.client, data: 500, by: 1_000), from: .client)
        #expect(talk.phase == .established)
        talk.pass(talk.segment(.client, data: 1_000), from: .client)
        talk.pass(ack, from: .client)
    }

    @Test("a SYN repeated with another sequence number opens by whichever the peer answers", arguments: [true, false])
    func twoSYNs(answersFirst: Bool) {
        var talk = TCPConversation()
        let first = talk.segment(.client, .syn)
        talk.pass(first, from: .client)
        talk.client.next = 5_000
        let second = talk.segment(.client, .syn)
        talk.pass(second, from: .client)
        talk.client.next = (answersFirst ? first : second).sequence &+ 1
        talk.server.expected = talk.client.next
        talk.send(.server, [.syn, .ack])
        talk.send(.client)
        #expect(talk.phase == .established)
        talk.refuse(talk.segment(.client, data: 1, by: 2_000_000), from: .client, as: .invalidSequence)
    }

    @Test("forged SYNs do not push the real one out")
    func forgedSYNs() {
        var talk = TCPConversation()
        talk.send(.client, .syn)
        for forged in UInt32(1)...20 {
            talk.pass(talk.segment(.client, .syn).with { $0.sequence = forged &* 0x1357_9bdf }, from: .client)
        }
        talk.send(.server, [.syn, .ack])
        talk.send(.client)
        talk.send(.client, data: 10)
    }

    @Test(
        "a server that answers a repeated SYN with another sequence number is believed either way",
        arguments: [true, false])
    func twoAnswers(takesFirst: Bool) {
        var talk = TCPConversation()
        let syn = talk.send(.client, .syn)
        let first = talk.segment(.server, [.syn, .ack])
        talk.pass(first, from: .server)
        talk.passInVain(syn, from: .client)
        let second = first.with { $0.sequence = 0x4000_0000 }
        talk.pass(second, from: .server)
        talk.server.next = (takesFirst ? first : second).sequence &+ 1
        talk.client.expected = talk.server.next
        talk.send(.client)
        #expect(talk.phase == .established)
        talk.send(.server, data: 900)
        talk.send(.client)
    }

    @Test("windows are scaled only if both sides offer it")
    func scaling() {
        var talk = TCPConversation()
        talk.server.scale = TCPFields.noWindowScale
        talk.open()
        talk.send(.server)
        talk.pass(talk.segment(.client, data: 8_000), from: .client)
        talk.refuse(talk.segment(.client, data: 8_001), from: .client, as: .invalidSequence)
        var scaled = TCPConversation.established()
        scaled.send(.server)
        scaled.pass(scaled.segment(.client, data: 8_000 << 7), from: .client)
        scaled.refuse(scaled.segment(.client, data: 8_000 << 7 + 1), from: .client, as: .invalidSequence)
    }

    @Test("a repeated SYN may leave its options out; what the answer offers still counts")
    func repeatedWithoutOptions() {
        var talk = TCPConversation()
        let syn = talk.send(.client, .syn)
        talk.pass(syn.with { $0.windowScale = TCPFields.noWindowScale }, from: .client)
        talk.send(.server, [.syn, .ack])
        talk.send(.client)
        talk.send(.server, data: 8_000 << 7)
    }

    @Test("the windows of SYN and SYN+ACK are never scaled")
    func unscaledSYNs() {
        var talk = TCPConversation()
        talk.send(.client, .syn)
        talk.send(.server, [.syn, .ack])
        talk.refuse(talk.segment(.client, data: 8_001), from: .client, as: .invalidSequence)
        talk.send(.client, data: 8_000)
    }

    @Test(
        "a refused port answers by its acknowledgement of the SYN, whatever its sequence", arguments: [0, 0x9999_0000])
    func refusedPort(sequence: UInt32) {
        var talk = TCPConversation()
        talk.send(.client, .syn)
        let rst = talk.segment(.server, [.rst, .ack]).with { $0.sequence = sequence }
        talk.refuse(rst.with { $0.acknowledgement &+= 1 }, from: .server, as: .invalidACK)
        talk.refuse(rst.with { $0.flags = .rst }, from: .server, as: .invalidSequence)
        #expect(talk.phase == .synSent)
        talk.pass(rst, from: .server)
        #expect(talk.phase == .closed)
        talk.passInVain(rst, from: .server)
    }

    @Test("a client without a socket resets the answer to its SYN (a SYN scan)")
    func synScan() {
        var talk = TCPConversation()
        talk.send(.client, .syn)
        let synACK = talk.send(.server, [.syn, .ack])
        talk.pass(talk.segment(.client, .rst), from: .client)
        #expect(talk.phase == .closed)
        talk.passInVain(synACK, from: .server)
        talk.passInVain(talk.segment(.client, .rst), from: .client)
        talk.pass(talk.segment(.client), from: .client)
        talk.refuse(talk.segment(.client, data: 9), from: .client, as: .packetOnClosedConnection)
        #expect(talk.phase == .closed)
    }

    @Test("a RST elsewhere in the window of a half-open connection passes and changes nothing")
    func inexactRSTWhileOpening() {
        var talk = TCPConversation()
        talk.send(.client, .syn)
        talk.send(.server, [.syn, .ack])
        talk.passInVain(talk.segment(.client, .rst, by: 7_000), from: .client)
        talk.passInVain(talk.segment(.server, .rst, by: 7_000), from: .server)
        talk.refuse(talk.segment(.client, .rst, by: 8_003), from: .client, as: .invalidSequence)
        talk.refuse(talk.segment(.server, .rst, by: -2), from: .server, as: .invalidSequence)
        talk.pass(talk.segment(.server, .rst), from: .server)
        #expect(talk.phase == .closed)
    }

    @Test("a peer that still holds a forgotten connection challenges the SYN, and the RST clears the way")
    func forgottenConnection() {
        var talk = TCPConversation()
        let syn = talk.send(.client, .syn)
        var challenge = talk.segment(.server)
        challenge.sequence = 0x3333_0000
        challenge.acknowledgement = 0x1111_0000
        talk.refuse(challenge.with { $0.dataLength = 1 }, from: .server, as: .invalidACK)
        talk.pass(challenge, from: .server)
        talk.refuse(talk.segment(.client, .rst).with { $0.sequence = 0x1111_0001 }, from: .client, as: .invalidSequence)
        talk.passInVain(talk.segment(.client, .rst).with { $0.sequence = 0x1111_0000 }, from: .client)
        talk.passInVain(syn, from: .client)
        talk.send(.server, [.syn, .ack])
        talk.send(.client)
        #expect(talk.phase == .established)
    }

    @Test("what lies before the opener's first byte completes nothing, as its receiver goes on waiting")
    func beforeFirstByte() {
        var talk = TCPConversation()
        talk.send(.client, .syn)
        talk.send(.server, [.syn, .ack])
        talk.passInVain(talk.segment(.client, data: 1, by: -1), from: .client)
        talk.passInVain(talk.segment(.client, by: -1), from: .client)
        #expect(talk.phase == .synReceived)
        talk.send(.client, data: 1)
        #expect(talk.phase == .established)
    }
}
