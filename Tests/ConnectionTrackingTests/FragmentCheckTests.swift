// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import PacketWire
import TestSupport
import Testing

@Suite("Fragments by themselves")
struct FragmentCheckTests {
    @Test("fragments are refused altogether only where the policy says so, silently only where it says that")
    func refusedAltogether() {
        var bench = FragmentBench()
        let fragment = datagram(2_000).fragment(0..<1_480)
        for action in [PostureAction.allow, .log] {
            bench.settings.row = action
            #expect(isFirst(bench.check(fragment)))
        }
        bench.settings.row = .deny
        let denied = bench.check(fragment)
        #expect(denied == .refused(.fragmentedByRow, silently: false))
        bench.settings.row = .denySilent
        let silent = bench.check(fragment)
        #expect(silent == .refused(.fragmentedByRow, silently: true))
    }

    @Test("Don't Fragment contradicts More Fragments and an offset where the setting says so, and nothing else")
    func dontFragment() {
        var bench = FragmentBench()
        let whole = datagram(2_000)
        #expect(bench.refusal(whole.identification(9).dontFragment().fragment(0..<1_480)) == nil)
        #expect(bench.refusal(whole.identification(9).dontFragment().fragment(1_480..<2_000)) == nil)
        bench.settings.dontFragmentDenied = true
        #expect(bench.refusal(whole.dontFragment().fragment(0..<1_480)) == .invalidOffset)
        #expect(bench.refusal(whole.dontFragment().fragment(1_480..<2_000)) == .invalidOffset)
        #expect(bench.refusal(whole.fragment(0..<1_480)) == nil)
        #expect(bench.refusal(whole.fragment(1_480..<2_000)) == nil)
    }

    @Test("a first fragment has to be as long as the minimum, counted with its IP header")
    func firstTooSmall() {
        var bench = FragmentBench()
        #expect(bench.refusal(datagram(200).fragment(0..<96)) == .firstTooSmall)
        #expect(bench.refusal(datagram(200).fragment(0..<104)) == nil)
        bench.settings.minimumSize = 116
        #expect(bench.refusal(datagram(200).identification(8).fragment(0..<96)) == nil)
        bench.settings.minimumSize = 0
        #expect(bench.refusal(datagram(200).identification(9).fragment(0..<8)) == nil)
    }

    @Test("a last fragment may be small")
    func lastMayBeSmall() {
        var bench = FragmentBench()
        #expect(bench.refusal(datagram(1_481).fragment(1_480..<1_481)) == nil)
        #expect(bench.refusal(ipv6.udp(1, 2).payload(count: 1_300).fragment(1_304..<1_308)) == nil)
    }

    @Test(
        "a datagram ends at 65,535 bytes with its header",
        arguments: [(65_511, true), (65_512, true), (65_515, true), (65_516, false), (65_518, false), (65_600, false)])
    func outOfBounds(end: Int, isLegal: Bool) {
        var bench = FragmentBench()
        let last = ipv4.upperLayer(17).payload(count: end - 65_504).fragmentFields(offset: 65_504, more: false)
        #expect(bench.refusal(last) == (isLegal ? nil : .outOfBounds))
    }

    @Test("options of an IPv4 header and extension headers before the fragment header count")
    func headersCount() {
        var bench = FragmentBench()
        let options = ipv4.ipOptions([1, 1, 1, 1]).upperLayer(17)
        #expect(bench.refusal(options.payload(count: 8).fragmentFields(offset: 65_504, more: false)) == .outOfBounds)
        #expect(bench.refusal(options.payload(count: 7).fragmentFields(offset: 65_504, more: false)) == nil)
        let plain = ipv6.upperLayer(17)
        #expect(bench.refusal(plain.payload(count: 8).fragmentFields(offset: 65_528, more: false)) == .outOfBounds)
        #expect(bench.refusal(plain.payload(count: 7).fragmentFields(offset: 65_528, more: false)) == nil)
        let hop = ipv6.identification(8).hopByHop().upperLayer(17)
        #expect(bench.refusal(hop.payload(count: 7).fragmentFields(offset: 65_528, more: false)) == .outOfBounds)
        #expect(bench.refusal(hop.payload(count: 15).fragmentFields(offset: 65_512, more: false)) == nil)
    }

