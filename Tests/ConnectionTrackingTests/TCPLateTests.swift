// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import TestSupport
import Testing

@testable import ConnectionTracking

@Suite("TCP: late segments")
struct TCPLateTests {
    /// A connection of small windows over which so many windows have gone that the first is far behind.
    private func busy() -> (TCPConversation, data: TCPFields, ack: TCPFields) {
        var talk = TCPConversation.established(scale: 0)
        let data = talk.send(.client, data: 1_000)
        let ack = talk.send(.server)
        for _ in 0..<1_000 {
            talk.send(.client, data: 1_000)
            talk.send(.server)
        }
        talk.idle = .milliseconds(999)
        return (talk, data, ack)
    }

    @Test("what many windows have overtaken passes while the connection lives, and changes nothing")
    func overtaken() {
        var (talk, data, ack) = busy()
        for (segment, party) in [(data, Party.client), (ack, .server)] {
            talk.passInVain(segment, from: party)
            #expect(talk.judge(segment, from: party).isLate)
        }
    }

    @Test("once it is idle the windows decide alone")
    func idle() {
        var (talk, data, ack) = busy()
        talk.idle = .seconds(1)
        talk.refuse(data, from: .client, as: .invalidSequence)
        talk.refuse(ack, from: .server, as: .invalidACK)
    }

    @Test("what says anything new is not late")
    func new() {
        var (talk, _, ack) = busy()
        talk.refuse(ack.with { $0.dataLength = 1 }, from: .server, as: .invalidACK)
        talk.refuse(ack.with { $0.flags.insert(.fin) }, from: .server, as: .invalidACK)
        talk.refuse(
            ack.with {
                $0.sackBlockCount = 1
                $0.sackHighest = talk.client.next &+ 1
            }, from: .server, as: .invalidACK)
        talk.refuse(
            talk.segment(.client, data: 1_000, by: -900_000, acknowledging: 1), from: .client, as: .invalidSequence)
    }

    @Test("nor is what is older than all that can be under way")
    func tooOld() {
        var (talk, data, ack) = busy()
        for _ in 0..<300 {
            talk.server.window = 65_000
            talk.send(.server)
            talk.send(.client, data: 60_000)
            talk.send(.server)
        }
        talk.refuse(data, from: .client, as: .invalidSequence)
        talk.refuse(ack, from: .server, as: .invalidACK)
    }

    @Test(
        "what was sent before the close passes after it and leaves no trace; anything new is refused",
        arguments: [true, false])
    func afterClose(isReset: Bool) {
        var (talk, data, ack) = busy()
        let recent = talk.send(.client, data: 500)
        let recentACK = talk.send(.server)
        if isReset { talk.pass(talk.segment(.server, .rst), from: .server) } else { talk.close(first: .client) }
        #expect(talk.phase.isOver)
        for (segment, party) in [(data, Party.client), (recent, .client), (ack, .server), (recentACK, .server)] {
            talk.passInVain(segment, from: party)
            #expect(talk.judge(segment, from: party).isLate)
        }
        talk.refuse(talk.segment(.server, data: 1), from: .server, as: .packetOnClosedConnection)
    }

    @Test("a FIN that comes again renews what is remembered of the connection")
    func finAgain() {
        var talk = TCPConversation.established()
        talk.close(first: .client)
        let fin = talk.segment(.server, [.fin, .ack], by: -1)
        #expect(talk.judge(fin, from: .server).refusal == nil)
        #expect(!talk.judge(fin, from: .server).isLate)
    }
}
