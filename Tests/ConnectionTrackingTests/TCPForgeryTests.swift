// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import TestSupport
import Testing

@testable import ConnectionTracking

/// Attackers off the path know addresses and ports, and guess the rest (RFC 5961 section 1, RFC 5927).
@Suite("TCP: forgeries")
struct TCPForgeryTests {
    private static let guesses = 100_000

    /// Windows of 64,000 bytes in both directions.
    private func opened() -> TCPConversation {
        var talk = TCPConversation(clientISN: 0x1111_1111, serverISN: 0x9999_9999)
        talk.client.scale = 3
        talk.server.scale = 3
        talk.open()
        talk.send(.server, data: 5_000)
        talk.send(.client, data: 5_000)
        talk.send(.server)
        talk.send(.client)
        return talk
    }

    /// How many of these guesses pass. None may change anything.
    private func passes(_ talk: inout TCPConversation, seed: UInt64, _ guess: (inout SeededRandom) -> TCPFields) -> Int
    {
        print("TCP forgeries: seed \(seed)")
        var random = SeededRandom(seed: seed)
        let before = talk.state
        var count = 0
        for _ in 0..<Self.guesses {
            let s = guess(&random)
            let party: Party = Bool.random(using: &random) ? .client : .server
            if talk.judge(s, from: party).refusal == nil { count += 1 }
            guard talk.state.phase == before.phase, talk.state.opener == before.opener else {
                Issue.record("\(s) changed the connection")
                return count
            }
        }
        return count
    }

    private func blind(_ flags: TCPFlags, data: UInt32 = 0, _ random: inout SeededRandom) -> TCPFields {
        var s = TCPFields()
        s.flags = flags
        s.sequence = UInt32.random(in: 0...UInt32.max, using: &random)
        s.acknowledgement = UInt32.random(in: 0...UInt32.max, using: &random)
        s.window = 1_000
        s.dataLength = data
        return s
    }

    @Test("blind data passes with the product of two windows over the sequence space, which is never")
    func data() {
        var talk = opened()
        let count = passes(&talk, seed: UInt64.random(in: 0...UInt64.max)) { blind([.ack, .psh], data: 100, &$0) }
        #expect(count == 0)
        talk.send(.client, data: 100)
        talk.send(.server, data: 100)
    }

    @Test("a blind RST is inside the window once in 2^32 / 70,000 guesses, and never ends the connection")
    func reset() {
        var talk = opened()
        let count = passes(&talk, seed: UInt64.random(in: 0...UInt64.max)) { blind(.rst, &$0) }
        // 100,000 × 70,000 / 2^32 is 1.6; fifteen would come once in 10^10 runs.
        #expect(count < 15)
        talk.send(.client, data: 100)
        talk.send(.server, data: 100)
    }

    @Test("blind FINs, SYN+ACKs and ACKs are refused", arguments: [[.fin, .ack], [.syn, .ack], [.ack]] as [TCPFlags])
    func others(flags: TCPFlags) {
        var talk = opened()
        let count = passes(&talk, seed: UInt64.random(in: 0...UInt64.max)) { blind(flags, &$0) }
        #expect(count == 0)
        talk.close(first: .server)
    }

    @Test("blind SYNs pass, and the connection neither ends nor suffers")
    func syns() {
        var talk = opened()
        let count = passes(&talk, seed: UInt64.random(in: 0...UInt64.max)) { blind(.syn, &$0) }
        #expect(count == Self.guesses)
        talk.send(.client, data: 100)
        talk.send(.server, data: 60_000)
        talk.send(.client)
        talk.close(first: .client)
        #expect(talk.phase == .timeWait)
    }

    @Test(
        "a forged SYN with Fast Open data, whose number the living peer happens to acknowledge, hides nothing from the windows"
    )
    func overlappingSYN() {
        var talk = opened()
        let forged = talk.segment(.client, .syn, data: 60_000, by: -30_000).with { $0.fastOpen = true }
        talk.pass(forged, from: .client)
        for _ in 0..<20 {
            talk.send(.server, data: 30_000)
            talk.send(.client, data: 30_000)
        }
    }

    @Test("who knows the sequence but not the acknowledgement is refused for that")
    func halfBlind() {
        var talk = opened()
        let next = talk.client.next
        let seed = UInt64.random(in: 0...UInt64.max)
        print("TCP forgeries: seed \(seed)")
        var random = SeededRandom(seed: seed)
        for _ in 0..<1_000 {
            let s = blind([.ack, .psh], data: 10, &random).with { $0.sequence = next }
            let distance = Int32(bitPattern: s.acknowledgement &- talk.client.expected)
            if distance <= 0, distance > -140_000 { continue }
            talk.refuse(s, from: .client, as: .invalidACK)
        }
    }

    @Test("while a connection opens, no blind answer passes except an ACK that its opener will reset")
    func opening() {
        for flags in [[.syn, .ack], [.rst, .ack], .rst, [.fin, .ack], [.ack, .psh]] as [TCPFlags] {
            var talk = TCPConversation()
            talk.send(.client, .syn)
            let seed = UInt64.random(in: 0...UInt64.max)
            print("TCP forgeries: seed \(seed)")
            var random = SeededRandom(seed: seed)
            for _ in 0..<10_000 {
                let s = blind(flags, data: flags.contains(.psh) ? 10 : 0, &random)
                #expect(talk.judge(s, from: .server).refusal != nil && talk.phase == .synSent)
            }
            talk.send(.server, [.syn, .ack])
            talk.send(.client)
        }
    }

    @Test(
        "neither a RST nor a handshake that answers a forged SYN ends the living connection, as long as the host is honest"
    )
    func answersToForgedSYN() {
        var talk = opened()
        let forged = talk.segment(.client, .syn).with { $0.sequence = 0x7777_7777 }
        talk.pass(forged, from: .client)
        let rst = talk.segment(.server, [.rst, .ack]).with {
            $0.sequence = 0
            $0.acknowledgement = 0x7777_7778
        }
        talk.pass(rst, from: .server)
        #expect(talk.phase == .established)
        talk.send(.client, data: 10)
        talk.send(.server, data: 10)
    }
}
