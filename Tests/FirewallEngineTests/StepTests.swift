// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import TestSupport
import Testing

@Suite("The steps that the engine records are those that it takes")
struct StepTests {
    private static let refusals = ReasonCase.all.filter { $0.action == .deny } + ReasonCase.explained

    @Test("The last step says what the event says, and recording changes nothing", arguments: refusals)
    func lastStep(_ reasonCase: ReasonCase) throws {
        let plain = try EngineUnderTest(reasonCase.policy)
        try reasonCase.scene(plain)
        let expected = try reasonCase.raises(plain)

        let engine = try EngineUnderTest(reasonCase.policy)
        try reasonCase.scene(engine)
        engine.engine.steps = []
        let fate = try reasonCase.raises(engine)
        #expect(fate == expected)
        let event = try #require(engine.lastEvent)
        guard case .refused(let refused)? = engine.engine.steps?.last(where: \.isLast) else {
            Issue.record("no last step")
            return
        }
        #expect(refused.reason == event.reason)
        #expect(refused.cause == event.cause)
        #expect(refused.rule == event.rule)
        #expect(refused.remedy == event.remedy)
        #expect(refused.remedyRule == event.remedyRule)
        #expect(!refused.passes)
    }

    @Test("A packet on its way has one step of each kind, in order")
    func order() throws {
        let engine = try EngineUnderTest("rules: [{ name: Web, action: allow, direction: incoming, protocol: tcp }]")
        engine.engine.steps = []
        engine.receives(.toHost.syn(1, 80))
        #expect(engine.kinds == ["placed", "decoded", "sane", "lookedUp -", "ruled 0", "opened", "passed"])
        engine.engine.steps = []
        engine.sends(.fromHost.tcp(80, 1, [.syn, .ack], seq: 9, ack: 1_001))
        #expect(engine.kinds == ["placed", "decoded", "sane", "lookedUp synSent", "ruled -1", "tracked", "passed"])
        engine.engine.steps = []
        engine.receives(.toHost.tcp(1, 80, .ack, seq: 1_001, ack: 10))
        #expect(
            engine.kinds == ["placed", "decoded", "sane", "lookedUp synReceived", "ruled 0 kept", "tracked", "passed"])
        engine.engine.steps = []
        engine.receives(.toHost.syn(1, 80), on: 1)
        #expect(engine.kinds == ["untouched"])
    }
}

extension Step {
    var isLast: Bool {
        switch self {
        case .refused, .passed, .untouched: true
        default: false
        }
    }
}

extension EngineUnderTest {
    fileprivate var kinds: [String] {
        (engine.steps ?? []).map { step in
            switch step {
            case .placed: "placed"
            case .untouched: "untouched"
            case .decoded: "decoded"
            case .sane: "sane"
            case .fragment: "fragment"
            case .lookedUp(let stage, _, _): "lookedUp \(stage.map { "\($0)" } ?? "-")"
            case .stateless: "stateless"
            case .ruled(_, let decision, let isKept): "ruled \(decision.rule)\(isKept ? " kept" : "")"
            case .ownTraffic: "own"
            case .refusedBefore: "refused before"
            case .takenOver: "taken over"
            case .tracked: "tracked"
            case .opened: "opened"
            case .byCookies(let what): "by cookies: \(what)"
            case .refused: "refused"
            case .passed: "passed"
            }
        }
    }
}
