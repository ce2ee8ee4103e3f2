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

    /// A datagram of 4,000 bytes, and one that differs from it in this byte alone.
    private func twins(isIPv6: Bool, differingAt byte: Int) -> (PacketBuilder, PacketBuilder) {
        let ip = isIPv6 ? ipv6.upperLayer(253) : ipv4.upperLayer(253)
        var bytes = (0..<4_000).map { UInt8($0 % 251) }
        let one = ip.payload(bytes)
        bytes[byte] ^= 1
        return (one, ip.payload(bytes))
    }

    @Test(
        "a fragment that brings other bytes to the same place condemns its datagram", arguments: [true, false],
        [0, 1_479, 1_480, 2_959])
    func otherBytes(isIPv6: Bool, byte: Int) {
        var bench = FragmentBench()
        let (one, other) = twins(isIPv6: isIPv6, differingAt: byte)
        let (fragments, others) = (one.fragmented(at: 1_480), other.fragmented(at: 1_480))
        for fragment in fragments.dropLast() { #expect(bench.judge(fragment) == .decided(.pass)) }
        #expect(bench.judge(others[1 - byte / 1_480]) == .decided(.pass), "the other one is the same in both")
        #expect(bench.judge(others[byte / 1_480]) == .refused(.overlapping))
        #expect(bench.judge(fragments[2]) == .refused(.overlapping))
    }

    @Test("the last bytes count too, where they are no whole word")
    func lastBytes() {
        var bench = FragmentBench()
        let fragment = ipv4.upperLayer(253).payload((0..<1_500).map { UInt8($0 % 251) }).fragment(
            1_480..<1_499, more: false)
        let other = ipv4.upperLayer(253).payload((0..<1_500).map { $0 == 1_498 ? 7 : UInt8($0 % 251) })
        #expect(bench.judge(fragment) == nil)
        #expect(bench.judge(fragment) == nil)
        #expect(bench.judge(other.fragment(1_480..<1_499, more: false)) == .refused(.overlapping))
    }

    @Test("other bytes after the datagram is complete are another datagram's", arguments: [true, false])
    func otherBytesAfterCompletion(isIPv6: Bool) {
        var bench = FragmentBench()
        let (one, other) = twins(isIPv6: isIPv6, differingAt: 2_000)
        for fragment in one.fragmented(at: 1_480) { #expect(bench.judge(fragment) == .decided(.pass)) }
        #expect(bench.judge(other.fragmented(at: 1_480)[1]) == nil, "it waits for its first fragment")
        #expect(bench.judge(other.fragmented(at: 1_480)[0]) == .decided(.pass))
        #expect(bench.releases() == [.decided(.pass)])
    }

    @Test("of a copy that was cut off nothing is said, whatever came before or comes after")
    func cutCopies() {
        let (one, other) = twins(isIPv6: false, differingAt: 2_000)
        for cutsFirst in [true, false] {
            var bench = FragmentBench()
            #expect(bench.judge(one.fragmented(at: 1_480)[0]) == .decided(.pass))
            let (first, second) = (one.fragmented(at: 1_480)[1], other.fragmented(at: 1_480)[1])
            #expect(bench.judge(first, copying: cutsFirst ? 64 : .max) == .decided(.pass))
            #expect(bench.judge(second, copying: cutsFirst ? .max : 64) == .decided(.pass))
        }
    }

    @Test("what differs outside the bytes that reach the receiver is no difference")
    func otherHeader() {
        var bench = FragmentBench()
        let fragments = datagram(4_000).fragmented(at: 1_480)
        #expect(bench.judge(fragments[0]) == .decided(.pass))
        #expect(bench.judge(fragments[1]) == .decided(.pass))
        #expect(bench.judge(fragments[1].timeToLive(3)) == .decided(.pass))
    }

    @Test("duplicates are known of two hundred and fifty-six fragments, and of more refused")
    func mostFragments() {
        var bench = FragmentBench()
        bench.settings.minimumOffset = 0
        bench.settings.minimumSize = 0
        let fragments = datagram(8 * 300).fragmented(at: 8)
        for fragment in fragments[..<260] { #expect(bench.judge(fragment) == .decided(.pass)) }
        for fragment in fragments[..<256] { #expect(bench.judge(fragment) == .decided(.pass)) }
        #expect(bench.judge(fragments[256]) == .refused(.overlapping))
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
