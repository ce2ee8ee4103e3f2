// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import Testing

@testable import PathProbe

/// What conversations of several steps tell, which end where one of both sides waits. Each sentence on keyed payloads is shown live.
struct ConclusionTests {
    private let target = Endpoint(IPAddress(v4: 0xc000_0201), isIPv6: false, port: 80)

    private func outcome(
        _ category: PathProbe.Category, _ detail: Detail, sent: Int, attempt: Int = 0
    ) throws -> ProbeOutcome {
        let script = try PayloadScript(
            [.init(.client, [1, 1]), .init(.reflector, [2]), .init(.client, [3]), .init(.reflector, [4])], over: .tcp)
        var evidence = Evidence()
        evidence.phase = .payload
        evidence.bytesSent = sent
        return ProbeOutcome(
            job: ProbeJob(number: 0, .tcp, to: target, .script(script), ProbeDeadlines(.seconds(1))),
            finding: ProbeFinding(category, detail, evidence), local: nil, attempt: attempt)
    }

    private func seen(_ bytes: Int, _ marks: WitnessRecord.Marks = .arrived) -> WitnessView {
        var record = WitnessRecord()
        record.marks = marks
        record.bytesIn = bytes
        return .seen(record)
    }

    private func told(_ outcome: ProbeOutcome, _ witness: WitnessView) -> (sentence: String, place: String) {
        (Conclusion.sentence(outcome, witness), Conclusion.place(outcome, witness, .unknown))
    }

    @Test("All that was said until then came: the answer is missing", arguments: [(2, 2), (3, 3)])
    func silenceAfterAWholeStep(sent: Int, came: Int) throws {
        let found = told(try outcome(.payloadTimeout, .acknowledged, sent: sent), seen(came))
        #expect(found == ("the payload arrived; the answer is dropped on the way back", "on the way back"))
    }

    @Test(
        "Not all of it came", arguments: [(3, 2, "no more than a part of its payload"), (2, 0, "its payload did not")])
    func silenceWithinAStep(sent: Int, came: Int, words: String) throws {
        let found = told(try outcome(.payloadTimeout, .unacknowledged, sent: sent), seen(came))
        #expect(found.sentence.hasSuffix(words))
        #expect(found.place == "on the way there")
    }

    @Test func twoAttemptsOfWhichNeitherCameWhole() throws {
        let found = told(try outcome(.payloadTimeout, .unacknowledged, sent: 2, attempt: 1), seen(2))
        #expect(found.sentence.hasSuffix("no more than a part of its payload"))
        let whole = told(try outcome(.payloadTimeout, .unacknowledged, sent: 2, attempt: 1), seen(4))
        #expect(whole.place == "on the way back")
    }

    @Test func aChangedAnswerIsNoChangedPayload() throws {
        let answer = told(try outcome(.payloadMismatch, .mismatch(offset: 0), sent: 2), seen(2))
        #expect(answer.sentence.hasSuffix("the answer is changed on the way back"))
        #expect(answer.place == "on the way back")
        let greeting = told(try outcome(.payloadMismatch, .mismatch(offset: 0), sent: 0), seen(0))
        #expect(greeting.sentence.hasSuffix("what the reflector says first is changed on the way back"))
        let payload = told(try outcome(.payloadMismatch, .mismatch(offset: 0), sent: 2), seen(0))
        #expect(payload.sentence.hasSuffix("the payload arrived changed: something between rewrites it"))
        #expect(payload.place == "on the way there")
    }

    @Test("A part of a keyed payload came, and nobody knows whose it is but by its port")
    func partOfAKeyedPayload() throws {
        var outcome = try outcome(.payloadTimeout, .unacknowledged, sent: 1_400)
        outcome.job.payload = .keyed(length: 1_400)
        let stranger = Stranger(transport: .tcp, port: 80, peer: target, bytesIn: 536, wasReset: false)
        #expect(
            told(outcome, .stranger(stranger, isCertain: true)).sentence.hasSuffix("no more than a part of its payload")
        )
        #expect(told(outcome, .stranger(stranger, isCertain: false)).sentence == "the payload was not acknowledged")
    }
}
