// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import Foundation
import PacketWire

/// Writes a file of each form, and single records, into the folder that the first argument names.
@main
enum Seeds {
    static func main() throws {
        let folder = URL(fileURLWithPath: CommandLine.arguments[1])
        let now = Instant(nanoseconds: 999_000_000_000)
        for form in ConnectionRecord.Form.allCases {
            let header = StateHeader(form: form, workers: 2, boot: (1, 2), writtenAt: now)
            var encoder = StateEncoder(header)
            var record: [UInt8] = []
            for (number, connection) in connections(now).enumerated() {
                encoder.append(connection, worker: UInt16(number % 2))
                ConnectionRecord.append(connection, worker: 0, form, to: &record)
            }
            try Data(encoder.finish()).write(to: folder.appendingPathComponent("file-\(form)"))
            try Data(record).write(to: folder.appendingPathComponent("records-\(form)"))
        }
    }

    private static func connections(_ now: Instant) -> [Connection] {
        let kinds: [(UInt8, UInt16, UInt8)] = [
            (IPProtocol.tcp, 22, 0), (IPProtocol.udp, 53, 0), (IPProtocol.icmp, 77, 8),
        ]
        return kinds.map { number, port, query in
            let key = ConnectionKey(
                lowAddress: IPAddress(v4: 0xc633_6401), highAddress: IPAddress(v4: 0xcb00_7101),
                lowPortOrIdentifier: port, highPortOrIdentifier: query == 0 ? 40_000 : port, protocolNumber: number,
                version: 4, queryType: query)
            var c = Connection(key: key, opener: .high, openingDirection: .incoming, at: now, openingInterface: 2)
            if number == IPProtocol.tcp {
                var syn = TCPFields()
                syn.flags = .syn
                syn.sequence = 1_000
                c.tcp = TCPTracker.open(syn, from: .high, at: now)
            }
            return c
        }
    }
}
