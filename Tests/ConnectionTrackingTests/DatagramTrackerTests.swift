// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import PacketWire
import TestSupport
import Testing

@Suite("UDP and ICMP pseudo-state")
struct DatagramTrackerTests {
    @Test("only a datagram of the other side is an answer, and every datagram renews the pair")
    func udp() {
        let bench = TableBench()
        var pair = bench.udp(1)
        var clock = bench.clock
        clock.advance(by: .seconds(5))
        UDPTracker.step(&pair, sender: pair.opener, at: clock.now)
        #expect(pair.stage == .udp && pair.lastSeen == clock.now)
        clock.advance(by: .seconds(5))
        UDPTracker.step(&pair, sender: pair.opener.opposite, at: clock.now)
        #expect(pair.stage == .udpAnswered && pair.lastSeen == clock.now)
        clock.advance(by: .seconds(5))
        UDPTracker.step(&pair, sender: pair.opener, at: clock.now)
        #expect(pair.stage == .udpStream && pair.lastSeen == clock.now)
    }

    @Test("a question and its answers are no stream: both questions of a resolver, and both answers")
    func questions() {
        let bench = TableBench()
        var pair = bench.udp(1)
        var clock = bench.clock
        for side in [pair.opener, pair.opener.opposite, pair.opener.opposite] {
            clock.advance(by: .milliseconds(20))
            UDPTracker.step(&pair, sender: side, at: clock.now)
        }
        #expect(pair.stage == .udpAnswered)
        // One who goes on sending is no resolver.
        clock.advance(by: .seconds(3))
        UDPTracker.step(&pair, sender: pair.opener.opposite, at: clock.now)
        #expect(pair.stage == .udpStream)
    }

    @Test("replies belong while a request of the other side is outstanding, several to one request too")
    func replies() {
        let bench = TableBench()
        var exchange = bench.ping(1)
        let now = bench.clock.now
        let (asker, host) = (exchange.opener, exchange.opener.opposite)
        #expect(ICMPTracker.step(&exchange, isReply: true, sender: host, at: now) == .unsolicitedReply)
        ICMPTracker.admit(&exchange, requestOf: asker, at: now)
        for _ in 0..<3 { #expect(ICMPTracker.step(&exchange, isReply: true, sender: host, at: now) == .belongs) }
        #expect(ICMPTracker.step(&exchange, isReply: false, sender: asker, at: now) == .belongs)
        #expect(ICMPTracker.step(&exchange, isReply: true, sender: asker, at: now) == .unsolicitedReply)
    }

    @Test("a request of the side that was asked is an opening of its own")
    func requestsFromBothSides() {
        let bench = TableBench()
        var exchange = bench.ping(1)
        let now = bench.clock.now
        let (asker, host) = (exchange.opener, exchange.opener.opposite)
        ICMPTracker.admit(&exchange, requestOf: asker, at: now)
        #expect(ICMPTracker.step(&exchange, isReply: false, sender: host, at: now) == .opening)
        #expect(ICMPTracker.step(&exchange, isReply: true, sender: asker, at: now) == .unsolicitedReply)
        ICMPTracker.admit(&exchange, requestOf: host, at: now)
        #expect(ICMPTracker.step(&exchange, isReply: false, sender: host, at: now) == .belongs)
        #expect(ICMPTracker.step(&exchange, isReply: true, sender: asker, at: now) == .belongs)
    }

    @Test("requests renew an exchange, replies and what is refused do not")
    func renewal() {
        let bench = TableBench()
        var exchange = bench.ping(1)
        var clock = bench.clock
        let (asker, host) = (exchange.opener, exchange.opener.opposite)
        ICMPTracker.admit(&exchange, requestOf: asker, at: clock.now)
        let admitted = clock.now
        clock.advance(by: .seconds(30))
        _ = ICMPTracker.step(&exchange, isReply: true, sender: host, at: clock.now)
        _ = ICMPTracker.step(&exchange, isReply: true, sender: asker, at: clock.now)
        _ = ICMPTracker.step(&exchange, isReply: false, sender: host, at: clock.now)
        #expect(exchange.lastSeen == admitted)
        _ = ICMPTracker.step(&exchange, isReply: false, sender: asker, at: clock.now)
        #expect(exchange.lastSeen == clock.now)
    }

    @Test("which ICMP types are queries and replies, all 256 asked")
    func types() {
        for type in UInt8.min...UInt8.max {
            let query = ICMPQuery(type: type)
            switch type {
            case 8, 13, 15, 17: #expect(query?.requestType == type && query?.isReply == false)
            case 0: #expect(query?.requestType == 8 && query?.isReply == true)
            case 14, 16, 18: #expect(query?.requestType == type - 1 && query?.isReply == true)
            default: #expect(query == nil)
            }
        }
    }
}
