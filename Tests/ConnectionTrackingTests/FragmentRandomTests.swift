// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import PacketWire
import TestSupport
import Testing

@Suite("Fragments at random")
struct FragmentRandomTests {
    @Test("the longest datagram passes at every usual path MTU", arguments: [1_500, 1_492, 1_400, 1_280, 576, 124])
    func longestDatagram(mtu: Int) {
        var bench = FragmentBench()
        let size = (mtu - 20) / 8 * 8
        let template = datagram(1_000).fragment(0..<504).headers
        for fragment in template.fragmented(65_515, at: size) { #expect(bench.judge(fragment) == .decided(.pass)) }
        guard mtu >= 1_280 else { return }
        let long = ipv6.udp(1, 2).payload(count: 3_000).fragment(0..<1_240).headers
        for fragment in long.fragmented(65_535, at: (mtu - 48) / 8 * 8) {
            #expect(bench.judge(fragment) == .decided(.pass))
        }
    }

    @Test("the longest datagram in the smallest pieces that there are")
    func smallestPieces() {
        var bench = FragmentBench()
        (bench.settings.minimumSize, bench.settings.minimumOffset) = (0, 0)
        var headers = datagram(1_000).fragment(0..<8).headers
        var passed = 0
        for start in stride(from: UInt32(0), to: 65_512, by: 8) {
            headers.fragment.offset = start
            headers.fragment.moreFragments = start != 65_504
            switch bench.check(headers) {
            case .first(let record): bench.tracker.decide(record, .pass); passed += 1
            case .decided(.pass): passed += 1
            default: break
            }
        }
        #expect(passed == 8_189)
        #expect(isFirst(bench.check(datagram(2_000).fragment(0..<1_480))), "complete: the next may begin")
    }

    @Test("any cut of any datagram passes in any order with duplicates", arguments: 0..<40)
    func anyCut(round: Int) {
        let seed = UInt64(round) &* 7_919 &+ 11
        var random = SeededRandom(seed: seed)
        var bench = FragmentBench()
        var template = datagram(1_000).fragment(0..<504).headers
        for number in 0..<20 {
            let length = Int.random(in: 300...65_515, using: &random)
            template.fragment.identification = UInt32(number)
            var ranges = cut(length, &random)
            ranges += ranges.filter { _ in Int.random(in: 0..<8, using: &random) == 0 }
            ranges.shuffle(using: &random)
            var passed = 0
            for range in ranges.prefix(60) + ranges.dropFirst(60).sorted(by: { $0.lowerBound < $1.lowerBound }) {
                if bench.judge(template.fragment(range, of: length)) == .decided(.pass) { passed += 1 }
                passed += bench.releases().filter { $0 == .decided(.pass) }.count
            }
            #expect(passed == ranges.count || bench.tracker.heldCount > 0, "seed \(seed), datagram \(number)")
            bench.clock.advance(by: .seconds(2))
            bench.tracker.expire(at: bench.clock.now)
            _ = bench.releases()
        }
    }

    /// A legal cut: the first piece at least 104 bytes, all but the last multiples of eight.
    private func cut(_ length: Int, _ random: inout SeededRandom) -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        var start = 0
        while start < length {
            let size = Int.random(in: 13...185, using: &random) * 8
            ranges.append(start..<min(start + size, length))
            start += size
        }
        return ranges
    }

