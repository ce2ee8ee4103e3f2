// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import Testing

@testable import ConnectionTracking

@Suite("TCP: windows")
struct TCPWindowTests {
    /// Each has 8,000 × 128 bytes of window, and both have said so outside their SYNs.
    private func opened() -> TCPConversation {
        var talk = TCPConversation.established()
        talk.send(.server)
        talk.send(.client)
        return talk
    }

    @Test("data passes up to the last byte of the window and not beyond", arguments: Party.allCases)
    func rightEdge(party: Party) {
        var talk = opened()
        let window = talk[party.peer].bytes
        talk.refuse(talk.segment(party, data: 1_000, by: Int64(window) - 999), from: party, as: .invalidSequence)
        talk.refuse(talk.segment(party, data: window + 1), from: party, as: .invalidSequence)
        talk.refuse(talk.segment(party, data: 2, by: Int64(window)), from: party, as: .invalidSequence)
        talk.pass(talk.segment(party, data: 1_000, by: Int64(window) - 1_000), from: party)
        talk.refuse(talk.segment(party, data: 1_000, by: Int64(window) - 999), from: party, as: .invalidSequence)
    }

    @Test("a FIN may stand just past the window, its ACKs after it; a byte may not")
    func finPastWindow() {
        var talk = opened()
        talk.send(.client, data: talk.server.bytes)
        talk.refuse(talk.segment(.client, data: 1), from: .client, as: .invalidSequence)
        talk.send(.client, [.fin, .ack])
        talk.send(.client)
        #expect(talk.phase == .finWait1)
    }

    @Test("segments of 64 KiB, as segmentation offload makes them, fill the window")
    func offload() {
        var talk = opened()
        for _ in 0..<15 { talk.send(.client, data: 65_483) }
        talk.pass(talk.segment(.server, acknowledging: -15 * 65_483), from: .server)
        talk.send(.server)
    }

    @Test("data sent again passes as far back as the window reaches, and not beyond")
    func leftEdge() {
        var talk = opened()
        for _ in 0..<40 {
            talk.send(.client, data: 60_000)
            talk.send(.server)
        }
        let reach = 2 * Int64(talk.server.bytes)
        talk.passInVain(talk.segment(.client, data: 1_000, by: -reach - 1_000), from: .client)
        talk.refuse(talk.segment(.client, data: 1_000, by: -reach - 1_001), from: .client, as: .invalidSequence)
        talk.refuse(talk.segment(.client, by: -reach - 1), from: .client, as: .invalidSequence)
    }

    @Test("with a window however small, data acknowledged long ago passes when its ACK was lost")
    func smallWindow() {
        var talk = TCPConversation()
        talk.server.window = 1_000
        talk.server.scale = TCPFields.noWindowScale
        talk.open()
        for _ in 0..<100 {
            talk.send(.client, data: 1_000)
            talk.send(.server)
        }
        talk.passInVain(talk.segment(.client, data: 1_000, by: -50_000), from: .client)
        talk.refuse(talk.segment(.client, data: 1_000, by: -68_000), from: .client, as: .invalidSequence)
    }

    @Test("sequence numbers far away are refused in both halves of the sequence space", arguments: [30, -30, 31])
    func farAway(power: Int64) {
        var talk = opened()
        let shift = power < 0 ? -(1 << -power) : Int64(1) << power
        talk.refuse(talk.segment(.client, data: 10, by: shift), from: .client, as: .invalidSequence)
        talk.refuse(talk.segment(.client, by: shift), from: .client, as: .invalidSequence)
        talk.refuse(talk.segment(.client, acknowledging: shift), from: .client, as: .invalidACK)
    }

    @Test(
        "an acknowledgement of what was never sent is refused, of the last byte sent it passes",
        arguments: Party.allCases)
    func ackAbove(party: Party) {
        var talk = opened()
        talk.pass(talk.segment(party.peer, data: 500), from: party.peer)
        talk.refuse(talk.segment(party, acknowledging: 501), from: party, as: .invalidACK)
        talk.refuse(talk.segment(party, data: 10, acknowledging: 501), from: party, as: .invalidACK)
        talk.pass(talk.segment(party, acknowledging: 500), from: party)
    }

