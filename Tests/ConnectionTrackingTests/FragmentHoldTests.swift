// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import PacketWire
import TestSupport
import Testing

@Suite("Held fragments")
struct FragmentHoldTests {
    @Test("fragments before the first are released with its verdict, in the order in which they came")
    func released() {
        for verdict in [DatagramVerdict.pass, .dropped(DatagramRefusal(reason: 21, rule: 5))] {
            var bench = FragmentBench()
            let fragments = datagram(4_000).fragmented(at: 1_000)
            var tickets: [UInt32] = []
            for fragment in fragments.dropFirst().reversed() {
                guard case .awaitsFirst(let record) = bench.check(fragment) else { Issue.record("not held"); return }
                let ticket = bench.tracker.hold(record, at: bench.clock.now)
                tickets.append(ticket ?? 0)
            }
            #expect(bench.tracker.takeRelease() == nil)
            #expect(bench.tracker.heldCount == 3)
            #expect(bench.judge(fragments[0], first: verdict) == .decided(verdict))
            #expect(bench.tracker.heldCount == 3)
            for ticket in tickets {
                let release = bench.tracker.takeRelease()
                #expect(release?.ticket == ticket && release?.outcome == .decided(verdict))
            }
            #expect(bench.tracker.takeRelease() == nil)
            #expect(bench.tracker.heldCount == 0)
        }
    }

    @Test("every order of five fragments passes, each packet once")
    func permutations() {
        let fragments = datagram(600).fragmented(at: 128)
        #expect(fragments.count == 5)
        for order in Array(fragments.indices).permutations {
            var bench = FragmentBench()
            var passed = 0
            for index in order {
                if bench.judge(fragments[index]) == .decided(.pass) { passed += 1 }
                passed += bench.releases().filter { $0 == .decided(.pass) }.count
            }
            #expect(passed == 5, "\(order)")
            #expect(bench.tracker.heldCount == 0)
        }
    }

    @Test("a fragment is held for the hold time and then refused as incomplete")
    func holdTime() {
        var bench = FragmentBench()
        let fragments = datagram(2_000).fragmented(at: 1_480)
        #expect(bench.judge(fragments[1]) == nil)
        bench.clock.advance(by: .milliseconds(999))
        bench.tracker.expire(at: bench.clock.now)
        #expect(bench.tracker.takeRelease() == nil)
        bench.clock.advance(by: .milliseconds(1))
        bench.tracker.expire(at: bench.clock.now)
        #expect(bench.releases() == [.refused(.holdOver)])
        #expect(bench.judge(fragments[0]) == .decided(.pass), "the first one may still come")
        #expect(bench.releases() == [])
    }

