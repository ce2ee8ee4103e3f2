// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import PacketWire
import TestSupport
import Testing

@Suite("engine.limits.memory: what the tables take, exactly, and never more")
struct TableMemoryTests {
    private static let place = UInt64(ConnectionTable.bytesPerConnection)

    private func shared(places: UInt64, fixed: UInt64 = 0, workers: Int = 1) -> SharedLimits {
        let shared = SharedLimits(tables: TableLimits(), computers: ComputerLimits(), seed: (1, 1), workers: workers)
        shared.setMemory(limit: places * Self.place + fixed, fixed: fixed)
        return shared
    }

    @Test(
        "Connections find a place as long as there is memory for it; one more is refused for that, and not for its table"
    )
    func exact() {
        let shared = shared(places: 128, fixed: 1_000_000)
        var bench = TableBench(shared: shared)
        #expect(shared.memoryInUse == 1_000_000)
        for port in UInt16(0)..<128 { #expect(bench.refusal(bench.udp(port)) == nil) }
        #expect(shared.memoryInUse == shared.memoryLimit)
        #expect(bench.refusal(bench.udp(999)) == .memoryFull)
        #expect(bench.table.shortage(for: bench.udp(999), replaces: false) == .memory)
        #expect(shared.total(of: .udp) == 128)
    }

    @Test("A place is used again before another is paid for")
    func again() {
        let shared = shared(places: 64)
        var bench = TableBench(shared: shared)
        for round in UInt16(0)..<100 {
            for port in UInt16(0)..<64 { #expect(bench.refusal(bench.udp(100 * round + port)) == nil) }
            bench.advance(by: .seconds(60))
            #expect(bench.table.census.total == 0)
        }
        #expect(shared.memoryInUse == 64 * Self.place)
    }

    @Test("What can be spared gives way, of whichever protocol: openings, exchanges that came in, what is over")
    func givesWay() {
        let shared = shared(places: 64)
        var bench = TableBench(shared: shared)
        for port in UInt16(0)..<20 { bench.open(bench.connection(.udp(port), from: "192.0.2.1", .incoming)) }
        for port in UInt16(0)..<20 { bench.open(bench.connection(.ping(port), from: "192.0.2.1", .incoming)) }
        for port in UInt16(0)..<24 { bench.open(bench.syn("192.0.2.1", port: port)) }
        for port in UInt16(100)..<164 { bench.enter(.established, bench.open(bench.syn(port: port))) }
        #expect(bench.table.census[.established] == 64 && bench.table.census.total == 64)
        #expect(bench.refusal(bench.syn(port: 9_999)) == .memoryFull)
        #expect(bench.refusal(bench.connection(.udp(1), from: "192.0.2.1", .incoming)) == .memoryFull)
        #expect(shared.memoryInUse == 64 * Self.place)
    }

    @Test("Floods of every kind take no more than the bound, and what they took is given back and can be had again")
    func bounded() {
        let shared = shared(places: 20_000)
        var bench = TableBench(shared: shared, capacity: 1_000_000)
        for number in 0..<UInt32(60_000) {
            let source = IPAddress(v4: 0x0a00_0000 + number)
            bench.open(bench.connection(.tcp(80), from: source, .incoming))
            bench.open(bench.connection(.udp(53), from: source, .incoming))
            #expect(shared.memoryInUse <= shared.memoryLimit)
        }
        #expect(bench.table.census.total > 19_000)
        bench.advance(by: .minutes(10))
        for _ in 0..<200 { bench.table.compact(atMost: 256) }
        unsafe bench.table.releaseUnused { _ in }
        #expect(shared.memoryInUse < 9_000 * Self.place)
        for port in UInt16(0)..<19_000 { #expect(bench.refusal(bench.udp(port)) == nil) }
    }

    @Test("A worker that is flooded leaves the last sixteenth to those that have less than their share")
    func shares() {
        let shared = shared(places: 16 * 64, workers: 2)
        var flooded = TableBench(shared: shared)
        var honest = TableBench(shared: shared)
        for number in 0..<5_000 { flooded.open(flooded.connection(.udp(UInt16(number)), from: "192.0.2.1", .incoming)) }
        #expect(shared.memoryInUse == 15 * 64 * Self.place)
        for port in UInt16(0)..<64 { #expect(honest.refusal(honest.udp(port)) == nil) }
        #expect(shared.memoryInUse == shared.memoryLimit)
    }

    @Test("What is counted beside each connection is paid for too, and a table that ends gives all back")
    func more() {
        let shared = shared(places: 1_000)
        do {
            var bench = TableBench(shared: shared)
            for port in UInt16(0)..<64 { bench.open(bench.udp(port)) }
            #expect(shared.memoryInUse == 64 * Self.place)
            bench.table.countACKs(true)
            #expect(shared.memoryInUse > 64 * (Self.place + 32))
            bench.table.countACKs(false)
            #expect(shared.memoryInUse == 64 * Self.place)
        }
        #expect(shared.memoryInUse == 0)
    }

    @Test("A lower bound of a reload ends nothing; without a bound nothing is refused")
    func reload() {
        let shared = shared(places: 128)
        var bench = TableBench(shared: shared)
        for port in UInt16(0)..<128 { bench.open(bench.udp(port)) }
        shared.setMemory(limit: Self.place, fixed: 0)
        #expect(bench.table.census.total == 128)
        #expect(bench.refusal(bench.udp(999)) == .memoryFull)
        shared.setMemory(limit: nil, fixed: 0)
        for port in UInt16(1_000)..<2_000 { #expect(bench.refusal(bench.udp(port)) == nil) }
    }
}
