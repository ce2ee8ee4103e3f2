// SPDX-License-Identifier: GPL-3.0-or-later

import AgentRuntime
import ConnectionTracking
import PacketWire
import Testing

@Suite("What rules have decided outlives reloads and runs")
struct RuleLedgerTests {
    private static let web = RuleLedger.Identity(name: "Web server", fingerprint: 7)
    private static let mail = RuleLedger.Identity(name: "Mail", fingerprint: 8)

    private func counted(_ packets: UInt64, first: Int64, last: Int64) -> RuleLedger.Entry {
        var entry = RuleLedger.Entry(since: 5)
        (entry.packets, entry.bytes, entry.first, entry.last) = (packets, packets * 100, first, last)
        return entry
    }

    @Test("A rule that is kept is counted on from when it was, another begins; a rule of another content is another")
    func following() {
        var ledger = RuleLedger()
        #expect(ledger.follow(to: [Self.web, Self.mail], at: 10) == [-1, -1])
        let changed = RuleLedger.Identity(name: "Web server", fingerprint: 9)
        #expect(ledger.follow(to: [Self.mail, changed], at: 20) == [1, -1])
        #expect(ledger.entries.map(\.since) == [10, 20])
    }

    @Test(
        "What was written is read as it was, with names that have spaces, and goes to the rules that are still the same"
    )
    func roundTrip() throws {
        let text = RuleLedger.text(
            [Self.web, Self.mail], [counted(3, first: 11, last: 12), RuleLedger.Entry(since: 6)])
        let known = try RuleLedger.read(text)
        #expect(known == [Self.web: counted(3, first: 11, last: 12), Self.mail: RuleLedger.Entry(since: 6)])
        var ledger = RuleLedger()
        _ = ledger.follow(to: [RuleLedger.Identity(name: "Mail", fingerprint: 1), Self.web], at: 100)
        ledger.restore(known, at: 100)
        #expect(ledger.entries == [RuleLedger.Entry(since: 100), counted(3, first: 11, last: 12)])
    }

    @Test("Times that are yet to come are those of a clock that was set back: they are now")
    func future() throws {
        var ledger = RuleLedger()
        _ = ledger.follow(to: [Self.web], at: 4)
        ledger.restore([Self.web: counted(3, first: 11, last: 12)], at: 4)
        #expect(ledger.entries[0].since == 4 && ledger.entries[0].first == 4 && ledger.entries[0].last == 4)
    }

    @Test("Worker's counts are added in Unix time")
    func adding() {
        var count = RuleCount()
        count.add(bytes: 60, at: Instant(nanoseconds: 2_000_000))
        count.add(bytes: 40, at: Instant(nanoseconds: 3_000_000))
        var entry = counted(1, first: 2_500, last: 2_500)
        entry.add(count, offset: 1_000_000)
        #expect(entry.packets == 3 && entry.bytes == 200 && entry.first == 2_500 && entry.last == 4_000)
        entry.add(RuleCount(), offset: 0)
        #expect(entry.packets == 3)
    }

    @Test(
        "A damaged or foreign file is refused whole, with the line that says so",
        arguments: [
            ("", 1), ("portreeve rules 2\nend 0\n", 1), ("portreeve rules 1\n", 2), ("portreeve rules 1\nend 0", 2),
            ("portreeve rules 1\n7 5 0 0 0 0 Web\nend 2\n", 3), ("portreeve rules 1\n7 5 0 0 0 0 Web\n", 2),
            ("portreeve rules 1\nxyz 5 0 0 0 0 Web\nend 1\n", 2), ("portreeve rules 1\n7 5 0 0 0 0\nend 1\n", 2),
            ("portreeve rules 1\n7 5 3 2 1 0 Web\nend 1\n", 2), ("portreeve rules 1\n7 -5 0 0 0 0 Web\nend 1\n", 2),
            ("portreeve rules 1\n7 5 0 0 0 9 Web\nend 1\n", 2),
            ("portreeve rules 1\n7 5 1 1 99999999999999999999 0 Web\nend 1\n", 2),
            ("\0\u{fffd}", 1),
        ])
    func refused(_ text: String, line: Int) {
        #expect { try RuleLedger.read(text) } throws: { "\($0)".hasPrefix("line \(line): ") }
    }
}
