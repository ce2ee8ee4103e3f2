// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import TestSupport
import Testing

@testable import ConnectionTracking

@Suite("TCP: time stamps")
struct TCPTimestampTests {
    private func opened(_ posture: AntiEvasion = .strict, at value: UInt32 = 10_000) -> TCPConversation {
        var talk = TCPConversation()
        talk.posture = posture
        talk.client.timestamp = value
        talk.server.timestamp = value &+ 77
        talk.open()
        return talk
    }

    @Test(
        "a time stamp older than the window is refused under strict, one just as old passes",
        arguments: [
            UInt32(10_000), 500, 0x8000_0100, 0xffff_ffff,
        ])
    func tooOld(value: UInt32) {
        var talk = opened(at: value)
        talk.client.timestamp = value &- 1_001
        let step = talk.judge(talk.segment(.client, data: 10), from: .client)
        #expect(step.refusal == .invalidSequence && step.row == .invalidTimestamps)
        talk.client.timestamp = value &- 1_000
        talk.send(.client, data: 10)
        talk.client.timestamp = value &+ 5_000
        talk.send(.client, data: 10)
        talk.client.timestamp = value &+ 3_999
        talk.refuse(talk.segment(.client, data: 10), from: .client, as: .invalidSequence)
    }

    @Test(
        "under normal it passes, with log it is reported, with deny-silent it is not", arguments: PostureAction.allCases
    )
    func rows(action: PostureAction) {
        var posture = AntiEvasion.normal
        #expect(posture.invalidTimestamps == .allow)
        posture.invalidTimestamps = action
        var talk = opened(posture)
        talk.client.timestamp = 1
        let step = talk.judge(talk.segment(.client, data: 10), from: .client)
        #expect((step.refusal != nil) == action.drops)
        #expect((step.logged != nil) == (action == .log))
        #expect(step.isSilent == (action == .denySilent))
    }

    @Test("the window is a setting")
    func window() {
        var posture = AntiEvasion.strict
        posture.pawsWindow = .zero
        var talk = opened(posture)
        talk.client.timestamp = 9_999
        talk.refuse(talk.segment(.client, data: 10), from: .client, as: .invalidSequence)
        talk.posture.pawsWindow = .milliseconds(1)
        talk.send(.client, data: 10)
    }

    @Test("zero is refused where the clock cannot have come to it, and passes where it can")
    func zero() {
        var talk = opened(.normal, at: 1_000_000_000)
        talk.client.timestamp = 0
        let step = talk.judge(talk.segment(.client, data: 10), from: .client)
        #expect(step.refusal == .invalidSequence && step.row == .pawsZero)
        var wrapping = opened(.normal, at: 0xffff_fffe)
        wrapping.client.timestamp = 0
        wrapping.send(.client, data: 10)
        var always = opened(.normal, at: 0)
        always.send(.client, data: 10)
        always.client.timestamp = 5_000
        always.send(.client, data: 10)
        always.client.timestamp = 0
        always.refuse(always.segment(.client, data: 10), from: .client, as: .invalidSequence)
        always.posture.pawsZero = .allow
        always.send(.client, data: 10)
    }

    @Test("RST and SYN segments are never too old")
    func exempt() {
        var talk = opened()
        talk.client.timestamp = 1
        talk.pass(talk.segment(.client, .syn).with { $0.sequence = 5 }, from: .client)
        talk.pass(talk.segment(.client, .rst), from: .client)
        #expect(talk.phase == .closed)
    }

    @Test("after 24 idle days the clock may have come round, and says nothing")
    func outdated() {
        var talk = opened()
        talk.client.timestamp = 1
        talk.clock.advance(by: .hours(24 * 24))
        talk.refuse(talk.segment(.client, data: 10), from: .client, as: .invalidSequence)
        talk.clock.advance(by: .seconds(1))
        talk.send(.client, data: 10)
        talk.client.timestamp = 3_000
        talk.send(.client, data: 10)
    }

    @Test("a segment without a time stamp, or the first with one, is not judged by it")
    func absent() {
        var talk = opened()
        talk.client.timestamp = nil
        talk.send(.client, data: 10)
        var plain = TCPConversation.established()
        plain.posture = .strict
        plain.client.timestamp = 5
        plain.send(.client, data: 10)
    }
}
