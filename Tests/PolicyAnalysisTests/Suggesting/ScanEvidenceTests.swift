// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import PolicyFile
import Testing

@testable import PolicyAnalysis

/// Each kind of scanner, and the nearest honest computer.
@Suite("Who looks like a scanner, and who does not")
struct ScanEvidenceTests {
    private let scanner = Suggesting.peer(66)

    private func isLeftOut(_ seen: Suggesting, _ source: IPAddress) throws -> Bool {
        try seen.suggestion().isLeftOut(.scan(source, isIPv6: false))
    }

    @Test("Many ports, few of them there")
    func vertical() throws {
        var seen = Suggesting()
        for port in 1...100 as ClosedRange<UInt16> {
            seen.see(
                Suggesting.incoming(.tcp(port), from: scanner), [22, 80].contains(port) ? .listening : .nobodyListens)
        }
        let suggestion = try seen.suggestion()
        let left = try #require(suggestion.leftOut.first { $0.why == .scan(scanner, isIPv6: false) })
        #expect(suggestion.rules.isEmpty)
        #expect(left.evidence?.failed == 98 && left.evidence?.present == 2 && left.evidence?.power == 19)
    }

    @Test("A monitoring host, most of whose services are there")
    func monitoring() throws {
        var seen = Suggesting()
        for port in 1...40 as ClosedRange<UInt16> {
            seen.see(Suggesting.incoming(.tcp(port), from: scanner), port % 4 == 0 ? .nobodyListens : .completed)
        }
        let suggestion = try seen.suggestion()
        #expect(try !isLeftOut(seen, scanner))
        #expect(suggestion.rules.flatMap(\.attempts).count == 30)
    }

    @Test("A monitoring host whose services have all failed, and which asks again and again")
    func persistence() throws {
        var seen = Suggesting()
        for port in 1...60 as ClosedRange<UInt16> {
            let attempt = Suggesting.incoming(.tcp(port), from: scanner)
            for minutes in [0, 6, 12] as [Int64] {
                seen.see(attempt, .nobodyListens, at: 1_790_000_000_000_000 + minutes * 60_000_000)
            }
        }
        seen.see(Suggesting.incoming(.tcp(443), from: scanner), .unknown)
        #expect(try !isLeftOut(seen, scanner))
        #expect(try seen.suggestion().rules.count == 1)
    }

    @Test("A browser with many connections to one port, and one that asks many hosts")
    func browser() throws {
        var seen = Suggesting()
        seen.see(Suggesting.incoming(.tcp(443), from: scanner), .unknown, packets: 500, openings: 500)
        for last in 1...100 as ClosedRange<UInt32> {
            seen.see(Suggesting.outgoing(.tcp(443), to: Suggesting.peer(last << 8)), last % 3 == 0 ? .silent : .used)
        }
        let suggestion = try seen.suggestion()
        #expect(!suggestion.leftOut.contains { if case .scan = $0.why { true } else { false } })
        #expect(suggestion.rules.count == 2)
    }

    @Test(
        "Behind a router: who asks many hosts for one service and is not let in may have to; who asks one for many has not"
    )
    func unknown() throws {
        let router = Suggesting.closed + "interfaces: { inside: [eth1] }\n"
        var backup = Suggesting(router)
        var sweep = Suggesting(router)
        for last in 1...100 as ClosedRange<UInt32> {
            let host = Suggesting.peer(last, network: 0x0a01_0000)
            backup.see(Suggesting.incoming(.tcp(873), from: scanner, to: host), .unknown)
            sweep.see(Suggesting.incoming(.tcp(UInt16(last)), from: scanner), .unknown)
        }
        #expect(try !isLeftOut(backup, scanner))
        #expect(try isLeftOut(sweep, scanner))
        var missing = Suggesting(router)
        for last in 1...100 as ClosedRange<UInt32> {
            missing.see(
                Suggesting.incoming(.tcp(873), from: scanner, to: Suggesting.peer(last, network: 0x0a01_0000)), .silent)
        }
        missing.see(Suggesting.incoming(.tcp(22), from: scanner), .used)
        #expect(try isLeftOut(missing, scanner))
    }

    @Test(
        "What the agent told of counts, but not against what the source has used: anybody can forge a scan in its name")
    func notices() throws {
        var told = Suggesting()
        told.see(Suggesting.incoming(.tcp(22), from: scanner), .unknown)
        told.traffic.addNotice(ofScanBy: scanner, times: 1)
        #expect(try isLeftOut(told, scanner))
        told.see(Suggesting.incoming(.tcp(80), from: scanner), .used)
        #expect(try !isLeftOut(told, scanner))
    }

    @Test("Whatever an included source did is suggested")
    func included() throws {
        var seen = Suggesting()
        for port in 1...100 as ClosedRange<UInt16> {
            seen.see(Suggesting.incoming(.tcp(port), from: scanner), .nobodyListens)
        }
        seen.options.included = [AddressRange(first: scanner, last: scanner)]
        #expect(try seen.suggestion().rules.first?.ports == [1...100])
    }
}