    @Test("the original ping of death is out of bounds")
    func pingOfDeath() {
        var bench = FragmentBench()
        let echo = ipv4.upperLayer(IPProtocol.icmp).payload(count: 65_518)
        let refusals = echo.fragmented(at: 1_480).map { bench.judge($0) }
        #expect(refusals.dropLast().allSatisfy { $0 == .decided(.pass) })
        #expect(refusals.last == .refused(.outOfBounds))
    }

    @Test("a later fragment has to be as far in as the minimum")
    func offsetTooSmall() {
        var bench = FragmentBench()
        #expect(bench.refusal(datagram(200).fragment(8..<16)) == .offsetTooSmall)
        #expect(bench.refusal(datagram(200).fragment(56..<64)) == .offsetTooSmall)
        #expect(bench.refusal(datagram(200).fragment(64..<72)) == nil)
        bench.settings.minimumOffset = 0
        #expect(bench.refusal(datagram(200).identification(8).fragment(8..<16)) == nil)
    }

    @Test("an IPv6 fragment with more to come has 1,280 bytes, unless the policy says otherwise")
    func ipv6TooSmall() {
        var bench = FragmentBench()
        let whole = ipv6.udp(1, 2).payload(count: 3_000)
        #expect(bench.refusal(whole.fragment(0..<1_224)) == .ipv6TooSmall)
        #expect(bench.refusal(whole.fragment(1_232..<2_456)) == .ipv6TooSmall)
        #expect(bench.refusal(whole.fragment(0..<1_232)) == nil)
        #expect(bench.refusal(datagram(2_000).fragment(0..<1_224)) == nil)
        bench.settings.smallIPv6Denied = false
        #expect(bench.refusal(whole.identification(8).fragment(0..<1_224)) == nil)
        #expect(bench.refusal(whole.identification(9).fragment(0..<64)) == .firstTooSmall)
    }

    @Test("the first reason in the order of their numbers is the one")
    func firstReasonWins() {
        var bench = FragmentBench()
        bench.settings.dontFragmentDenied = true
        let tiny = datagram(200).dontFragment().fragment(8..<16)
        #expect(bench.refusal(tiny) == .invalidOffset)
        bench.settings.row = .deny
        #expect(bench.refusal(tiny) == .fragmentedByRow)
    }

    @Test("fragments that follow a refused first one carry its reason, until an acceptable first one comes")
    func refusedFirst() {
        var bench = FragmentBench()
        let tiny = datagram(200).fragment(0..<64)
        let rest = datagram(200).fragment(64..<200)
        #expect(bench.judge(rest) == nil)
        #expect(bench.judge(tiny) == .refused(.firstTooSmall))
        #expect(bench.releases() == [.refused(.firstTooSmall)])
        #expect(bench.judge(datagram(1_000).fragment(504..<1_000)) == .refused(.overlapping))

        let other = datagram(2_000).identification(8)
        #expect(bench.judge(other.fragment(0..<64)) == .refused(.firstTooSmall))
        #expect(bench.judge(other.fragment(1_480..<2_000)) == .refused(.firstTooSmall))
        #expect(bench.judge(other.fragment(0..<1_480)) == .decided(.pass))
        #expect(bench.judge(other.fragment(1_480..<2_000)) == .decided(.pass))
    }

    @Test("a later fragment that is refused leaves no trace")
    func refusedLaterLeavesNoTrace() {
        var bench = FragmentBench()
        #expect(bench.judge(datagram(200).fragment(8..<16)) == .refused(.offsetTooSmall))
        #expect(bench.tracker.count == 0)
        #expect(bench.judge(datagram(200).fragment(0..<104)) == .decided(.pass))
        #expect(bench.judge(datagram(200).fragment(104..<200)) == .decided(.pass))
    }
}

func isFirst(_ step: FragmentStep) -> Bool {
    if case .first = step { return true }
    return false
}