    @Test("an overlap is seen exactly where a model by bytes sees one", arguments: 0..<40)
    func againstModel(round: Int) {
        let seed = UInt64(round) &* 104_729 &+ 3
        var random = SeededRandom(seed: seed)
        var bench = FragmentBench()
        (bench.settings.minimumSize, bench.settings.minimumOffset) = (0, 0)
        var template = datagram(1_000).fragment(0..<8).headers
        for number in 0..<50 {
            template.fragment.identification = UInt32(number)
            var model = FragmentModel()
            for _ in 0..<12 {
                let start = Int.random(in: 0..<24, using: &random) * 8
                let end = start + Int.random(in: 1...6, using: &random) * 8
                template.fragment.offset = UInt32(start)
                template.fragment.dataLength = UInt32(end - start)
                template.length = UInt32(end - start + 20)
                template.fragment.moreFragments = end < 192
                let expected = model.accepts(start..<end, isLast: end >= 192)
                let refused = bench.check(template) == .refused(.overlapping, silently: false)
                #expect(refused == !expected, "seed \(seed), datagram \(number), \(start)..<\(end)")
                if model.isComplete { break }
            }
        }
    }

    @Test("no sequence of hostile fragments traps or outgrows the limits", arguments: 0..<20)
    func hostile(round: Int) {
        let seed = UInt64(round) &* 15_485_863 &+ 1
        var random = SeededRandom(seed: seed)
        var bench = FragmentBench(limit: 50)
        (bench.settings.minimumSize, bench.settings.minimumOffset) = (0, 0)
        bench.settings.smallIPv6Denied = false
        var headers = datagram(1_000).fragment(0..<504).headers
        var tickets: Set<UInt32> = []
        for _ in 0..<5_000 {
            headers.network = Bool.random(using: &random) ? .ipv4 : .ipv6
            headers.source = IPAddress(v4: .random(in: 0..<3, using: &random))
            headers.fragment.identification = .random(in: 0..<40, using: &random)
            headers.fragment.offset = .random(in: 0...8_191, using: &random) * 8
            if Bool.random(using: &random) { headers.fragment.offset = 0 }
            headers.fragment.dataLength = .random(in: 0...70_000, using: &random)
            headers.length = headers.fragment.dataLength &+ .random(in: 0...60, using: &random)
            headers.fragment.moreFragments = headers.fragment.offset == 0 || Bool.random(using: &random)
            switch bench.check(headers) {
            case .first(let record):
                bench.tracker.decide(
                    record, Bool.random(using: &random) ? .pass : .dropped(DatagramRefusal(reason: 1, rule: 1)))
            case .awaitsFirst(let record):
                if let ticket = bench.tracker.hold(record, at: bench.clock.now) { tickets.insert(ticket) }
            case .refused, .decided: break
            }
            bench.clock.advance(by: .milliseconds(.random(in: -20...60, using: &random)))
            bench.tracker.expire(at: bench.clock.now)
            while let release = bench.tracker.takeRelease() {
                let wasHeld = tickets.remove(release.ticket) != nil
                #expect(wasHeld, "seed \(seed): a ticket released twice or never given")
            }
            #expect(bench.tracker.count <= 50 && bench.tracker.heldCount == tickets.count, "seed \(seed)")
        }
        bench.clock.advance(by: .minutes(2))
        for _ in 0..<4 { bench.tracker.expire(at: bench.clock.now) }
        #expect(bench.releases().count == tickets.count)
        #expect(bench.tracker.count == 0)
    }
}

/// The rules for one datagram in the plainest form: which fragment each byte belongs to.
private struct FragmentModel {
    private var fragments: [Range<Int>] = []
    private var end: Int?
    private var isCondemned = false

    var isComplete: Bool {
        guard let end else { return false }
        return fragments.reduce(0) { $0 + $1.count } == end
    }

    mutating func accepts(_ range: Range<Int>, isLast: Bool) -> Bool {
        guard !isCondemned else { return false }
        if fragments.contains(range), isLast == (range.upperBound == end) { return true }
        isCondemned =
            fragments.contains { $0.overlaps(range) }
            || (end.map { isLast ? range.upperBound != $0 : range.upperBound >= $0 } ?? false)
            || (isLast && fragments.contains { $0.upperBound > range.upperBound })
        guard !isCondemned else { return false }
        fragments.append(range)
        if isLast { end = range.upperBound }
        return true
    }
}
