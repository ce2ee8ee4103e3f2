// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import TestSupport
import Testing

@testable import ConnectionTracking

@Suite("MD5 and authentication options")
struct TCPAuthenticationTests {
    private static let kinds: [TCPAuthentication] = [[], .md5, .ao]

    private func segment(
        _ flags: TCPFlags, seq: UInt32, ack: UInt32 = 0, data: UInt32 = 0, _ kind: TCPAuthentication
    )
        -> TCPFields
    {
        var s = TCPFields()
        s.flags = flags
        s.sequence = seq
        s.acknowledgement = ack
        s.window = 8_000
        s.dataLength = data
        s.authentication = kind
        return s
    }

    private let now = Instant(nanoseconds: 5_000_000_000)

    /// An open connection whose segments are all of this kind.
    private func opened(_ kind: TCPAuthentication) -> TCPState {
        var state = TCPTracker.open(segment(.syn, seq: 999, kind), from: .low, at: now)
        for (s, side) in [
            (segment([.syn, .ack], seq: 4_999, ack: 1_000, kind), Side.high),
            (segment(.ack, seq: 1_000, ack: 5_000, kind), .low),
            (segment(.ack, seq: 1_000, ack: 5_000, data: 10, kind), .low),
            (segment(.ack, seq: 5_000, ack: 1_010, data: 10, kind), .high),
        ] {
            #expect(TCPTracker.step(&state, s, from: side, at: now, .strict) == .passed)
        }
        #expect(state.phase == .established)
        return state
    }

    @Test("A segment of another kind than its SYN changes nothing, whatever the row says", arguments: kinds, kinds)
    func others(_ kind: TCPAuthentication, _ other: TCPAuthentication) {
        for action in PostureAction.allCases {
            var posture = AntiEvasion.normal
            posture.tcpAuthOption = action
            for s in [
                segment([.rst], seq: 1_010, other), segment([.fin, .ack], seq: 1_010, ack: 5_010, other),
                segment(.ack, seq: 1_010, ack: 5_010, data: 500, other),
            ] {
                var state = opened(kind)
                let before = state
                let step = TCPTracker.step(&state, s, from: .low, at: now, posture)
                if kind == other {
                    #expect(step.refusal == nil && step.row == nil && state != before)
                    continue
                }
                #expect(state == before && step.isIgnored)
                #expect(step.refusal == (action.drops ? .invalidFlags : nil))
                #expect(step.logged == (action == .log ? .invalidFlags : nil))
                #expect(step.isSilent == (action == .denySilent))
            }
        }
    }

    @Test("The opening that is under way has its own, and takes over with it")
    func openings() {
        var state = opened([])
        let syn = segment(.syn, seq: 90_000, .md5)
        #expect(TCPTracker.step(&state, syn, from: .low, at: now, .strict).refusal == nil)
        let before = state
        #expect(
            TCPTracker.step(&state, segment(.rst, seq: 1_010, .ao), from: .low, at: now, .strict).refusal
                == .invalidFlags)
        #expect(state == before)
        #expect(
            TCPTracker.step(&state, segment(.ack, seq: 1_010, ack: 5_010, []), from: .low, at: now, .strict) == .passed)
        let answer = segment([.syn, .ack], seq: 70_000, ack: 90_001, .md5)
        #expect(TCPTracker.step(&state, answer, from: .high, at: now, .strict).refusal == nil)
        let last = segment(.ack, seq: 90_001, ack: 70_001, .md5)
        #expect(TCPTracker.step(&state, last, from: .low, at: now, .strict).reopened)
        let plain = segment(.ack, seq: 90_001, ack: 70_001, data: 5, [])
        #expect(TCPTracker.step(&state, plain, from: .low, at: now, .strict).row == .tcpAuthOption)
    }

    @Test("Of a connection that was taken over it is not known what its SYN had", arguments: kinds)
    func takenOver(_ kind: TCPAuthentication) {
        let first = segment(.ack, seq: 1_000, ack: 5_000, data: 10, kind)
        var state = TCPTracker.adopt(first, from: .low, opener: .low, at: now)
        for other in Self.kinds {
            let s = segment(.ack, seq: 5_000, ack: 1_010, data: 10, other)
            #expect(TCPTracker.step(&state, s, from: .high, at: now, .strict).row == nil)
        }
    }

    @Test("Where it cannot be told what a segment has, nothing changes either", arguments: kinds)
    func unreadable(_ kind: TCPAuthentication) {
        var state = opened(kind)
        let before = state
        let step = TCPTracker.step(
            &state, segment(.rst, seq: 1_010, kind.union(.unreadable)), from: .low, at: now, .normal)
        #expect(step.refusal == .invalidFlags && step.row == .tcpAuthOption && state == before)
    }

    @Test("What only the opening under way would take is none of the connection that lives")
    func besideAnOpening() {
        var state = opened([])
        #expect(TCPTracker.step(&state, segment(.syn, seq: 90_000, .md5), from: .low, at: now, .strict).refusal == nil)
        let before = state
        for flags in [[.fin, .ack], .ack] as [TCPFlags] {
            let other = segment(flags, seq: 1_010, ack: 5_010, data: 500, .md5)
            let step = TCPTracker.step(&state, other, from: .low, at: now, .normal)
            #expect(step.isIgnored && state == before)
        }
    }
}
