// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import Glibc
import PacketWire
import Synchronization
import TestSupport
import Testing

@Suite("Limits per computer")
struct ComputerLimitTests {
    @Test("the SYN over the limit of incoming connections is refused; other computers and directions are not")
    func incoming() {
        var bench = TableBench(computers: ComputerLimits(incoming: 2))
        bench.enter(.established, bench.open(bench.syn(port: 1)))
        bench.open(bench.syn(port: 2))
        #expect(bench.refusal(bench.syn(port: 3)) == .incomingPerComputer)
        #expect(bench.refusal(bench.syn("203.0.113.2", port: 3)) == nil)
        #expect(bench.refusal(bench.syn(to: "203.0.113.1", port: 3)) == nil)
        #expect(bench.refusal(bench.udp(3)) == nil)
        #expect(bench.table.census.total == 5)
    }

    @Test("the SYN over the limit of outgoing connections to one computer")
    func outgoing() {
        var bench = TableBench(computers: ComputerLimits(outgoing: 1))
        bench.open(bench.syn(to: "203.0.113.1", port: 1))
        #expect(bench.refusal(bench.syn(to: "203.0.113.1", port: 2)) == .outgoingPerComputer)
        #expect(bench.refusal(bench.syn(to: "203.0.113.2", port: 2)) == nil)
        #expect(bench.refusal(bench.syn("203.0.113.1", port: 2)) == nil)
    }

    @Test("the SYN over the limit of half-open connections; a finished handshake makes room")
    func halfOpen() {
        var bench = TableBench(computers: ComputerLimits(halfOpen: 2))
        let first = bench.open(bench.syn(port: 1))
        let second = bench.open(bench.syn(port: 2))
        bench.enter(.synReceived, second)
        #expect(bench.refusal(bench.syn(port: 3)) == .halfOpenPerComputer)
        #expect(bench.refusal(bench.syn(to: "203.0.113.1", port: 3)) == nil, "what this host opens does not count")
        bench.enter(.established, first)
        #expect(bench.refusal(bench.syn(port: 3)) == nil)
        #expect(bench.refusal(bench.syn(port: 4)) == .halfOpenPerComputer)
    }

    @Test("the reason with the lower number wins; 0 refuses all")
    func order() {
        var bench = TableBench(computers: ComputerLimits(incoming: 1, halfOpen: 1))
        bench.open(bench.syn(port: 1))
        #expect(bench.refusal(bench.syn(port: 2)) == .incomingPerComputer)
        bench.shared.update(tables: TableLimits(), computers: ComputerLimits(halfOpen: 0))
        #expect(bench.refusal(bench.syn("203.0.113.9", port: 2)) == .halfOpenPerComputer)
    }

    @Test(
        "a connection stops counting when both sides have closed it, when it is reset, refused, expired or removed",
        arguments: ["time-wait", "closed", "refused", "expired", "removed", "reclaimed"])
    func released(way: String) throws {
        var bench = TableBench(tables: TableLimits(tcp: 3), computers: ComputerLimits(incoming: 1, halfOpen: 1))
        let index = try bench.opened(bench.syn(port: 1))
        #expect(bench.refusal(bench.syn(port: 2)) == .incomingPerComputer)
        switch way {
        case "time-wait": bench.enter(.timeWait, index)
        case "closed": bench.enter(.closed, index)
        case "refused":
            bench.table[index].refusal = Refusal(reason: 21, rule: 0)
            bench.table.recordChange(of: index)
        case "expired": bench.clock.advance(by: .seconds(20))
        case "removed": bench.table.remove(index)
        default: for port in UInt16(10)..<13 { bench.open(bench.syn("203.0.113.7", port: port)) }
        }
        if way == "reclaimed" {
            for port in UInt16(20)..<23 { bench.open(bench.syn(IPAddress(v4: UInt32(port)), port: port)) }
        }
        #expect(bench.refusal(bench.syn(port: 2)) == nil)
    }

    @Test(
        "every phase before TIME-WAIT counts",
        arguments: TCPPhase.allCases)
    func phases(phase: TCPPhase) {
        var bench = TableBench(computers: ComputerLimits(incoming: 1))
        bench.enter(phase, bench.open(bench.syn(port: 1)))
        let counts = phase != .timeWait && phase != .closed
        #expect(bench.refusal(bench.syn(port: 2)) == (counts ? .incomingPerComputer : nil))
    }

