// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import Testing

@testable import ConnectionTracking

@Suite("TCP: flags")
struct TCPFlagTests {
    private func fields(_ flags: TCPFlags, data: UInt32 = 0, fastOpen: Bool = false) -> TCPFields {
        var s = TCPFields()
        s.flags = flags
        s.dataLength = data
        s.fastOpen = fastOpen
        return s
    }

    @Test("each nonsense of flags is named, together with all others of the segment")
    func traits() {
        #expect(TCPTracker.traits(fields([])) == .zeroFlags)
        #expect(TCPTracker.traits(fields([.ece])) == [.zeroFlags, .congestion])
        #expect(TCPTracker.traits(fields([.syn, .fin])) == .synFin)
        #expect(TCPTracker.traits(fields([.syn, .rst, .ack])) == .synRst)
        #expect(TCPTracker.traits(fields([.rst, .fin])) == .rstFin)
        #expect(TCPTracker.traits(fields([.ack, .urg])) == .urgent)
        #expect(TCPTracker.traits(fields([.fin, .urg, .psh])) == .urgent)
        #expect(TCPTracker.traits(fields([.syn, .ece, .cwr])) == .congestion)
        #expect(TCPTracker.traits(fields(.syn, data: 1)) == .synData)
        #expect(
            TCPTracker.traits(fields(TCPFlags(rawValue: 0xff), data: 1))
                == [.synFin, .synRst, .rstFin, .urgent, .congestion])
    }

    @Test(
        "what real stacks send shows no trait",
        arguments: [
            TCPFlags.syn, [.syn, .ack], .ack, [.ack, .psh], [.fin, .ack], [.fin, .psh, .ack], .rst, [.rst, .ack], .psh,
            .fin,
        ])
    func noTraits(flags: TCPFlags) {
        #expect(TCPTracker.traits(fields(flags)).isEmpty)
        #expect(TCPTracker.traits(fields(.syn, data: 9, fastOpen: true)).isEmpty)
        #expect(TCPTracker.traits(fields([.syn, .ack], data: 9)).isEmpty)
    }

    @Test("each trait has its own row")
    func rows() {
        let rows: [(WritableKeyPath<AntiEvasion, PostureAction>, FlagTraits)] = [
            (\.zeroFlags, .zeroFlags), (\.synFin, .synFin), (\.synRst, .synRst), (\.rstFin, .rstFin),
            (\.synData, .synData), (\.urgentFlags, .urgent), (\.congestionFlags, .congestion),
        ]
        #expect(rows.map(\.1) == FlagTraits.each)
        for (row, trait) in rows {
            var posture = AntiEvasion.normal
            posture[keyPath: row] = .denySilent
            for other in FlagTraits.each {
                #expect((posture.action(other) == .denySilent) == (other == trait))
            }
        }
    }

    @Test("only a SYN without ACK, RST and FIN opens")
    func opening() {
        for bits in UInt8.min...UInt8.max {
            let flags = TCPFlags(rawValue: bits)
            let isPure = bits & 0b1_0111 == 0b0_0010
            #expect(TCPTracker.isOpening(fields(flags)) == isPure)
        }
    }

    @Test(
        "inside a connection, a segment without ACK is refused",
        arguments: [TCPFlags.fin, .psh, .urg, [.fin, .urg, .psh]])
    func withoutACK(flags: TCPFlags) {
        var talk = TCPConversation.established()
        talk.refuse(talk.segment(.client, flags), from: .client, as: .invalidFlags)
        talk.refuse(talk.segment(.server, flags, data: 10), from: .server, as: .invalidFlags)
        var opening = TCPConversation()
        opening.send(.client, .syn)
        opening.refuse(opening.segment(.server, flags), from: .server, as: .invalidFlags)
    }

    @Test("nonsense that its row lets through does nothing")
    func letThrough() {
        var talk = TCPConversation.established()
        for flags in [[], [.syn, .fin], [.syn, .fin, .ack], [.ece, .cwr]] as [TCPFlags] {
            talk.passInVain(talk.segment(.client, flags, by: 10), from: .client)
        }
        talk.refuse(talk.segment(.client, [], by: 5_000_000), from: .client, as: .invalidSequence)
        talk.passInVain(talk.segment(.client, [.rst, .fin], by: 10), from: .client)
        talk.passInVain(talk.segment(.client, [.syn, .rst], by: 10), from: .client)
        talk.pass(talk.segment(.client, [.rst, .fin]), from: .client)
        #expect(talk.phase == .closed)
    }

    @Test("urgent data, ECN and pushes go through a whole connection")
    func decorations() {
        var talk = TCPConversation()
        talk.send(.client, [.syn, .ece, .cwr])
        talk.send(.server, [.syn, .ack, .ece])
        talk.send(.client, [.ack, .psh, .urg, .cwr], data: 10)
        talk.send(.server, [.ack, .ece], data: 10)
        talk.send(.client, [.fin, .psh, .ack, .urg])
        #expect(talk.phase == .finWait1)
    }
}