    @Test("an acknowledgement older than the largest window is refused, one just as old passes")
    func ackBelow() {
        var talk = opened()
        for _ in 0..<40 {
            talk.send(.client, data: 60_000)
            talk.send(.server)
        }
        let reach = 2 * Int64(talk.server.bytes)
        talk.passInVain(talk.segment(.server, acknowledging: -reach), from: .server)
        talk.refuse(talk.segment(.server, acknowledging: -reach - 1), from: .server, as: .invalidACK)
    }

    @Test("nothing lies before the SYNs, however far the windows reach", arguments: Party.allCases)
    func beforeSYN(party: Party) {
        var talk = opened()
        talk.send(party, data: 100)
        talk.refuse(talk.segment(party, by: -102), from: party, as: .invalidSequence)
        talk.refuse(talk.segment(party, data: 10, by: -112), from: party, as: .invalidSequence)
        talk.refuse(talk.segment(party.peer, acknowledging: -102), from: party.peer, as: .invalidACK)
        talk.passInVain(talk.segment(party, by: -101), from: party)
        talk.passInVain(talk.segment(party.peer, acknowledging: -100), from: party.peer)
    }

    @Test("after 4 GiB, what lies before the SYN's number is ordinary data again")
    func aged() {
        var talk = opened()
        let first = talk.client.next
        while talk.client.next &- first < 0xffff_0000 {
            talk.send(.client, data: 1_000_000)
            talk.send(.server)
            if talk.client.next &- first > 0xfff0_0000 { break }
        }
        while talk.client.next &- first > 0x1000_0000 {
            talk.send(.client, data: 1_000)
            talk.send(.server)
        }
        talk.passInVain(talk.segment(.client, data: 5_000, by: -5_000), from: .client)
    }

    @Test("a keep-alive one byte below the window passes, with and without its garbage byte", arguments: [0, 1])
    func keepAlive(garbage: UInt32) {
        var talk = opened()
        for _ in 0..<3 {
            talk.passInVain(talk.segment(.client, data: garbage, by: -1), from: .client)
            talk.send(.server)
        }
        talk.passInVain(talk.segment(.server, data: garbage, by: -1), from: .server)
    }

    @Test("a closed window admits one byte as a probe, again and again, and not two")
    func zeroWindowProbe() {
        var talk = opened()
        talk.send(.client, data: talk.server.bytes)
        talk.refuse(talk.segment(.client, data: 1), from: .client, as: .invalidSequence)
        talk.server.window = 0
        talk.send(.server)
        talk.refuse(talk.segment(.client, data: 2), from: .client, as: .invalidSequence)
        talk.passInVain(talk.segment(.client, by: -1), from: .client)
        let probe = talk.segment(.client, data: 1)
        talk.pass(probe, from: .client)
        talk.pass(talk.segment(.server), from: .server)
        talk.pass(probe, from: .client)
        talk.pass(talk.segment(.client, by: 1), from: .client)
        talk.server.window = 100
        talk.pass(talk.segment(.server, acknowledging: 1), from: .server)
        talk.pass(talk.segment(.client, data: 12_800, by: 1), from: .client)
        talk.refuse(talk.segment(.client, data: 12_801, by: 1), from: .client, as: .invalidSequence)
    }

    @Test("data sent under a window that has shrunk since still passes")
    func shrunkWindow() {
        var talk = opened()
        let inFlight = talk.segment(.client, data: 50_000, by: 900_000)
        talk.server.window = 10
        talk.send(.server)
        talk.pass(inFlight, from: .client)
    }

    @Test("everything passes when sequence numbers wrap around, segment by segment")
    func wrapAround() {
        var talk = TCPConversation(clientISN: 0 &- 200_000, serverISN: 0x7fff_0000)
        talk.open()
        for _ in 0..<200 {
            talk.send(.client, data: 5_000)
            talk.send(.server, data: 5_000)
        }
        #expect(talk.client.next < 0x8000_0000 && talk.server.next > 0x8000_0000)
    }

