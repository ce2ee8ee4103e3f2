// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import PacketWire
import TestSupport
import Testing

@Suite("Connection table against a model")
struct ConnectionTableModelTests {
    @Test("random operations leave the table as they leave a dictionary", arguments: 0..<30)
    func random(round: Int) {
        let seed = UInt64(round) &* 2_654_435_761 &+ 17
        var random = SeededRandom(seed: seed)
        var bench = TableBench(
            tables: TableLimits(tcp: 400, udp: 100, icmp: 10), computers: ComputerLimits(incoming: 150), capacity: 500)
        var model: [ConnectionKey: Connection] = [:]
        for step in 0..<3_000 {
            bench.clock.advance(by: .milliseconds(.random(in: 0...900, using: &random)))
            let connection = randomConnection(bench, &random)
            let index = bench.table.find(connection.key, at: bench.clock.now)
            if let known = model[connection.key], known.end > bench.clock.now {
                #expect(index != nil, "seed \(seed), step \(step): lost")
            } else {
                #expect(index == nil, "seed \(seed), step \(step): found what is over")
                model[connection.key] = nil
            }
            apply(connection, index, &bench, &model, &random)
            if step % 7 == 0 { bench.table.expire(at: bench.clock.now, atMost: 20) }
            // With so few connections nothing would move but for the test.
            if step % 11 == 0 { bench.table.compact(atMost: 8, keeping: 0) }
        }
        for (_, connection) in model where connection.end > bench.clock.now {
            #expect(bench.finds(connection) == true, "seed \(seed)")
        }
        bench.advance(by: .hours(4))
        #expect(bench.table.census.total == 0, "seed \(seed)")
        #expect(TrackedProtocol.allCases.allSatisfy { bench.shared.total(of: $0) == 0 }, "seed \(seed)")
        #expect(bench.shared.computersCounted == 0, "seed \(seed)")
    }

    @Test(
        "where there is too little room, what is found is alive, no limit is passed, and all is given back",
        arguments: 0..<10)
    func crowded(round: Int) {
        let seed = UInt64(round) &* 40_503 &+ 5
        var random = SeededRandom(seed: seed)
        var bench = TableBench(
            tables: TableLimits(tcp: 20, udp: 30, icmp: 3), computers: ComputerLimits(incoming: 15), capacity: 50)
        var model: [ConnectionKey: Connection] = [:]
        for step in 0..<3_000 {
            bench.clock.advance(by: .milliseconds(.random(in: 0...300, using: &random)))
            let connection = randomConnection(bench, &random)
            let index = bench.table.find(connection.key, at: bench.clock.now)
            if index != nil {
                let known = model[connection.key]
                #expect(
                    known.map { $0.end > bench.clock.now } == true, "seed \(seed), step \(step): found what is over")
            } else {
                model[connection.key] = nil
            }
            apply(connection, index, &bench, &model, &random)
            if step % 11 == 0 { bench.table.compact(atMost: 8, keeping: 0) }
            #expect(bench.table.census.total <= 50 && bench.shared.total(of: .udp) <= 30, "seed \(seed), step \(step)")
        }
        bench.advance(by: .hours(4))
        #expect(bench.table.census.total == 0, "seed \(seed)")
        #expect(TrackedProtocol.allCases.allSatisfy { bench.shared.total(of: $0) == 0 }, "seed \(seed)")
        #expect(bench.shared.computersCounted == 0, "seed \(seed)")
    }

    private func randomConnection(_ bench: borrowing TableBench, _ random: inout SeededRandom) -> Connection {
        let port = UInt16.random(in: 0..<300, using: &random)
        switch Int.random(in: 0..<10, using: &random) {
        case 0: return bench.ping(port % 8)
        case 1...3: return bench.udp(port % 80)
        default: return bench.syn(IPAddress(v4: .random(in: 1...3, using: &random)), port: port % 60)
        }
    }

    /// One operation that makes sense for the connection.
    private func apply(
        _ connection: Connection, _ index: ConnectionIndex?, _ bench: inout TableBench,
        _ model: inout [ConnectionKey: Connection], _ random: inout SeededRandom
    ) {
        guard let index else {
            if bench.open(connection) != nil { model[connection.key] = connection }
            return
        }
        switch Int.random(in: 0..<8, using: &random) {
        case 0:
            bench.table.remove(index)
            model[connection.key] = nil
            return
        case 1: bench.table[index].refusal = Refusal(reason: 21, rule: 0)
        case 2:
            let sender = Bool.random(using: &random) ? connection.opener : connection.opener.opposite
            UDPTracker.step(&bench.table[index], sender: sender, at: bench.clock.now)
        case 3: bench.table[index].opener = connection.opener.opposite
        default: bench.table[index].tcp.phase = TCPPhase.allCases.randomElement(using: &random) ?? .closed
        }
        bench.table[index].lastSeen = bench.clock.now
        bench.table.recordChange(of: index)
        model[connection.key] = bench.table[index]
    }
}

extension Connection {
    fileprivate var end: Instant { lastSeen + Timeouts().span(of: stage) }
}
