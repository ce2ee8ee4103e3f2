// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import TestSupport
import Testing

@testable import ConnectionTracking

@Suite("TCP: state")
struct TCPStateTests {
    @Test("a connection's state takes at most 112 bytes")
    func size() {
        #expect(MemoryLayout<TCPState>.size <= 112)
        #expect(MemoryLayout<TCPState>.stride <= 112)
    }

    @Test("each phase has its own timeout")
    func timeouts() {
        var timeouts = Timeouts()
        let fields: [(WritableKeyPath<Timeouts, Instant.Span>, TCPPhase)] = [
            (\.synSent, .synSent), (\.synReceived, .synReceived), (\.established, .established),
            (\.finWait1, .finWait1), (\.finWait2, .finWait2), (\.closeWait, .closeWait), (\.closing, .closing),
            (\.lastACK, .lastACK), (\.timeWait, .timeWait), (\.closed, .closed),
        ]
        #expect(fields.map(\.1) == TCPPhase.allCases)
        for (index, field) in fields.enumerated() { timeouts[keyPath: field.0] = .seconds(Int64(index) + 1) }
        for (index, phase) in TCPPhase.allCases.enumerated() {
            var state = TCPState()
            state.phase = phase
            #expect(state.timeout(timeouts) == .seconds(Int64(index) + 1))
        }
    }

    @Test("a state that contradicts itself refuses everything as an internal error", arguments: TCPPhase.allCases)
    func inconsistent(phase: TCPPhase) {
        var talk = TCPConversation()
        talk.isKnown = true
        talk.state.phase = phase
        let expected = phase == .closed ? TCPRefusal.packetOnClosedConnection : .internalStatesError
        talk.refuse(talk.segment(.client, data: 1), from: .client, as: expected)
    }

    @Test("a quoted sequence is plausible from what was sent back to what the window allows to repeat")
    func quotes() {
        var talk = TCPConversation.established()
        talk.send(.client, data: 5_000)
        let next = talk.client.next
        let client = talk.side(.client)
        #expect(TCPTracker.isPlausibleQuote(talk.state, sequence: next &- 5_000, sentBy: client))
        #expect(TCPTracker.isPlausibleQuote(talk.state, sequence: next, sentBy: client))
        #expect(!TCPTracker.isPlausibleQuote(talk.state, sequence: next &+ 1, sentBy: client))
        #expect(!TCPTracker.isPlausibleQuote(talk.state, sequence: next &- 70_000, sentBy: client))
        #expect(!TCPTracker.isPlausibleQuote(talk.state, sequence: talk.server.next &+ 1_000, sentBy: client.opposite))
    }

    @Test("while a connection opens, only its SYNs and what follows them can be quoted")
    func quotedSYN() {
        var talk = TCPConversation(clientISN: 1_000, serverISN: 0x8000_0000)
        talk.send(.client, .syn)
        let client = talk.side(.client)
        #expect(TCPTracker.isPlausibleQuote(talk.state, sequence: 1_000, sentBy: client))
        #expect(TCPTracker.isPlausibleQuote(talk.state, sequence: 1_001, sentBy: client))
        #expect(!TCPTracker.isPlausibleQuote(talk.state, sequence: 999, sentBy: client))
        #expect(!TCPTracker.isPlausibleQuote(talk.state, sequence: 1_002, sentBy: client))
        #expect(!TCPTracker.isPlausibleQuote(talk.state, sequence: 0, sentBy: client.opposite))
        talk.send(.server, [.syn, .ack])
        #expect(TCPTracker.isPlausibleQuote(talk.state, sequence: 0x8000_0000, sentBy: client.opposite))
        #expect(!TCPTracker.isPlausibleQuote(talk.state, sequence: 0x8000_0002, sentBy: client.opposite))
    }

    @Test("a refused port's silence can be quoted by nobody")
    func quotedRefusal() {
        var talk = TCPConversation()
        talk.send(.client, .syn)
        talk.pass(talk.segment(.server, [.rst, .ack]), from: .server)
        #expect(!TCPTracker.isPlausibleQuote(talk.state, sequence: 0, sentBy: talk.side(.server)))
    }
}

@Suite("TCP: refused and passed all the same")
struct TCPFollowingTests {
    private func opened() -> TCPConversation {
        var talk = TCPConversation.established()
        talk.send(.client, data: 10)
        talk.send(.server)
        return talk
    }

    private func follow(_ talk: inout TCPConversation, _ s: TCPFields, from party: Party) {
        TCPTracker.follow(&talk.state, s, from: talk.side(party), at: talk.clock.now)
    }

    @Test("a good segment that a rule refused moves the state as any other")
    func good() {
        var talk = opened()
        follow(&talk, talk.segment(.client, data: 100), from: .client)
        talk.pass(talk.segment(.server, acknowledging: 100), from: .server)
        follow(&talk, talk.segment(.client, [.fin, .ack], by: 100), from: .client)
        #expect(talk.phase == .finWait1)
    }

    @Test("a segment with one number out of place moves the bound")
    func oneOutOfPlace() {
        var talk = opened()
        let ahead = talk.segment(.client, data: 100, by: 3_000_000)
        talk.refuse(ahead, from: .client, as: .invalidSequence)
        follow(&talk, ahead, from: .client)
        talk.pass(talk.segment(.server, acknowledging: 3_000_100), from: .server)
        let ack = talk.segment(.client, by: 3_000_100, acknowledging: 500_000)
        talk.refuse(ack, from: .client, as: .invalidACK)
        follow(&talk, ack, from: .client)
        talk.pass(talk.segment(.server, data: 10, by: 500_000, acknowledging: 3_000_100), from: .server)
    }

    @Test("a segment with both out of place, a RST out of window and a foreign SYN+ACK move nothing")
    func foreign() {
        var talk = opened()
        let before = talk.state
        follow(&talk, talk.segment(.client, data: 5, by: 9_000_000, acknowledging: 9_000_000), from: .client)
        follow(&talk, talk.segment(.client, .rst, by: 9_000_000), from: .client)
        follow(&talk, talk.segment(.server, [.syn, .ack], by: 9_000_000), from: .server)
        follow(&talk, talk.segment(.client, data: 10, by: -9_000_000), from: .client)
        #expect(talk.state.phase == before.phase && talk.state == before)
    }
}
