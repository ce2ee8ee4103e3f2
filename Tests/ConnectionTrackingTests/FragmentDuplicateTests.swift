// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import PacketWire
import TestSupport
import Testing

@Suite("Duplicate fragments")
struct FragmentDuplicateTests {
    @Test("every fragment sent twice in a row, and the whole datagram sent again")
    func duplicates() {
        var bench = FragmentBench()
        let fragments = datagram(4_000).fragmented(at: 1_480)
        for fragment in fragments + fragments {
            #expect(bench.judge(fragment) == .decided(.pass))
            #expect(bench.judge(fragment) == .decided(.pass))
        }
    }

    @Test("after the datagram is complete, exact duplicates pass for a second, in any order")
    func duplicatesAfterCompletion() {
        var bench = FragmentBench()
        let fragments = datagram(4_000).fragmented(at: 1_480)
        for fragment in fragments { _ = bench.judge(fragment) }
        bench.clock.advance(by: .milliseconds(999))
        for fragment in fragments.dropFirst().reversed() { #expect(bench.judge(fragment) == .decided(.pass)) }
    }

    @Test("a second after it was complete a datagram is forgotten")
    func forgotten() {
        var bench = FragmentBench()
        let fragments = datagram(4_000).fragmented(at: 1_480)
        for fragment in fragments { _ = bench.judge(fragment) }
        bench.clock.advance(by: .seconds(1))
        #expect(bench.judge(fragments[1]) == nil)
        #expect(bench.judge(fragments[0]) == .decided(.pass))
        #expect(bench.releases() == [.decided(.pass)])
    }

    @Test("duplicates carry the verdict that was a drop, too")
    func duplicatesOfDropped() {
        var bench = FragmentBench()
        let drop = DatagramVerdict.dropped(DatagramRefusal(reason: 21, rule: 4))
        let fragments = datagram(2_000).fragmented(at: 1_480)
        for fragment in fragments { #expect(bench.judge(fragment, first: drop) == .decided(drop)) }
        #expect(bench.judge(fragments[1]) == .decided(drop))
        #expect(bench.judge(fragments[0]) == .decided(.pass))
        #expect(bench.judge(fragments[1]) == .decided(.pass))
    }

    @Test("after completion another datagram may use the identification at once, however it is cut")
    func reuseOfIdentification() {
        var bench = FragmentBench()
        for size in [1_480, 1_480, 1_400, 1_480, 608] {
            for length in [2_000, 2_001, 4_000, 1_999] {
                for fragment in datagram(length).fragmented(at: size) {
                    #expect(bench.judge(fragment) == .decided(.pass), "\(length) bytes at \(size)")
                }
            }
        }
    }

    @Test("a duplicate of the first fragment is judged by its own headers")
    func firstAgain() {
        var bench = FragmentBench()
        let fragments = datagram(2_000).fragmented(at: 1_480)
        let drop = DatagramVerdict.dropped(DatagramRefusal(reason: 21, rule: 4))
        #expect(bench.judge(fragments[0]) == .decided(.pass))
        #expect(bench.judge(fragments[0], first: drop) == .decided(drop))
        #expect(bench.judge(fragments[1]) == .decided(.pass), "the receiver got only the first one that passed")

        let others = datagram(2_000).identification(8).fragmented(at: 1_480)
        #expect(bench.judge(others[0], first: drop) == .decided(drop))
        #expect(bench.judge(others[1]) == .decided(drop))
        #expect(bench.judge(others[0]) == .decided(.pass))
        #expect(bench.judge(others[1]) == .decided(.pass))
    }
}