    @Test("no more than 64 packets wait: the datagram that has waited longest gives way, whole")
    func bound() {
        var bench = FragmentBench()
        let whole = ipv6.udp(1, 2).payload(count: 3_000)
        func rest(_ number: UInt32) -> PacketBuilder { whole.identification(number).fragment(1_480..<2_768) }
        #expect(bench.judge(rest(0)) == nil)
        #expect(bench.judge(whole.identification(0).fragment(2_768..<3_008)) == nil)
        for number in UInt32(1)...62 { #expect(bench.judge(rest(number)) == nil) }
        #expect(bench.releases() == [])
        #expect(bench.judge(rest(63)) == nil)
        #expect(bench.releases() == [.refused(.tooManyHeld), .refused(.tooManyHeld)], "both of the oldest")
        #expect(bench.judge(whole.identification(63).fragment(0..<1_480)) == .decided(.pass))
        #expect(bench.releases() == [.decided(.pass)])
        #expect(bench.judge(rest(0)) == nil, "a place was left, and one came free")
        #expect(bench.judge(rest(64)) == nil)
        #expect(bench.releases() == [])
        #expect(bench.judge(rest(65)) == nil)
        #expect(bench.releases() == [.refused(.tooManyHeld)])
    }

    @Test("fragments whose first never comes keep no other datagram's from being held")
    func flood() {
        var bench = FragmentBench()
        let forged = PacketBuilder.ipv6(from: "fd00::9", to: "fd00::2").udp(1, 2).payload(count: 2_000)
        for number in 0..<1_000 {
            _ = bench.judge(forged.identification(UInt32(number)).fragment(1_480..<2_008))
            if number % 32 == 31 { _ = bench.releases() }
            guard number % 100 == 99 else { continue }
            let honest = datagram(2_000).identification(UInt32(number)).fragmented(at: 1_480)
            #expect(bench.judge(honest[1]) == nil)
            #expect(bench.judge(honest[0]) == .decided(.pass))
            #expect(bench.releases().last == .decided(.pass))
        }
    }

    @Test("where no release is taken, no more is held than there is room for")
    func capacity() {
        var bench = FragmentBench()
        let whole = ipv6.udp(1, 2).payload(count: 2_000)
        for number in 0..<FragmentTracker.heldCapacity {
            #expect(bench.judge(whole.identification(UInt32(number)).fragment(1_480..<2_008)) == nil)
        }
        #expect(bench.judge(whole.identification(999).fragment(1_480..<2_008)) == .refused(.tooManyHeld))
        #expect(bench.releases().count == FragmentTracker.heldCapacity - FragmentTracker.maximumWaiting)
        #expect(bench.judge(whole.identification(999).fragment(1_480..<2_008)) == nil)
    }

    @Test("what is held for a datagram whose record is given up is released as incomplete")
    func evicted() {
        var bench = FragmentBench(limit: 2)
        #expect(bench.judge(datagram(2_000).identification(1).fragment(1_480..<2_000)) == nil)
        #expect(bench.judge(datagram(2_000).identification(2).fragment(0..<1_480)) == .decided(.pass))
        #expect(bench.judge(datagram(2_000).identification(3).fragment(0..<1_480)) == .decided(.pass))
        #expect(bench.releases() == [.refused(.noRecord)])
        #expect(bench.tracker.count == 2)
    }

    @Test("a complete datagram gives way before an older incomplete one")
    func completeGivesWay() {
        var bench = FragmentBench(limit: 2)
        #expect(bench.judge(datagram(2_000).identification(1).fragment(0..<1_480)) == .decided(.pass))
        for fragment in datagram(2_000).identification(2).fragmented(at: 1_480) { _ = bench.judge(fragment) }
        #expect(bench.judge(datagram(2_000).identification(3).fragment(0..<1_480)) == .decided(.pass))
        #expect(bench.judge(datagram(2_000).identification(1).fragment(1_480..<2_000)) == .decided(.pass))
    }

    @Test("without any record every fragment is incomplete")
    func noRecords() {
        var bench = FragmentBench(limit: 0)
        #expect(bench.judge(datagram(2_000).fragment(0..<1_480)) == .refused(.noRecord))
        #expect(bench.judge(datagram(2_000).fragment(1_480..<2_000)) == .refused(.noRecord))
        #expect(bench.judge(datagram(200).fragment(0..<64)) == .refused(.firstTooSmall))
    }

    @Test("a record that is gone, or belongs to another datagram now, changes nothing")
    func staleRecord() {
        var bench = FragmentBench(limit: 1)
        guard case .first(let record) = bench.check(datagram(2_000).fragment(0..<1_480)) else {
            Issue.record("not first")
            return
        }
        #expect(bench.judge(datagram(2_000).identification(8).fragment(1_480..<2_000)) == nil)
        bench.tracker.decide(record, .pass)
        #expect(bench.tracker.takeRelease() == nil)
        let ticket = bench.tracker.hold(record, at: bench.clock.now)
        #expect(ticket == nil)
    }

    @Test("an incomplete datagram is forgotten after the fragment timeout, as the policy sets it")
    func timeout() {
        var bench = FragmentBench()
        #expect(bench.judge(datagram(2_000).fragment(0..<1_480)) == .decided(.pass))
        bench.clock.advance(by: .milliseconds(59_999))
        #expect(bench.judge(datagram(2_000).fragment(1_480..<1_488)) == .decided(.pass))
        bench.clock.advance(by: .milliseconds(1))
        #expect(bench.judge(datagram(2_000).fragment(1_488..<2_000)) == nil)
        bench.tracker.timeouts.fragment = .seconds(1)
        bench.clock.advance(by: .seconds(1))
        bench.tracker.expire(at: bench.clock.now)
        #expect(bench.tracker.count == 0)
        #expect(bench.releases() == [.refused(.holdOver)])
    }
}
