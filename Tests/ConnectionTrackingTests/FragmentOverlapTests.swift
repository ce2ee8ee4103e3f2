// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import PacketWire
import TestSupport
import Testing

@Suite("Overlapping fragments")
struct FragmentOverlapTests {
    @Test("teardrop: a fragment inside another, and everything after it")
    func teardrop() {
        var bench = FragmentBench()
        let whole = datagram(400)
        #expect(bench.judge(whole.fragment(0..<200)) == .decided(.pass))
        #expect(bench.judge(whole.fragment(96..<160, more: false)) == .refused(.overlapping))
        #expect(bench.judge(whole.fragment(200..<400)) == .refused(.overlapping))
        #expect(bench.judge(whole.fragment(0..<200)) == .refused(.overlapping))
        #expect(bench.judge(datagram(400).identification(8).fragment(0..<200)) == .decided(.pass))
    }

    @Test(
        "what overlaps 400 to 600 and what does not",
        arguments: [
            (200..<400, nil), (600..<800, nil), (400..<600, nil), (200..<408, .overlapping), (592..<800, .overlapping),
            (400..<592, .overlapping), (400..<608, .overlapping), (408..<600, .overlapping), (448..<456, .overlapping),
            (200..<800, .overlapping),
        ] as [(Range<Int>, FragmentRefusal?)])
    func against(range: Range<Int>, refusal: FragmentRefusal?) {
        var bench = FragmentBench()
        #expect(bench.refusal(datagram(1_000).fragment(400..<600)) == nil)
        #expect(bench.refusal(datagram(1_000).fragment(range)) == refusal)
    }

    @Test("the join of two fragments is a duplicate of neither")
    func joinOfTwo() {
        var bench = FragmentBench()
        let whole = datagram(1_000)
        for range in [0..<200, 200..<400, 400..<600] { #expect(bench.judge(whole.fragment(range)) == .decided(.pass)) }
        #expect(bench.judge(whole.fragment(200..<400)) == .decided(.pass))
        #expect(bench.judge(whole.fragment(200..<600)) == .refused(.overlapping))
    }

    @Test("fragments on word boundaries of the map", arguments: [504, 512, 520, 1_024, 32_768, 65_000])
    func wordBoundaries(at boundary: Int) {
        var bench = FragmentBench()
        let whole = datagram(65_500)
        #expect(bench.judge(whole.fragment(0..<104)) == .decided(.pass))
        #expect(bench.judge(whole.fragment(104..<boundary)) == .decided(.pass))
        #expect(bench.judge(whole.fragment(boundary..<boundary + 8)) == .decided(.pass))
        #expect(bench.judge(whole.fragment(104..<boundary)) == .decided(.pass))
        #expect(bench.judge(whole.fragment(boundary..<boundary + 16)) == .refused(.overlapping))
    }

    @Test("two ends, or data beyond the end, contradict each other")
    func contradictingEnds() {
        var bench = FragmentBench()
        #expect(bench.judge(datagram(2_000).fragment(0..<600)) == .decided(.pass))
        #expect(bench.judge(datagram(2_000).fragment(1_000..<1_200, more: false)) == .decided(.pass))
        #expect(bench.judge(datagram(2_000).fragment(1_200..<1_600)) == .refused(.overlapping))

        let second = datagram(2_000).identification(8)
        #expect(bench.judge(second.fragment(1_000..<1_200)) == nil)
        #expect(bench.judge(second.fragment(600..<800, more: false)) == .refused(.overlapping))
        #expect(bench.releases() == [.refused(.overlapping)])

        let third = datagram(2_000).identification(9)
        #expect(bench.judge(third.fragment(0..<600)) == .decided(.pass))
        #expect(bench.judge(third.fragment(600..<800)) == .decided(.pass))
        #expect(bench.judge(third.fragment(600..<800, more: false)) == .refused(.overlapping))
    }

    @Test("overlaps are seen whatever the verdict of the datagram")
    func overlapOfDropped() {
        var bench = FragmentBench()
        let whole = datagram(1_000)
        #expect(
            bench.judge(whole.fragment(0..<504), first: .dropped(DatagramRefusal(reason: 21, rule: 3)))
                != .decided(.pass))
        #expect(bench.judge(whole.fragment(496..<1_000)) == .refused(.overlapping))
    }