    @Test("counts are exact over two tables")
    func twoTables() {
        let shared = SharedLimits(tables: TableLimits(), computers: ComputerLimits(incoming: 3), seed: (1, 1))
        var first = TableBench(shared: shared)
        var second = TableBench(shared: shared)
        let index = first.open(first.syn(port: 1))
        second.open(second.syn(port: 2))
        first.open(first.syn(port: 3))
        #expect(second.refusal(second.syn(port: 4)) == .incomingPerComputer)
        first.enter(.closed, index)
        #expect(second.refusal(second.syn(port: 4)) == nil)
        #expect(first.refusal(first.syn(port: 5)) == .incomingPerComputer)
    }

    @Test("counts are exact over tables that open at the same time", arguments: Direction.allCases, [2, 4])
    func simultaneous(direction: Direction, workers: Int) {
        let limit: UInt32 = 100
        let limits = ComputerLimits(incoming: limit, outgoing: limit)
        let shared = SharedLimits(tables: TableLimits(tcp: 10_000), computers: limits, seed: (1, 1))
        for round in UInt16(1)...3 {
            let arrived = Atomic(0)
            let admitted = Atomic(0)
            @Sendable func work(_ worker: UInt16) {
                var bench = TableBench(shared: shared, capacity: 2_000)
                let connections = (0..<200).map { number in
                    bench.connection(.tcp(worker << 8 | UInt16(number)), from: "203.0.113.1", direction)
                }
                arrived.add(1, ordering: .sequentiallyConsistent)
                while arrived.load(ordering: .sequentiallyConsistent) < workers { sched_yield() }
                let opened = connections.compactMap { bench.open($0) }
                admitted.add(opened.count, ordering: .sequentiallyConsistent)
                // Nobody gives a place back before all have asked.
                arrived.add(1, ordering: .sequentiallyConsistent)
                while arrived.load(ordering: .sequentiallyConsistent) < 2 * workers { sched_yield() }
                for index in opened { bench.table.remove(index) }
            }
            let threads = (0..<workers).map { number in TestThread { work(UInt16(number)) } }
            for thread in threads { thread.join() }
            #expect(admitted.load(ordering: .relaxed) == Int(limit), "round \(round)")
            #expect(shared.computersCounted == 0 && shared.total(of: .tcp) == 0)
        }
    }

    @Test("a refused SYN, by a computer's limit or by the table's, leaves no count")
    func refusedLeavesNothing() {
        var bench = TableBench(tables: TableLimits(tcp: 1), computers: ComputerLimits(incoming: 1))
        bench.enter(.established, bench.open(bench.syn(port: 1)))
        for port in UInt16(2)..<10 {
            #expect(bench.refusal(bench.syn(port: port)) == .incomingPerComputer)
            #expect(bench.refusal(bench.syn("203.0.113.2", port: port)) == .tableFull(.tcp))
        }
        #expect(bench.shared.computersCounted == 1)
    }

    @Test("a connection that the policy refuses is not counted; one taken over in mid-stream is, but never refused")
    func specialOnes() {
        var bench = TableBench(computers: ComputerLimits(incoming: 1, halfOpen: 1))
        var refused = bench.syn(port: 1)
        refused.refusal = Refusal(reason: 21, rule: 0)
        #expect(bench.refusal(refused) == nil)
        for port in UInt16(2)..<5 {
            var adopted = bench.syn(port: port)
            adopted.tcp.phase = .established
            #expect(bench.refusal(adopted) == nil)
        }
        #expect(bench.refusal(bench.syn(port: 6)) == .incomingPerComputer)
    }