    @Test("a selective acknowledgement reaches as far as the data and not beyond; duplicates may be of any age")
    func selective() {
        var talk = opened()
        talk.pass(talk.segment(.client, data: 1_000, by: 1_000), from: .client)
        let end = talk.client.next &+ 2_000
        let hole = talk.segment(.server).with {
            $0.sackBlockCount = 1
            $0.sackLowest = end &- 1_000
            $0.sackHighest = end
        }
        talk.pass(hole, from: .server)
        talk.passInVain(hole, from: .server)
        talk.refuse(hole.with { $0.sackHighest = end &+ 1 }, from: .server, as: .invalidACK)
        talk.passInVain(
            hole.with {
                $0.sackLowest = end &- 3_000_000
                $0.sackHighest = end &- 2_999_000
            }, from: .server)
    }

    @Test("what later fragments of a segment bring may be acknowledged, and is not taken for seen")
    func fragments() {
        var talk = opened()
        let first = talk.segment(.client, data: 1_400)
        #expect(talk.judge(first, from: .client, unseenBytes: 64_000).refusal == nil)
        #expect(talk.endpoint(.client).end == talk.client.next &+ 1_400)
        talk.refuse(talk.segment(.server, acknowledging: 65_401), from: .server, as: .invalidACK)
        talk.pass(talk.segment(.server, acknowledging: 65_400), from: .server)
        talk.pass(talk.segment(.client, data: 100, by: 65_400), from: .client)
        talk.refuse(talk.segment(.server, acknowledging: 65_501), from: .server, as: .invalidACK)
    }

    @Test("a later segment takes the place of what its fragments left open")
    func fragmentsOvertaken() {
        var talk = opened()
        _ = talk.judge(talk.segment(.client, data: 1_000), from: .client, unseenBytes: 2_000)
        talk.pass(talk.segment(.client, data: 500, by: 1_000), from: .client)
        talk.refuse(talk.segment(.server, acknowledging: 3_001), from: .server, as: .invalidACK)
        talk.pass(talk.segment(.server, acknowledging: 3_000), from: .server)
        #expect(talk.judge(talk.segment(.client, data: 1, by: 3_000), from: .client, unseenBytes: .max).refusal == nil)
    }

    @Test(
        "hostile lengths and numbers trap nothing",
        arguments: [UInt32.max, 0x8000_0000, 0x7fff_ffff, 0x0100_0001] as [UInt32])
    func hostileLengths(length: UInt32) {
        var talk = opened()
        talk.refuse(talk.segment(.client, data: length), from: .client, as: .invalidSequence)
        var opening = TCPConversation()
        opening.send(.client, .syn)
        opening.refuse(opening.segment(.server, data: length), from: .server, as: .invalidSequence)
        opening.send(.server, [.syn, .ack])
        opening.refuse(opening.segment(.server, data: length), from: .server, as: .invalidSequence)
        opening.refuse(opening.segment(.client, data: length), from: .client, as: .invalidSequence)
    }

    /// Whether windows are scaled is for the SYN+ACK to say: it has the option only if its sender took a SYN that had it (RFC 7323
    /// section 2.2). Linux' answers go by the first SYN that it has taken, and its openers by the answer.
    @Test("a SYN repeated without a scale turns it off for both, unless its answer has one", arguments: [false, true])
    func scaleOfRepeatedSYN(isAnsweredWithScale: Bool) {
        var talk = TCPConversation()
        (talk.client.window, talk.server.window) = (65_535, 65_535)
        let first = talk.segment(.client, .syn)
        talk.pass(first, from: .client)
        talk.client.scale = TCPFields.noWindowScale
        talk.send(.client, .syn)
        if !isAnsweredWithScale { talk.server.scale = TCPFields.noWindowScale }
        talk.send(.server, [.syn, .ack])
        talk.send(.client)
        talk.send(.server)
        let window: UInt32 = isAnsweredWithScale ? 65_535 << 7 : 65_535
        for party in Party.allCases {
            talk.refuse(talk.segment(party, data: 1, by: Int64(window)), from: party, as: .invalidSequence)
            var last = talk
            last.pass(last.segment(party, data: 1, by: Int64(window) - 1), from: party)
            last.refuse(last.segment(party, data: 2, by: Int64(window) - 1), from: party, as: .invalidSequence)
        }
    }
}
