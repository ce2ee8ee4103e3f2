// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import TestSupport
import Testing

@testable import ConnectionTracking

@Suite("Buckets of fixed memory")
struct OpeningRatesTests {
    private static let rate = OpeningRate(count: 10, span: .minutes(1))
    private let now = Instant(nanoseconds: 1_000_000_000_000)

    private static func opening(_ source: UInt32, _ rule: UInt64 = 1) -> RatedOpening {
        RatedOpening(rule: rule, rate: rate, source: IPAddress(v4: source), version: 4, digest: UInt64(source) | 1)
    }

    private static func prepared() -> OpeningRates {
        let rates = OpeningRates(seed: (1, 2))
        rates.prepare(isUsed: true)
        return rates
    }

    private func asks(_ rates: OpeningRates, _ source: UInt32, _ rule: UInt64 = 1, after: Instant.Span = .zero) -> Bool
    {
        rates.judge(Self.opening(source, rule), at: now + after, counts: true, mayRepeat: false) != .refused
    }

    private func judge(
        _ rates: OpeningRates, _ source: UInt32, _ rate: OpeningRate, _ rule: UInt64, after: Instant.Span = .zero,
        mayRepeat: Bool = false
    ) -> RateVerdict {
        rates.judge(
            RatedOpening(rule: rule, rate: rate, source: IPAddress(v4: source), version: 4, digest: UInt64(source) | 1),
            at: now + after, counts: true, mayRepeat: mayRepeat)
    }

    @Test("A flood at a rule of a long time switches off no rule of a shorter one, for who came before it or after")
    func floodAtAnotherRule() {
        let rates = Self.prepared()
        let long = OpeningRate(count: 5, span: .hours(24))
        #expect((0..<10).allSatisfy { _ in asks(rates, 7) } && !asks(rates, 7))
        #expect((0..<200_000).allSatisfy { judge(rates, 0x2000_0000 + $0, long, 2) == .counted })
        #expect(!asks(rates, 7), "it was at its rate")
        #expect(!asks(rates, 7, after: .seconds(5)))
        #expect(asks(rates, 7, after: .seconds(6)))
        for source in UInt32(1_000)..<1_100 {
            #expect((0..<10).allSatisfy { _ in asks(rates, source, after: .seconds(9)) })
            #expect(!asks(rates, source, after: .seconds(9)), "it finds a place")
        }
    }

    @Test("Who is at his rate never gives way: who finds no place is admitted and not counted")
    func noRoom() {
        let rates = Self.prepared()
        let once = OpeningRate(count: 1, span: .hours(1))
        var counted: [UInt32] = []
        for source in 0x2000_0000..<(0x2000_0000 + UInt32(200_000)) {
            switch judge(rates, source, once, 2) {
            case .counted: counted.append(source)
            case .uncounted: break
            case .refused: Issue.record("the first of a source is refused")
            }
        }
        #expect((60_000...65_536).contains(counted.count))
        #expect(counted.allSatisfy { judge(rates, $0, once, 2, after: .minutes(59)) == .refused })
        #expect(counted.prefix(1_000).allSatisfy { judge(rates, $0, once, 2, after: .hours(1)) == .counted })
    }

    @Test("What is known to be repeated, and what is only asked about, is counted by nothing")
    func verdicts() {
        let rates = Self.prepared()
        #expect(judge(rates, 7, Self.rate, 1, mayRepeat: true) == .counted)
        #expect(judge(rates, 7, Self.rate, 1, mayRepeat: true) == .uncounted)
        #expect(judge(rates, 7, Self.rate, 1) == .counted)
        #expect(rates.judge(Self.opening(8), at: now, counts: false, mayRepeat: false) == .uncounted)
        #expect(rates.standing(rule: 1, source: IPAddress(v4: 8), version: 4, at: now) == nil)
    }

    @Test(
        "A flood of 200,000 sources in one second that ask once each refuses none of them, and frees nobody who has asked more"
    )
    func flood() {
        let rates = Self.prepared()
        #expect((0..<10).allSatisfy { _ in asks(rates, 7) } && !asks(rates, 7))
        #expect(
            (0..<200_000).allSatisfy {
                asks(rates, 0x2000_0000 + $0, after: Instant.Span(nanoseconds: Int64($0) * 5_000))
            })
        #expect(!asks(rates, 7, after: .seconds(1)))
        #expect(asks(rates, 7, after: .seconds(6)))
    }

    @Test("Random openings are admitted as a bucket that is filled drop by drop has it")
    func oracle() {
        let rates = Self.prepared()
        var random = SeededRandom(seed: 20)
        var tokens: [UInt32: (tokens: Double, at: Int64)] = [:]
        var time: Int64 = 0
        for _ in 0..<20_000 {
            time += Int64.random(in: 0...2_000, using: &random) * 1_000_000
            let source = UInt32.random(in: 1...5, using: &random)
            let known = tokens[source] ?? (10, time)
            // One each six seconds.
            let filled = min(10, known.tokens + Double(time - known.at) / 6_000_000_000)
            // What is at the border to a billionth may be either.
            guard abs(filled - 1) > 1e-9 else { continue }
            let admitted = asks(rates, source, after: Instant.Span(nanoseconds: time))
            #expect(admitted == (filled >= 1))
            tokens[source] = (admitted ? filled - 1 : filled, time)
        }
    }

    @Test("What is given back can be asked for again; what is only asked about stays")
    func givingBack() {
        let rates = Self.prepared()
        for _ in 0..<9 { #expect(asks(rates, 7)) }
        for _ in 0..<5 { #expect(rates.judge(Self.opening(7), at: now, counts: false, mayRepeat: false) == .uncounted) }
        #expect(asks(rates, 7))
        rates.giveBack(Self.opening(7))
        #expect(asks(rates, 7) && !asks(rates, 7))
        #expect(asks(rates, 7, 2), "another rule has buckets of its own")
    }

    @Test("Without a rule that has a rate there is no memory, and nothing is refused")
    func unused() {
        let rates = OpeningRates(seed: (1, 2))
        #expect((0..<99).allSatisfy { _ in asks(rates, 7) })
        rates.prepare(isUsed: true)
        #expect((0..<11).map { _ in asks(rates, 7) }.count { !$0 } == 1)
        rates.prepare(isUsed: true)
        #expect(!asks(rates, 7), "what is counted stays")
        rates.prepare(isUsed: false)
        #expect(asks(rates, 7))
    }

    @Test("The highest rate and the longest time count right")
    func bounds() {
        let rates = Self.prepared()
        func ask(_ count: UInt32, _ span: Instant.Span, _ rule: UInt64, times: Int) -> Int {
            let opening = RatedOpening(
                rule: rule, rate: OpeningRate(count: count, span: span), source: "192.0.2.1", version: 4, digest: 1)
            return (0..<times).count { _ in rates.judge(opening, at: now, counts: true, mayRepeat: false) != .refused }
        }
        #expect(ask(1, .hours(24), 1, times: 3) == 1)
        #expect(ask(50_000, .seconds(1), 2, times: 50_010) == 50_000)
        #expect(ask(1_000_000, .hours(24), 3, times: 100) == 100)
    }
}