    @Test("a new opening on a connection that is over is put to the limits")
    func reopened() throws {
        var bench = TableBench(computers: ComputerLimits(incoming: 1, outgoing: 1))
        let connection = bench.syn(port: 1)
        let index = try bench.opened(connection)
        bench.enter(.timeWait, index)
        bench.open(bench.syn(port: 2))
        #expect(throws: OpeningRefusal.incomingPerComputer) {
            var bench = TableBench(computers: ComputerLimits(incoming: 0))
            bench.table.timeouts = Timeouts()
            let index = try bench.table.insert(adopted(bench.syn(port: 1)), at: bench.clock.now)
            bench.enter(.timeWait, index)
            try bench.table.reopen(index, opener: connection.opener, direction: .incoming, at: bench.clock.now)
        }
        // From the other side it is an outgoing one.
        try bench.table.reopen(index, opener: connection.opener.opposite, direction: .outgoing, at: bench.clock.now)
        bench.table[index].opener = connection.opener.opposite
        bench.table[index].openingDirection = .outgoing
        bench.enter(.synSent, index)
        #expect(bench.refusal(bench.syn(to: "203.0.113.1", port: 9)) == .outgoingPerComputer)
        bench.enter(.closed, index)
        #expect(bench.refusal(bench.syn(to: "203.0.113.1", port: 9)) == nil)
    }

    private func adopted(_ connection: Connection) -> Connection {
        var connection = connection
        connection.tcp.phase = .established
        return connection
    }

    @Test("an opening that the tracker did not take in gives its place back")
    func reopeningTakenBack() throws {
        var bench = TableBench(computers: ComputerLimits(incoming: 1))
        let index = try bench.opened(bench.syn(port: 1))
        bench.enter(.timeWait, index)
        bench.advance(by: .zero)
        let opener = bench.table[index].opener
        try bench.table.reopen(index, opener: opener, direction: .incoming, at: bench.clock.now)
        #expect(bench.refusal(bench.syn(port: 2)) == .incomingPerComputer)
        bench.table.recordChange(of: index)
        #expect(bench.refusal(bench.syn(port: 2)) == nil)
    }

    @Test("when an established connection is opened anew from its other side, it counts for that direction")
    func openerChanges() throws {
        var bench = TableBench(computers: ComputerLimits(incoming: 1, outgoing: 1))
        let index = try bench.opened(bench.syn(port: 1))
        bench.enter(.established, index)
        bench.table[index].opener = bench.table[index].opener.opposite
        bench.table[index].openingDirection = .outgoing
        bench.table.recordChange(of: index)
        #expect(bench.refusal(bench.syn(to: "203.0.113.1", port: 3)) == .outgoingPerComputer)
        #expect(bench.refusal(bench.syn(port: 3)) == nil)
        #expect(bench.shared.computersCounted == 1)
    }

    @Test("a first limit set by a reload counts the connections that are there, a lifted one forgets them")
    func reload() {
        var bench = TableBench()
        for port in UInt16(0)..<100 { bench.enter(.established, bench.open(bench.syn(port: port))) }
        #expect(bench.shared.computersCounted == 0)
        for _ in 0..<3 {
            bench.shared.update(tables: TableLimits(), computers: ComputerLimits(incoming: 101))
            bench.table.expire(at: bench.clock.now, atMost: 60)
            bench.table.expire(at: bench.clock.now, atMost: 60)
            let index = bench.open(bench.syn(port: 200))
            #expect(index != nil)
            #expect(bench.refusal(bench.syn(port: 201)) == .incomingPerComputer)
            if let index { bench.table.remove(index) }
            bench.shared.update(tables: TableLimits(), computers: ComputerLimits())
            #expect(bench.shared.computersCounted == 0)
            #expect(bench.refusal(bench.syn(port: 200)) == nil)
            #expect(bench.refusal(bench.syn(port: 201)) == nil)
            for port in [UInt16(200), 201] {
                if let index = bench.table.find(bench.syn(port: port).key, at: bench.clock.now) {
                    bench.table.remove(index)
                }
            }
        }
    }

    @Test("a changed limit keeps what is counted")
    func changedLimit() {
        var bench = TableBench(computers: ComputerLimits(incoming: 2))
        for port in UInt16(0)..<2 { bench.open(bench.syn(port: port)) }
        bench.shared.update(tables: TableLimits(tcp: 5_000), computers: ComputerLimits(incoming: 3))
        #expect(bench.refusal(bench.syn(port: 5)) == nil)
        #expect(bench.refusal(bench.syn(port: 6)) == .incomingPerComputer)
    }

    @Test("a flood of SYNs from spoofed sources does not grow the counts past the table")
    func flood() {
        var bench = TableBench(tables: TableLimits(tcp: 1_000), computers: ComputerLimits(halfOpen: 5), capacity: 2_000)
        for source in UInt16(0)..<20_000 { bench.open(bench.syn(IPAddress(v4: UInt32(source) + 1), port: 1)) }
        #expect(bench.shared.computersCounted <= 1_000)
        #expect(bench.shared.total(of: .tcp) <= 1_000)
        bench.advance(by: .seconds(21))
        #expect(bench.shared.computersCounted == 0)
    }

    @Test("an IPv6 computer with the bits of an IPv4 one is another computer")
    func families() {
        var bench = TableBench(computers: ComputerLimits(incoming: 1))
        let packet = PacketBuilder.ipv6(from: "::ffff:203.0.113.1", to: "fd00::2").tcp(1, 80, [.syn])
        guard let keyed = ConnectionKey.make(packet.headers) else { Issue.record("no key"); return }
        bench.open(bench.syn(port: 1))
        let six = Connection(key: keyed.key, opener: keyed.sender, openingDirection: .incoming, at: bench.clock.now)
        #expect(bench.refusal(six) == nil)
        #expect(bench.refusal(bench.syn(port: 2)) == .incomingPerComputer)
    }
}
