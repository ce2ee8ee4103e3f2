// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import Testing

@testable import ConnectionTracking

@Suite("TCP: the same ports again")
struct TCPReopeningTests {
    enum Ending: CaseIterable { case openerFirst, responderFirst, resetByClient, resetByServer, refused }

    private func ended(_ ending: Ending) -> TCPConversation {
        var talk = TCPConversation()
        switch ending {
        case .refused:
            talk.send(.client, .syn)
            talk.pass(talk.segment(.server, [.rst, .ack]), from: .server)
        case .resetByClient, .resetByServer:
            talk.open()
            let party = ending == .resetByClient ? Party.client : .server
            talk.pass(talk.segment(party, .rst), from: party)
        case .openerFirst, .responderFirst:
            talk.open()
            talk.close(first: ending == .openerFirst ? .client : .server)
        }
        return talk
    }

    @Test(
        "a pure SYN opens a new connection on one that is over, also with a lower sequence number",
        arguments: Ending.allCases, [UInt32(0xffff_0000), 0xffff_ffa0, 77, 0x8000_0000])
    func reuse(ending: Ending, isn: UInt32) {
        var talk = ended(ending)
        #expect(talk.phase.isOver)
        talk.renew(clientISN: isn, serverISN: isn &+ 0x1234_5678)
        let syn = talk.segment(.client, .syn)
        #expect(TCPTracker.needsAdmission(talk.state, syn, from: talk.side(.client)))
        let step = talk.pass(syn, from: .client)
        #expect(step.reopened && talk.phase == .synSent)
        #expect(!TCPTracker.needsAdmission(talk.state, syn, from: talk.side(.client)))
        #expect(talk.judge(syn, from: .client) == .passed)
        talk.client.next = isn &+ 1
        talk.server.expected = isn &+ 1
        talk.send(.server, [.syn, .ack])
        #expect(talk.phase == .synReceived)
        #expect(talk.judge(talk.segment(.client), from: .client) == .passed)
        #expect(talk.phase == .established)
        talk.send(.client, data: 100)
        talk.send(.server, data: 100)
        talk.refuse(talk.segment(.client, data: 1, by: 3_000_000), from: .client, as: .invalidSequence)
        talk.refuse(talk.segment(.server, acknowledging: 1), from: .server, as: .invalidACK)
    }

    @Test("the other side may open it as well, and is then the opener")
    func otherDirection() {
        var talk = ended(.openerFirst)
        talk.renew(clientISN: 10, serverISN: 20)
        #expect(talk.pass(talk.segment(.server, .syn), from: .server).reopened)
        #expect(talk.state.opener == talk.side(.server))
        talk.server.next = 21
        talk.client.expected = 21
        talk.send(.client, [.syn, .ack])
        talk.send(.server)
        #expect(talk.phase == .established && talk.state.opener == talk.side(.server))
    }

    @Test("until the new handshake is complete the responder's stragglers pass, and of the opener's the last ACK alone")
    func oldWindowsKept() {
        var talk = TCPConversation.established()
        talk.send(.server, [.fin, .ack])
        talk.send(.client)
        let fin = talk.send(.client, [.fin, .ack])
        let last = talk.send(.server)
        var old = talk
        talk.renew(clientISN: 0x5000_0000, serverISN: 0x6000_0000)
        talk.send(.client, .syn)
        talk.refuse(fin, from: .client, as: .packetOnClosedConnection)
        talk.passInVain(last, from: .server)
        talk.refuse(old.segment(.client, data: 1), from: .client, as: .packetOnClosedConnection)
        let lastOfClient = old.segment(.client)
        talk.passInVain(lastOfClient, from: .client)
        #expect(talk.judge(lastOfClient, from: .client).isLate)
        talk.send(.server, [.syn, .ack])
        talk.refuse(fin, from: .client, as: .packetOnClosedConnection)
        talk.send(.client)
        talk.refuse(fin, from: .client, as: .invalidSequence)
        old.state = talk.state
        old.refuse(last, from: .server, as: .invalidSequence)
    }

    @Test(
        "nothing that was sent before a new SYN passes for an answer to it", arguments: Ending.allCases, [true, false])
    func replayed(ending: Ending, repeatsISN: Bool) {
        var talk = TCPConversation(clientISN: 0x1000_0000, serverISN: 0x2000_0000)
        var sent: [(segment: TCPFields, party: Party)] = []
        func send(_ party: Party, _ flags: TCPFlags = .ack, data: UInt32 = 0) {
            sent.append((talk.send(party, flags, data: data), party))
        }
        send(.client, .syn)
        if ending == .refused {
            talk.pass(talk.segment(.server, [.rst, .ack]), from: .server)
        } else {
            send(.server, [.syn, .ack])
            for _ in 0..<4 {
                send(.client, data: 500)
                send(.server, data: 3_000)
                send(.client)
            }
            switch ending {
            case .resetByClient: send(.client, .rst)
            case .resetByServer: send(.server, .rst)
            default:
                let first: Party = ending == .openerFirst ? .client : .server
                send(first, [.fin, .ack])
                send(first.peer)
                send(first.peer, [.fin, .ack])
                send(first)
            }
        }
        #expect(talk.phase.isOver)
        talk.renew(clientISN: repeatsISN ? 0x1000_0000 : 0x3000_0000, serverISN: 0x4000_0000)
        talk.send(.client, .syn)
        func replay() {
            for (index, (segment, party)) in sent.enumerated() where party == .client && index > 0 {
                let isLast = ending == .openerFirst && index == sent.count - 1
                if isLast {
                    talk.passInVain(segment, from: party)
                } else if segment.flags.contains(.rst), segment.sequence == talk.endpoint(.server).acknowledged {
                    talk.passInVain(segment, from: party)
                } else {
                    talk.refuse(segment, from: party, as: .packetOnClosedConnection)
                }
            }
        }
        replay()
        talk.send(.server, [.syn, .ack])
        replay()
        talk.send(.client, data: 100)
        talk.send(.server, data: 100)
        #expect(talk.phase == .established)
    }

