// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import Glibc
import PacketWire
import TestSupport
import Testing

@Suite("Memory of connections")
struct ConnectionMemoryTests {
    @Test("a connection with all that the table keeps for it takes no more than 320 bytes")
    func perConnection() {
        #expect(MemoryLayout<Connection>.size <= 280)
        #expect(ConnectionTable.bytesPerConnection <= 320)
    }

    @Test("a million connections fit into 400 MiB, and a table for a million takes nothing before they come")
    func million() {
        let before = residentBytes()
        var bench = TableBench(tables: TableLimits(tcp: 1_000_000, udp: 1_000_000), capacity: 2_010_000)
        let empty = residentBytes() - before
        #expect(empty < 64 << 20, "\(empty) bytes before the first connection")
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
        #expect(bench.table.census.total == 1_000_000)
        let used = residentBytes() - before
        #expect(used <= 400 << 20, "\(used) bytes")
        print("1,000,000 connections: \(used >> 20) MiB, \(ConnectionTable.bytesPerConnection) bytes each")
    }

    /// The second number of /proc/self/statm, in bytes.
    private func residentBytes() -> Int {
        guard let file = unsafe fopen("/proc/self/statm", "r") else { return 0 }
        defer { unsafe fclose(file) }
        var line = [CChar](repeating: 0, count: 200)
        guard unsafe fgets(&line, 200, file) != nil else { return 0 }
        let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let fields = text.split(separator: " ")
        return (fields.count > 1 ? Int(fields[1]) ?? 0 : 0) * Int(getpagesize())
    }
}