    @Test("IPv6 fragments overlap by their place in the fragmentable part")
    func overlapIPv6() {
        var bench = FragmentBench()
        let whole = ipv6.udp(1, 2).payload(count: 3_000)
        #expect(bench.judge(whole.fragment(0..<1_240)) == .decided(.pass))
        #expect(bench.judge(whole.fragment(1_232..<2_480)) == .refused(.overlapping))
        #expect(bench.judge(whole.fragment(2_480..<3_008)) == .refused(.overlapping))
    }

    @Test("what tells datagrams apart: addresses, identification, direction, and for IPv4 the protocol")
    func identity() {
        var bench = FragmentBench()
        let headers = datagram(1_000).fragment(0..<504).headers
        let overlapping = datagram(1_000).fragment(496..<1_000).headers
        #expect(isFirst(bench.check(headers)))
        for change in [
            { $0.source = "198.18.0.9" }, { $0.destination = "198.18.0.9" }, { $0.protocolNumber = 6 },
            { $0.fragment.identification = 8 },
        ] as [(inout PacketHeaders) -> Void] {
            var other = overlapping
            change(&other)
            #expect(bench.check(other) != .refused(.overlapping, silently: false))
        }
        #expect(bench.check(overlapping, .outgoing) != .refused(.overlapping, silently: false))
        #expect(bench.check(overlapping) == .refused(.overlapping, silently: false))

        var first = ipv6.udp(1, 2).payload(count: 3_000).fragment(0..<1_240).headers
        #expect(isFirst(bench.check(first)))
        first.protocolNumber = 6
        first.fragment.dataLength += 8
        #expect(bench.check(first) == .refused(.overlapping, silently: false))
    }

    @Test("a condemned datagram is forgotten after the fragment timeout, not before")
    func condemnedUntilTimeout() {
        var bench = FragmentBench()
        let whole = datagram(1_000)
        #expect(bench.judge(whole.fragment(0..<504)) == .decided(.pass))
        #expect(bench.judge(whole.fragment(496..<1_000)) == .refused(.overlapping))
        bench.clock.advance(by: .milliseconds(59_999))
        #expect(bench.judge(whole.fragment(0..<504)) == .refused(.overlapping))
        bench.clock.advance(by: .milliseconds(1))
        #expect(bench.judge(whole.fragment(0..<504)) == .decided(.pass))
    }

    @Test("an incomplete IPv4 datagram is given up when 64 newer ones of its pair began, an IPv6 one is not")
    func identifierWrap() {
        var bench = FragmentBench()
        #expect(bench.judge(datagram(1_000).fragment(0..<504)) == .decided(.pass))
        for number in 0..<63 { _ = bench.judge(datagram(1_000).identification(100 + UInt32(number)).fragment(0..<504)) }
        #expect(bench.judge(datagram(1_200).fragment(0..<600)) == .refused(.overlapping))
        _ = bench.judge(datagram(1_000).identification(99).fragment(0..<504))
        #expect(bench.judge(datagram(1_200).fragment(0..<600)) == .decided(.pass))

        let whole = ipv6.udp(1, 2).payload(count: 3_000)
        #expect(bench.judge(whole.fragment(0..<1_240)) == .decided(.pass))
        for number in 0..<100 { _ = bench.judge(whole.identification(100 + UInt32(number)).fragment(0..<1_240)) }
        #expect(bench.judge(whole.fragment(1_232..<2_480)) == .refused(.overlapping))
    }

    @Test("datagrams of other pairs and protocols do not push one out")
    func otherPairs() {
        var bench = FragmentBench()
        #expect(bench.judge(datagram(1_000).fragment(0..<504)) == .decided(.pass))
        for number in 0..<100 {
            let other = PacketBuilder.ipv4(from: "198.18.0.3", to: "198.18.0.2").identification(UInt32(number))
            _ = bench.judge(other.udp(1, 2).payload(count: 992).fragment(0..<504))
            _ = bench.judge(ipv4.upperLayer(1).identification(UInt32(number)).payload(count: 992).fragment(0..<504))
        }
        #expect(bench.judge(datagram(1_000).fragment(496..<1_000)) == .refused(.overlapping))
    }
}