    @Test("a peer in TIME-WAIT may answer the SYN with an ACK; the RST clears the way and the SYN comes again")
    func timeWaitAnswersWithACK() {
        var talk = ended(.responderFirst)
        let answer = talk.segment(.server)
        talk.renew(clientISN: 0xffff_0000, serverISN: 0x4444_4444)
        let syn = talk.send(.client, .syn)
        talk.passInVain(answer, from: .server)
        talk.passInVain(talk.segment(.client, .rst).with { $0.sequence = answer.acknowledgement }, from: .client)
        #expect(talk.phase == .synSent)
        talk.pass(syn, from: .client)
        talk.send(.server, [.syn, .ack])
        talk.send(.client)
        #expect(talk.phase == .established)
    }

    @Test("a SYN on a living connection passes and changes nothing for it", arguments: Party.allCases)
    func living(party: Party) {
        var talk = TCPConversation.established()
        talk.send(.client, data: 1_000)
        let syn = talk.segment(party, .syn).with { $0.sequence = 0x1234_5678 }
        #expect(TCPTracker.needsAdmission(talk.state, syn, from: talk.side(party)) == (party == .server))
        #expect(talk.judge(syn, from: party) == .passed)
        #expect(talk.phase == .established && talk.state.opener == talk.side(.client))
        talk.send(.server, data: 1_000)
        talk.send(.client)
        talk.refuse(talk.segment(.client, data: 1, by: 2_000_000), from: .client, as: .invalidSequence)
        talk.close(first: .client)
        #expect(talk.phase == .timeWait)
    }

    @Test("a client that has lost its state gets through: challenge ACK, RST, SYN again, new connection")
    func challengeACK() {
        var talk = TCPConversation.established()
        talk.send(.client, data: 1_000)
        talk.send(.server, data: 500)
        let challenge = talk.segment(.server)
        talk.renew(clientISN: 0x0101_0101, serverISN: 0x0202_0202)
        let syn = talk.segment(.client, .syn)
        talk.pass(syn, from: .client)
        talk.pass(challenge, from: .server)
        #expect(talk.phase == .established)
        talk.pass(talk.segment(.client, .rst).with { $0.sequence = challenge.acknowledgement }, from: .client)
        #expect(talk.phase == .closed)
        #expect(TCPTracker.needsAdmission(talk.state, syn, from: talk.side(.client)))
        #expect(talk.judge(syn, from: .client).reopened)
        talk.client.next = 0x0101_0102
        talk.server.expected = 0x0101_0102
        talk.send(.server, [.syn, .ack])
        talk.send(.client)
        #expect(talk.phase == .established)
    }

    @Test("a server that has lost its state answers the SYN, and the new connection takes the place of the old one")
    func forgetfulServer() {
        var talk = TCPConversation.established()
        talk.send(.client, data: 1_000)
        talk.renew(clientISN: 0x0101_0101, serverISN: 0x0202_0202)
        talk.send(.client, .syn)
        talk.refuse(talk.segment(.server, [.syn, .ack], acknowledging: 9), from: .server, as: .invalidACK)
        talk.send(.server, [.syn, .ack])
        #expect(talk.phase == .established)
        let step = talk.judge(talk.segment(.client), from: .client)
        #expect(step.refusal == nil && step.reopened)
        #expect(talk.phase == .established)
        talk.send(.client, data: 10)
        talk.send(.server, data: 10)
    }

    @Test("the refusal of a SYN on a living connection passes, and the connection lives on")
    func refusedBesideLiving() {
        var talk = TCPConversation.established()
        let syn = talk.segment(.client, .syn).with { $0.sequence = 0x1234_5678 }
        talk.pass(syn, from: .client)
        let rst = talk.segment(.server, [.rst, .ack]).with {
            $0.sequence = 0x7000_0000
            $0.acknowledgement = 0x1234_5679
        }
        talk.pass(rst, from: .server)
        #expect(talk.phase == .established)
        talk.refuse(rst, from: .server, as: .invalidSequence)
        talk.send(.client, data: 10)
    }

    @Test("the SYN of the connection itself, come late, is no new opening")
    func lateSYN() {
        var talk = TCPConversation()
        let syn = talk.send(.client, .syn)
        let synACK = talk.send(.server, [.syn, .ack])
        talk.send(.client)
        talk.passInVain(syn, from: .client)
        talk.passInVain(synACK, from: .server)
    }

    @Test("RST and SYN of the same client may arrive in either order")
    func overtakenRST() {
        var talk = TCPConversation.established()
        let rst = talk.segment(.client, .rst)
        talk.renew(clientISN: 0x0101_0101, serverISN: 0x0202_0202)
        talk.send(.client, .syn)
        talk.pass(rst, from: .client)
        #expect(talk.phase == .closed)
        talk.send(.server, [.syn, .ack])
        #expect(talk.judge(talk.segment(.client), from: .client).reopened)
        #expect(talk.phase == .established)
    }

    @Test("a SYN+ACK on a living connection that nobody asked for is refused")
    func unaskedSYNACK() {
        var talk = TCPConversation.established()
        talk.send(.client, data: 1_000)
        talk.refuse(talk.segment(.server, [.syn, .ack], by: 100), from: .server, as: .invalidFlags)
        talk.refuse(talk.segment(.client, [.syn, .ack], by: 100), from: .client, as: .invalidFlags)
        talk.refuse(talk.segment(.server, [.syn, .ack], by: 9_000_000), from: .server, as: .invalidSequence)
    }
}
