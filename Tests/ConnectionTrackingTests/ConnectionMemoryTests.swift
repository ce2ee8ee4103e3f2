// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import PacketWire
import TestSupport
import Testing

@Suite("Memory of connections")
struct ConnectionMemoryTests {
    @Test("a connection with all that the table keeps for it takes no more than 320 bytes")
    func perConnection() {
        #expect(MemoryLayout<Connection>.size <= 288)
        #expect(ConnectionTable.bytesPerConnection <= 320)
    }

    /// In a process of its own, since other tests take memory too.
    @Test(
        "a million connections fit into 400 MiB, and a table for a million takes nothing before they come",
        .enabled(if: ResidentMemory.isProgramsOwn, "a sanitizer's memory would be measured too"))
    func million() async {
        await #expect(processExitsWith: .success) {
            let before = ResidentMemory.bytes
            var bench = TableBench(tables: TableLimits(tcp: 1_000_000, udp: 1_000_000), capacity: 2_010_000)
            let empty = ResidentMemory.bytes - before
            #expect(empty < 64 << 20, "\(empty) bytes before the first connection")
            ConnectionMemoryTests.fill(&bench)
            #expect(bench.table.census.total == 1_000_000)
            let used = ResidentMemory.bytes - before
            #expect(used <= 400 << 20, "\(used) bytes")
            print("1,000,000 connections: \(used >> 20) MiB, \(ConnectionTable.bytesPerConnection) bytes each")
        }
    }

    /// A million established connections to one server.
    private static func fill(_ bench: inout TableBench) {
        var connection = bench.syn(port: 0)
        for number in 0..<1_000_000 {
            connection = Connection(
                key: ConnectionKey(
                    lowAddress: connection.key.lowAddress, highAddress: IPAddress(v4: UInt32(number / 50_000) << 8),
                    lowPortOrIdentifier: 80, highPortOrIdentifier: UInt16(number % 50_000), protocolNumber: 6,
                    version: 4, queryType: 0),
                opener: .high, openingDirection: .incoming, at: bench.clock.now)
            connection.tcp.phase = .established
            bench.open(connection)
        }
    }
}
