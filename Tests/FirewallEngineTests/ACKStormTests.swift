// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import PacketWire
import TestSupport
import Testing

/// A storm is two hosts that answer each other's acknowledgements; all else that repeats one is left alone.
@Suite("ACK storms")
struct ACKStormTests {
    private static let threshold = 10
    private static let policy = "stateful: { tcp: { ack-storm: { threshold: \(threshold) } } }"

    private func opened(_ more: String = "", _ policy: String = Self.policy) throws -> (EngineUnderTest, TCPTalk) {
        let engine = try EngineUnderTest(policy + more)
        let talk = TCPTalk(engine)
        talk.open()
        talk.exchange()
        return (engine, talk)
    }

    /// Somebody has forged `bytes` in the name of the peer, which the host took; since then neither side finds the other's
    /// numbers where it expects them.
    private func desynchronised(_ talk: TCPTalk, bytes: Int) {
        let forged = talk.segment(.peer, [.psh, .ack], data: bytes)
        #expect(talk.deliver(forged, from: .peer) == .pass)
        talk.host.expected &+= UInt32(bytes)
    }

    @Test("The storm after a forged segment ends at the threshold, of either side", arguments: [1, 7, 1_400, 60_000])
    func storm(_ bytes: Int) throws {
        let (engine, talk) = try opened()
        desynchronised(talk, bytes: bytes)
        var passed = 0
        for _ in 0..<100 {
            guard talk.deliver(talk.segment(.host), from: .host) == .pass else { break }
            passed += 1
            engine.clock.advance(by: .microseconds(200))
            guard talk.deliver(talk.segment(.peer), from: .peer) == .pass else { break }
            passed += 1
            engine.clock.advance(by: .microseconds(200))
        }
        // The ACK of the exchange before is the peer's first; that of a large segment may answer several.
        #expect(passed >= 2 * (Self.threshold - 2) && passed <= 2 * Self.threshold + bytes / 512 + 4)
        #expect(engine.lastReason == .maximumACKRetransmit)
        #expect(engine.events(of: .maximumACKRetransmit) == 1)
        let connection = try engine.onlyConnection()
        #expect(connection.stage == .established)
    }

    @Test("The connection goes on when its sides have found each other again")
    func survives() throws {
        let (engine, talk) = try opened()
        for _ in 0..<Self.threshold + 5 { talk.deliver(talk.segment(.peer), from: .peer) }
        #expect(engine.lastReason == .maximumACKRetransmit)
        let refused = engine.events.count
        talk.exchange()
        talk.close()
        #expect(engine.events.count == refused)
    }

    @Test("drop-connection ends it: what is new is of a closed connection, and the storm goes on being told")
    func drop() throws {
        let (engine, talk) = try opened(
            "", "stateful: { tcp: { ack-storm: { threshold: \(Self.threshold), drop-connection: true } } }")
        for _ in 0..<Self.threshold + 1 { talk.deliver(talk.segment(.peer), from: .peer) }
        #expect(engine.lastReason == .maximumACKRetransmit)
        #expect(try engine.onlyConnection().stage == .closed)
        #expect(talk.deliver(talk.segment(.peer), from: .peer) == .drop(.maximumACKRetransmit))
        #expect(talk.deliver(talk.segment(.peer, data: 10), from: .peer) == .drop(.packetOnClosedConnection))
        #expect(talk.deliver(talk.segment(.host, data: 10), from: .host) == .drop(.packetOnClosedConnection))
    }

    @Test("A pause longer than ack-storm begins another row", arguments: [(999, true), (1_001, false)])
    func pause(_ milliseconds: Int64, _ isStorm: Bool) throws {
        let (engine, talk) = try opened()
        for _ in 0..<3 * Self.threshold {
            talk.deliver(talk.segment(.peer), from: .peer)
            engine.clock.advance(by: .milliseconds(milliseconds))
        }
        #expect((engine.events(of: .maximumACKRetransmit) > 0) == isStorm)
    }

