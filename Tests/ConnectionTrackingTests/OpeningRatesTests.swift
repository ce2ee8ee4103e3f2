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
        rates.admits(Self.opening(source, rule), at: now + after, counts: true, mayRepeat: false)
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
        for _ in 0..<5 { #expect(rates.admits(Self.opening(7), at: now, counts: false, mayRepeat: false)) }
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
            return (0..<times).count { _ in rates.admits(opening, at: now, counts: true, mayRepeat: false) }
        }
        #expect(ask(1, .hours(24), 1, times: 3) == 1)
        #expect(ask(50_000, .seconds(1), 2, times: 50_010) == 50_000)
        #expect(ask(1_000_000, .hours(24), 3, times: 100) == 100)
    }
}
