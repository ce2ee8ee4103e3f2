// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import TestSupport
import Testing

@testable import EventLog

@Suite("The budget of an output")
struct BudgetTests {
    let directory = TemporaryDirectory()
    var path: String { directory.file("events.jsonl") }

    private func sender(_ bytes: UInt64?) -> OutputSender {
        let budget = bytes.map { EventBudget(bytes: $0, window: .seconds(60)) }
        return OutputSender(OutputSettings(name: "a", format: .json, target: .file(path: path), budget: budget))
    }

    private func record(
        _ reason: DropReason, at instant: Instant = .ms(0), _ change: (inout Event) -> Void = { _ in }
    )
        -> RecordFields
    {
        bareResolver.fields(event(reason, at: instant, change))
    }

    private func records(_ reason: DropReason, _ number: Int) -> [RecordFields] {
        (0..<number).map { _ in record(reason) }
    }

    @Test("a flood of one reason leaves room for the others, and no count is lost")
    func flood() throws {
        let length = UInt64(bareResolver.line(event(.deny)).utf8.count)
        var sender = sender(length * 100)
        sender.take(records(.deny, 10_000))
        sender.send(at: .ms(0))
        let alone = lines(path).count
        #expect((48...51).contains(alone))
        // Another kind has half of what is left.
        sender.take(records(.logOnly, 10_000) + records(.deny, 10))
        sender.send(at: .ms(1))
        #expect((73...77).contains(lines(path).count))
        #expect(sender.isDone && !sender.isSettled && sender.coarseCount + UInt64(lines(path).count) == 20_010)
        let wakeAt = sender.wakeAt
        #expect(wakeAt == .ms(60_000))
        sender.send(at: .ms(59_999))
        #expect(sender.isSettled == false)
        sender.send(at: .ms(60_000))
        #expect(sender.isSettled == true)
        #expect(counts(path) == 20_010 && sender.backlog.written.total == 20_010 && sender.backlog.lost.total == 0)
        // In the next window all is as at first.
        let before = lines(path).count
        sender.take(records(.deny, 3))
        sender.send(at: .ms(60_001))
        #expect(lines(path).count == before + 3)
    }

    @Test("whatever comes, no more is written in a window than the budget and a record of each kind")
    func bound() {
        let bytes: UInt64 = 64 << 10
        var sender = sender(bytes)
        for reason in DropReason.allCases { sender.take(records(reason, 500)) }
        sender.send(at: .ms(0))
        #expect(contents(path).count <= Int(bytes) + 2_000)
        sender.close(at: .ms(1))
        #expect(counts(path) == DropReason.allCases.count * 500)
    }

    @Test("a coarser record says what is true of all, and from when to when")
    func coarse() throws {
        var sender = sender(1)
        sender.take([record(.deny)])
        sender.take([record(.deny, at: .ms(10)) { $0.headers.sourcePort = 1 }])
        sender.take([record(.deny, at: .ms(20)) { $0.headers.source = IPAddress(v4: 0x0a00_0001) }])
        sender.send(at: .ms(20))
        sender.send(at: .ms(60_020))
        let last = try #require(lines(path).last.flatMap { JSONValue($0) })
        #expect(lines(path).count == 2)
        #expect(last["portreeve"]?["count"]?.number == 2)
        #expect(last["src_ip"] == nil && last["src_port"] == nil)
        #expect(last["portreeve"]?["note"]?.string == "many sources")
        #expect(last["timestamp"]?.string?.contains("02.010000") == true)
        #expect(last["portreeve"]?["last"]?.string?.contains("02.020000") == true)
    }

    @Test("off is without a bound")
    func off() {
        var sender = sender(nil)
        sender.take(records(.deny, 3_000))
        sender.send(at: .ms(0))
        #expect(lines(path).count == 3_000 && sender.isSettled)
    }

    @Test("a clock that goes back ends the window")
    func clock() {
        var sender = sender(1)
        sender.take(records(.deny, 5))
        sender.send(at: .ms(100_000))
        #expect(sender.isSettled == false)
        sender.send(at: .ms(0))
        #expect(sender.isSettled && counts(path) == 5)
    }
}