    @Test("Duplicates that report a loss are no storm: the other side has data on its way")
    func duplicates() throws {
        let (engine, talk) = try opened()
        let lost = talk.segment(.host, data: 1_000)
        talk.host.next &+= 1_000
        for _ in 0..<50 {
            #expect(talk.deliver(talk.segment(.host, data: 1_000), from: .host) == .pass)
            talk.host.next &+= 1_000
        }
        for _ in 0..<10 * Self.threshold { #expect(talk.deliver(talk.segment(.peer), from: .peer) == .pass) }
        #expect(talk.deliver(lost, from: .host) == .pass)
        #expect(engine.events.isEmpty)
    }

    @Test("Answers to a window of data that came again are no storm", arguments: [1, 40])
    func retransmissions(_ segmentsInOne: Int) throws {
        let (engine, talk) = try opened()
        let bytes = 500
        let count = 3 * Self.threshold * segmentsInOne
        for _ in 0..<count {
            #expect(talk.deliver(talk.segment(.host, data: bytes), from: .host) == .pass)
            talk.host.next &+= UInt32(bytes)
        }
        talk.peer.expected = talk.host.next
        #expect(talk.deliver(talk.segment(.peer), from: .peer) == .pass)
        // The acknowledgement was lost behind us: all is sent again, and each of it answered.
        for i in stride(from: count, to: 0, by: -segmentsInOne) {
            let again = talk.segment(.host, data: bytes * segmentsInOne, by: -i * bytes)
            #expect(talk.deliver(again, from: .host) == .pass)
        }
        for _ in 0..<count { #expect(talk.deliver(talk.segment(.peer), from: .peer) == .pass) }
        #expect(engine.events.isEmpty)
    }

    @Test("Keep-alives and their answers are no storm", arguments: [1_000, 200, 100])
    func keepAlives(_ milliseconds: Int64) throws {
        let (engine, talk) = try opened()
        for _ in 0..<20 * Self.threshold {
            #expect(talk.deliver(talk.segment(.host, by: -1), from: .host) == .pass)
            #expect(talk.deliver(talk.segment(.peer), from: .peer) == .pass)
            engine.clock.advance(by: .milliseconds(milliseconds))
        }
        #expect(engine.events.isEmpty)
    }

    @Test("Probes of a closed window are no storm, with a byte or without", arguments: [0, 1])
    func windowProbes(_ data: Int) throws {
        let (engine, talk) = try opened()
        talk.peer.window = 0
        #expect(talk.deliver(talk.segment(.peer), from: .peer) == .pass)
        for _ in 0..<20 * Self.threshold {
            #expect(talk.deliver(talk.segment(.host, data: data, by: -1), from: .host) == .pass)
            #expect(talk.deliver(talk.segment(.peer), from: .peer) == .pass)
            engine.clock.advance(by: .milliseconds(200))
        }
        #expect(engine.events.isEmpty)
    }

    @Test("Window updates are no storm")
    func windowUpdates() throws {
        let (engine, talk) = try opened()
        for i in 0..<UInt16(20 * Self.threshold) {
            talk.peer.window = 4_000 + i
            #expect(talk.deliver(talk.segment(.peer), from: .peer) == .pass)
        }
        #expect(engine.events.isEmpty)
    }

    @Test("A reload that sets a threshold counts connections that were there before, and one that takes it away stops")
    func reload() throws {
        let (engine, talk) = try opened("", "")
        for _ in 0..<5 * Self.threshold { #expect(talk.deliver(talk.segment(.peer), from: .peer) == .pass) }
        try engine.reloads(Self.policy)
        for _ in 0..<2 * Self.threshold { talk.deliver(talk.segment(.peer), from: .peer) }
        #expect(engine.lastReason == .maximumACKRetransmit)
        try engine.reloads("")
        #expect(talk.deliver(talk.segment(.peer), from: .peer) == .pass)
    }

    @Test("A connection in the place of another begins its rows anew")
    func place() throws {
        let (engine, talk) = try opened()
        for _ in 0..<Self.threshold - 2 { talk.deliver(talk.segment(.peer), from: .peer) }
        talk.close()
        engine.waits(.minutes(2))
        #expect(engine.connections == 0)
        let next = TCPTalk(engine)
        next.open()
        for _ in 0..<Self.threshold - 1 { #expect(next.deliver(next.segment(.peer), from: .peer) == .pass) }
        #expect(engine.events.isEmpty)
    }
}
