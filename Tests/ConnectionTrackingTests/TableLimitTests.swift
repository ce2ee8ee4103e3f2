// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import PacketWire
import TestSupport
import Testing

@Suite("Table limits and reclaim")
struct TableLimitTests {
    @Test("each protocol has a limit of its own; what ends makes room")
    func limits() throws {
        var bench = TableBench(tables: TableLimits(tcp: 2, udp: 2, icmp: 2))
        let first = bench.open(bench.syn(port: 1))
        bench.enter(.established, first)
        bench.enter(.established, bench.open(bench.syn(port: 2)))
        #expect(bench.refusal(bench.syn(port: 3)) == .tableFull(.tcp))
        bench.open(bench.udp(1))
        let udp = try bench.opened(bench.udp(2))
        #expect(bench.refusal(bench.udp(3)) == .tableFull(.udp))
        bench.open(bench.ping(1))
        bench.open(bench.ping(2))
        #expect(bench.refusal(bench.ping(3)) == .tableFull(.icmp))
        bench.table.remove(udp)
        #expect(bench.refusal(bench.udp(3)) == nil)
        bench.table.remove(try #require(first))
        #expect(bench.refusal(bench.syn(port: 3)) == nil)
        bench.clock.advance(by: .seconds(60))
        #expect(bench.refusal(bench.ping(3)) == nil, "expired, though not collected")
    }

    @Test("limits are totals over all tables")
    func totals() {
        let shared = SharedLimits(tables: TableLimits(udp: 3), computers: ComputerLimits(), seed: (1, 1))
        var first = TableBench(shared: shared)
        var second = TableBench(shared: shared)
        first.open(first.udp(1))
        first.open(first.udp(2))
        second.open(second.udp(3))
        #expect(first.refusal(first.udp(4)) == .tableFull(.udp))
        #expect(second.refusal(second.udp(4)) == .tableFull(.udp))
        first.advance(by: .seconds(21))
        #expect(second.refusal(second.udp(4)) == nil)
        #expect(shared.total(of: .udp) == 2)
    }

    @Test("what is half-open gives way, oldest first, when TCP is full; what is established stays")
    func reclaimHalfOpen() {
        var bench = TableBench(tables: TableLimits(tcp: 10))
        let connections = (0..<10).map { bench.syn(port: $0) }
        let indices = connections.map { bench.open($0) }
        for index in indices[..<4] { bench.enter(.established, index) }
        bench.enter(.synReceived, indices[4])
        for port in UInt16(10)..<14 { #expect(bench.refusal(bench.syn(port: port)) == nil) }
        #expect(
            connections.map { bench.table.find($0.key, at: bench.clock.now) != nil }
                == [true, true, true, true, true, false, false, false, false, true])
        #expect(bench.shared.total(of: .tcp) == 10)
    }

    @Test("what is over gives way before what is half-open")
    func reclaimOver() {
        var bench = TableBench(tables: TableLimits(tcp: 4))
        let connections = (0..<4).map { bench.syn(port: $0) }
        let indices = connections.map { bench.open($0) }
        bench.enter(.established, indices[1])
        bench.enter(.timeWait, indices[3])
        bench.enter(.closed, indices[2])
        func living(_ bench: inout TableBench) -> [Bool] {
            connections.map { bench.table.find($0.key, at: bench.clock.now) != nil }
        }
        bench.open(bench.syn(port: 10))
        #expect(living(&bench) == [true, true, true, false])
        bench.open(bench.syn(port: 11))
        #expect(living(&bench) == [true, true, false, false])
        bench.open(bench.syn(port: 12))
        #expect(living(&bench) == [false, true, false, false])
    }

    @Test("nothing reclaimable: full, and nothing is lost by the attempt")
    func nothingReclaimable() {
        var bench = TableBench(tables: TableLimits(tcp: 100))
        for port in UInt16(0)..<100 { bench.enter(.established, bench.open(bench.syn(port: port))) }
        #expect(bench.refusal(bench.syn(port: 100)) == .tableFull(.tcp))
        #expect(bench.table.census[.established] == 100)
        #expect(bench.shared.total(of: .tcp) == 100)
        #expect(bench.refusal(bench.udp(1)) == nil)
    }

    @Test("from 95 % on a flood of SYNs only replaces half-open entries, so established ones find room")
    func nearlyFull() {
        var bench = TableBench(tables: TableLimits(tcp: 1_000))
        for port in UInt16(0)..<500 { bench.enter(.established, bench.open(bench.syn(port: port))) }
        for port in UInt16(1_000)..<9_000 { #expect(bench.refusal(bench.syn("192.0.2.1", port: port)) == nil) }
        #expect(bench.table.census[.established] == 500)
        #expect(bench.shared.total(of: .tcp) == 950)
        for port in UInt16(9_000)..<9_040 { bench.enter(.established, bench.open(bench.syn(port: port))) }
        #expect(bench.table.census[.established] == 540)
    }

    @Test("a table does not reclaim for another's fullness what it does not have")
    func otherTable() {
        let shared = SharedLimits(tables: TableLimits(tcp: 4), computers: ComputerLimits(), seed: (1, 1))
        var first = TableBench(shared: shared)
        var second = TableBench(shared: shared)
        for port in UInt16(0)..<4 { first.open(first.syn(port: port)) }
        #expect(second.refusal(second.syn(port: 9)) == .tableFull(.tcp))
        #expect(first.refusal(first.syn(port: 9)) == nil)
    }

    @Test("a worker that is flooded leaves room in the tables of the others, and gives way to them")
    func shares() {
        let limits = TableLimits(tcp: 1_600, udp: 1_600)
        let shared = SharedLimits(tables: limits, computers: ComputerLimits(), seed: (1, 1), workers: 2)
        var flooded = TableBench(shared: shared)
        var honest = TableBench(shared: shared)
        let waiting = (0..<50).map { honest.syn("198.51.100.1", port: $0) }
        for connection in waiting { honest.open(connection) }
        for number in 0..<10_000 {
            #expect(flooded.refusal(flooded.syn("192.0.2.1", port: UInt16(number))) == nil)
            #expect(flooded.refusal(flooded.connection(.udp(UInt16(number)), from: "192.0.2.1", .incoming)) == nil)
        }
        #expect(shared.total(of: .tcp) == 1_500 && shared.total(of: .udp) == 1_500)
        for connection in waiting { #expect(honest.finds(connection) == true) }
        // Up to its share the other one finds room; what it takes the flooded one gives up between batches.
        for round in UInt16(1)...4 {
            for port in UInt16(0)..<100 {
                #expect(honest.refusal(honest.syn("198.51.100.1", port: 1_000 * round + port)) == nil)
                #expect(
                    honest.refusal(honest.connection(.udp(1_000 * round + port), from: "203.0.113.1", .outgoing)) == nil
                )
            }
            flooded.table.expire(at: flooded.clock.now, atMost: 4_096)
        }
        #expect(honest.table.census.total == 850)
        for connection in waiting { #expect(honest.finds(connection) == true) }
        #expect(shared.total(of: .tcp) == 1_500 && shared.total(of: .udp) == 1_500)
    }

    @Test("what is refused, and what was answered, gives way to what is new")
    func reclaimRefused() {
        var bench = TableBench(tables: TableLimits(tcp: 10, udp: 10, icmp: 10))
        for kind in [TableBench.Kind.udp, TableBench.Kind.ping, TableBench.Kind.tcp] {
            for number in UInt16(0)..<10 {
                var connection = bench.connection(kind(number), from: "203.0.113.1", .outgoing)
                connection.refusal.reason = 1
                bench.open(connection)
            }
            #expect(bench.refusal(bench.connection(kind(100), from: "203.0.113.1", .outgoing)) == nil)
        }
        var other = TableBench(tables: TableLimits(udp: 10))
        for number in UInt16(0)..<10 {
            let index = other.open(other.connection(.udp(number), from: "203.0.113.1", .outgoing))
            guard let index, number > 0 else { continue }
            other.table.stepUDP(index, from: other.table[index].opener.opposite, bytes: 60, at: other.clock.now)
        }
        for number in UInt16(10)..<19 {
            #expect(other.refusal(other.connection(.udp(number), from: "203.0.113.1", .outgoing)) == nil)
        }
        // What is not answered stays.
        #expect(other.refusal(other.connection(.udp(20), from: "203.0.113.1", .outgoing)) == .tableFull(.udp))
        #expect(other.finds(other.connection(.udp(0), from: "203.0.113.1", .outgoing)) == true)
    }

    @Test("a flood of incoming datagrams replaces only what came in; what this side began stays, and finds room")
    func reclaimIncomingDatagrams() {
        var bench = TableBench(tables: TableLimits(udp: 10, icmp: 10))
        for kind in [TableBench.Kind.udp, TableBench.Kind.ping] {
            let own = bench.connection(kind(1), from: "203.0.113.1", .outgoing)
            bench.open(own)
            let peer = bench.connection(kind(2), from: "203.0.113.2", .incoming)
            bench.open(peer)
            for number in UInt16(0)..<1_000 {
                #expect(bench.refusal(bench.connection(kind(number), from: "192.0.2.1", .incoming)) == nil)
            }
            #expect(bench.finds(own) && !bench.finds(peer))
            #expect(bench.refusal(bench.connection(kind(2), from: "203.0.113.1", .outgoing)) == nil)
            #expect(bench.refusal(peer) == nil)
        }
        #expect(bench.shared.total(of: .udp) == 10 && bench.shared.total(of: .icmp) == 10)
    }

    @Test("an incoming exchange gives way later once it was answered; taken out of turn, the list stays whole")
    func reclaimOrder() throws {
        var bench = TableBench(tables: TableLimits(udp: 4))
        let peers = (0..<4).map { bench.connection(.udp($0), from: "203.0.113.1", .incoming) }
        let indices = try peers.map { try bench.opened($0) }
        bench.table.stepUDP(indices[0], from: peers[0].opener.opposite, bytes: 1, at: bench.clock.now)
        bench.table.remove(indices[2])
        for port in UInt16(10)..<13 { bench.open(bench.connection(.udp(port), from: "203.0.113.1", .incoming)) }
        let living = peers.map { bench.table.find($0.key, at: bench.clock.now) != nil }
        #expect(living == [true, false, false, false])
    }

    @Test("a lowered limit is reached in steps, so that no packet waits for all that is too much")
    func reclaimInSteps() {
        var bench = TableBench(tables: TableLimits(udp: 100))
        for port in UInt16(0)..<100 { bench.open(bench.connection(.udp(port), from: "203.0.113.1", .incoming)) }
        bench.shared.update(tables: TableLimits(udp: 70), computers: ComputerLimits())
        #expect(bench.refusal(bench.udp(1)) == .tableFull(.udp))
        #expect(bench.shared.total(of: .udp) == 84)
        #expect(bench.refusal(bench.udp(1)) == nil)
        #expect(bench.shared.total(of: .udp) == 70)
    }

    @Test("a lowered limit refuses new ones and keeps the old, a raised one admits")
    func changedLimit() {
        var bench = TableBench(tables: TableLimits(udp: 10))
        for port in UInt16(0)..<10 { bench.open(bench.udp(port)) }
        bench.shared.update(tables: TableLimits(udp: 5), computers: ComputerLimits())
        #expect(bench.refusal(bench.udp(20)) == .tableFull(.udp))
        #expect(bench.table.census[.udp] == 10)
        bench.shared.update(tables: TableLimits(udp: 11), computers: ComputerLimits())
        #expect(bench.refusal(bench.udp(20)) == nil)
        #expect(bench.refusal(bench.udp(21)) == .tableFull(.udp))
    }

    @Test("a table smaller than the limits reclaims for want of room of its own")
    func smallTable() {
        var bench = TableBench(capacity: 3)
        bench.enter(.established, bench.open(bench.syn(port: 1)))
        bench.open(bench.syn(port: 2))
        bench.open(bench.udp(1))
        #expect(bench.refusal(bench.udp(2)) == .tableFull(.udp))
        #expect(bench.refusal(bench.syn(port: 3)) == nil)
        #expect(bench.finds(bench.syn(port: 2)) == false)
        #expect(bench.shared.total(of: .tcp) == 2)
        #expect(bench.shared.total(of: .udp) == 1)
    }
}
