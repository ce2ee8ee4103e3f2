// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import PacketWire
import TestSupport
import Testing

@Suite("Expiry of connections")
struct ConnectionExpiryTests {
    private static let nanosecond = Instant.Span(nanoseconds: 1)

    @Test(
        "each phase of TCP has its timeout, to the nanosecond, found or collected",
        arguments: [
            (.synSent, .seconds(20)), (.synReceived, .seconds(60)), (.established, .hours(3)), (.finWait1, .minutes(2)),
            (.finWait2, .minutes(2)), (.closeWait, .minutes(2)), (.closing, .seconds(30)), (.lastACK, .seconds(30)),
            (.timeWait, .seconds(60)), (.closed, .seconds(10)),
        ] as [(TCPPhase, Instant.Span)])
    func phases(phase: TCPPhase, timeout: Instant.Span) {
        var bench = TableBench()
        let connection = bench.syn(port: 1)
        let index = bench.open(connection)
        bench.enter(phase, index)
        bench.advance(by: Instant.Span(nanoseconds: timeout.nanoseconds - 1))
        #expect(bench.finds(connection) == true)
        bench.advance(by: Self.nanosecond)
        #expect(bench.finds(connection) == false)
        #expect(bench.shared.total(of: .tcp) == 0)
    }

    @Test("UDP before and after its first answer, ICMP, and refused connections")
    func others() throws {
        var bench = TableBench()
        let connections = [bench.udp(1), bench.udp(2), bench.ping(3), bench.syn(port: 4)]
        let indices = connections.map { bench.open($0) }
        let answered = try #require(indices[1])
        for side in [connections[1].opener.opposite, connections[1].opener] {
            UDPTracker.step(&bench.table[answered], sender: side, at: bench.clock.now)
        }
        bench.table.recordChange(of: answered)
        let refused = try #require(indices[3])
        bench.table[refused].refusal = Refusal(reason: 21, rule: 0)
        bench.table.recordChange(of: refused)
        var ends: [Instant.Span] = []
        for connection in connections {
            var fresh = TableBench()
            let index = try fresh.opened(connection)
            if connection.key == connections[1].key { fresh.table[index].udp.isStream = true }
            if connection.key == connections[3].key { fresh.table[index].refusal = Refusal(reason: 21, rule: 0) }
            fresh.table.recordChange(of: index)
            ends.append(fresh.table.deadline(of: index) - fresh.clock.now)
        }
        #expect(ends == [.seconds(20), .minutes(3), .seconds(60), .seconds(10)])
        bench.advance(by: .seconds(10))
        #expect(connections.map { bench.table.find($0.key, at: bench.clock.now) != nil } == [true, true, true, false])
        bench.advance(by: .seconds(10))
        #expect(connections.map { bench.table.find($0.key, at: bench.clock.now) != nil } == [false, true, true, false])
        bench.advance(by: .seconds(40))
        #expect(
            connections.map { bench.table.find($0.key, at: bench.clock.now) != nil } == [false, true, false, false])
        bench.advance(by: .minutes(2))
        #expect(
            connections.map { bench.table.find($0.key, at: bench.clock.now) != nil } == [false, false, false, false])
    }

    @Test("without a look-up, the wheel collects within a third of a second after the deadline, not before")
    func collected() {
        for seconds in [Int64(1), 7, 20, 60, 599, 1_099, 1_200, 10_800, 100_000] {
            var bench = TableBench()
            bench.table.timeouts.synSent = .seconds(seconds)
            bench.open(bench.syn(port: 1))
            bench.advance(by: Instant.Span(nanoseconds: seconds * 1_000_000_000 - 1))
            #expect(bench.table.census.total == 1, "\(seconds) s")
            bench.advance(by: .milliseconds(300))
            #expect(bench.table.census.total == 0, "\(seconds) s")
        }
    }

    @Test("stepped in small and large steps, each connection goes when its time has come")
    func stepped() {
        for step in [Int64(50), 270, 1_000, 7_321, 60_000] {
            var bench = TableBench()
            var deadlines: [(Connection, Instant)] = []
            for number in 0..<200 {
                let connection = bench.syn(port: UInt16(number))
                let index = bench.open(connection)
                bench.enter(TCPPhase.allCases[number % TCPPhase.allCases.count], index)
                if let index { deadlines.append((connection, bench.table.deadline(of: index))) }
                bench.clock.advance(by: .milliseconds(137))
            }
            for _ in 0..<300 {
                bench.advance(by: .milliseconds(step))
                let living = deadlines.filter { $0.1 > bench.clock.now }.count
                let late = deadlines.filter { $0.1 + .milliseconds(540) > bench.clock.now }.count
                #expect((living...late).contains(bench.table.census.total))
            }
        }
    }

    @Test("packets keep a connection alive without touching the wheel, through several rounds of it")
    func kept() {
        var bench = TableBench()
        let connection = bench.syn(port: 1)
        let index = bench.open(connection)
        for _ in 0..<10 {
            bench.enter(.established, index)
            bench.advance(by: .milliseconds(10_799_999))
            #expect(bench.finds(connection) == true)
        }
        bench.advance(by: .milliseconds(1))
        #expect(bench.finds(connection) == false)
    }

    @Test("a shorter deadline after a change of state is met")
    func earlier() {
        var bench = TableBench()
        let index = bench.open(bench.syn(port: 1))
        bench.enter(.established, index)
        bench.advance(by: .minutes(30))
        bench.enter(.closed, index)
        bench.advance(by: .milliseconds(9_999))
        #expect(bench.table.census.total == 1)
        bench.advance(by: .milliseconds(300))
        #expect(bench.table.census.total == 0)
    }

    @Test("new timeouts hold at once for look-ups, and soon for collection")
    func newTimeouts() {
        var bench = TableBench()
        for port in UInt16(0)..<50 {
            let index = bench.open(bench.syn(port: port))
            bench.enter(.established, index)
        }
        bench.advance(by: .seconds(100))
        bench.table.timeouts.established = .seconds(101)
        #expect(bench.finds(bench.syn(port: 1)) == true)
        bench.table.expire(at: bench.clock.now, atMost: 20)
        bench.table.expire(at: bench.clock.now, atMost: 40)
        bench.clock.advance(by: .seconds(1))
        #expect(bench.finds(bench.syn(port: 1)) == false)
        bench.advance(by: .milliseconds(300))
        #expect(bench.table.census.total == 0)
        let index = bench.open(bench.syn(port: 1))
        bench.enter(.established, index)
        bench.table.timeouts.established = .hours(5)
        bench.advance(by: .hours(4))
        #expect(bench.table.census.total == 1)
    }

    @Test("collection does no more than it is allowed, and goes on where it stopped")
    func budget() {
        var bench = TableBench()
        for port in UInt16(0)..<1_000 { bench.open(bench.syn(port: port)) }
        bench.clock.advance(by: .seconds(21))
        for left in stride(from: 900, through: 0, by: -100) {
            bench.table.expire(at: bench.clock.now, atMost: 100)
            #expect(bench.table.census.total == left)
        }
        bench.table.expire(at: bench.clock.now, atMost: 0)
    }

    @Test("what a flood of six seconds left is gone a second after its time is over")
    func flood() {
        var bench = TableBench(computers: ComputerLimits(halfOpen: 1_000_000), capacity: 400_000)
        for number in 0..<300_000 {
            if number % 500 == 0 { bench.clock.advance(by: .milliseconds(10)) }
            bench.open(bench.syn(IPAddress(v4: 0x0b00_0000 + UInt32(number)), port: 1))
        }
        #expect(bench.table.census.total == 300_000)
        bench.clock.advance(by: .seconds(20))
        // As a worker does a hundred times a second.
        for _ in 0..<100 {
            bench.clock.advance(by: .milliseconds(10))
            bench.table.expire(at: bench.clock.now, atMost: 4_096)
        }
        #expect(bench.table.census.total == 0 && bench.shared.computersCounted == 0)
    }

    @Test("the places of a flood are given back when it is over, and what lives on is found all the same")
    func givenBack() {
        var bench = TableBench(capacity: 100_000)
        let living = (0..<20).map { bench.syn("198.51.100.1", port: $0) }
        for number in 0..<60_000 {
            if number % 3_000 == 1_500 { bench.enter(.established, bench.open(living[number / 3_000])) }
            bench.open(bench.syn(IPAddress(v4: 0x0b00_0000 + UInt32(number)), port: 1))
        }
        var given = 0
        unsafe bench.table.releaseUnused { given += $0.count }
        #expect(given == 0)
        bench.advance(by: .seconds(21))
        for _ in 0..<300 {
            bench.table.compact(atMost: 256)
            unsafe bench.table.releaseUnused { memory in
                unsafe memory.initializeMemory(as: UInt8.self, repeating: 0xa5)
                given += memory.count
            }
        }
        #expect(given > 50_000 * 320)
        for connection in living { #expect(bench.finds(connection) == true) }
        let found = (0..<20).filter { bench.table.first(from: $0) != nil }.count
        #expect(bench.table.census.total == 20 && found > 0)
        for port in UInt16(100)..<10_100 { bench.open(bench.syn("198.51.100.1", port: port)) }
        for connection in living { #expect(bench.finds(connection) == true) }
        #expect(bench.finds(bench.syn("198.51.100.1", port: 100)) == true)
        bench.advance(by: .hours(4))
        #expect(bench.table.census.total == 0)
    }

    @Test("limits do not count the dead, however many of them wait for collection")
    func deadAreNotCounted() {
        var bench = TableBench(computers: ComputerLimits(halfOpen: 1_000))
        for port in UInt16(0)..<1_000 { bench.open(bench.syn("203.0.113.1", port: port)) }
        #expect(bench.refusal(bench.syn("203.0.113.1", port: 1_000)) == .halfOpenPerComputer)
        bench.clock.advance(by: .seconds(21))
        #expect(bench.refusal(bench.syn("203.0.113.1", port: 1_000)) == nil)
    }

    @Test("a page of connections ends after a bounded look, and all pages together show every one")
    func pages() {
        var bench = TableBench()
        let indices = (0..<9_000).map { bench.open(bench.syn(port: UInt16($0))) }
        for (number, index) in indices.enumerated() where number % 3_000 != 2_999 {
            if let index { bench.table.remove(index) }
        }
        var (found, pages, next): ([Connection], Int, ConnectionIndex?) = ([], 0, 0)
        while let from = next {
            let before = found.count
            next = bench.table.page(from: from, atMost: 2, into: &found)
            #expect(found.count - before <= 2)
            if let next { #expect(next - from <= 2_048) }
            pages += 1
        }
        #expect(found.count == 3 && pages == 5)
    }

    @Test("a clock that jumps, far forward or back, ends only what is over and forgets nothing")
    func jumps() {
        var bench = TableBench()
        for jump in [1_000_000, -1_000_000, Int64.max / 2, -Int64.max / 2, -500, 500] as [Int64] {
            bench.clock.advance(by: Instant.Span(nanoseconds: jump))
            bench.table.expire(at: bench.clock.now, atMost: 1_000)
            let connection = bench.syn(port: 1)
            if let old = bench.table.find(connection.key, at: bench.clock.now) { bench.table.remove(old) }
            bench.open(connection)
            bench.advance(by: .seconds(19))
            #expect(bench.finds(connection) == true)
            bench.advance(by: .seconds(1))
            #expect(bench.finds(connection) == false)
        }
        for time in [Int64.min, .max, 0, .min, .max] as [Int64] {
            bench.table.expire(at: Instant(nanoseconds: time), atMost: 1_000)
            var connection = bench.syn(port: 2)
            connection.lastSeen = Instant(nanoseconds: time)
            _ = bench.table.find(connection.key, at: Instant(nanoseconds: time))
            if !bench.finds(connection) { bench.open(connection) }
        }
    }
}
