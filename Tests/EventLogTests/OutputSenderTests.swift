// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import FirewallPolicy
import Glibc
import PacketWire
import Testing

@testable import EventLog

@Suite("What an output's thread owns")
struct OutputSenderTests {
    let directory = TemporaryDirectory()

    private func records(_ count: UInt64, _ number: Int = 1) -> [RecordFields] {
        (0..<number).map { _ in bareResolver.fields(EventRecord(EventSummary(event(.deny), count: count))) }
    }

    @Test("what it gave up is told by its next record, once, and the numbers of lost records are missing")
    func lost() throws {
        let place = directory.path + "-later"
        let path = place + "/e.jsonl"
        var sender = OutputSender(OutputSettings(name: "a", format: .json, target: .file(path: path)))
        sender.take(records(3, 2))
        sender.close(at: .ms(0))
        #expect(sender.backlog.lost.total == 6 && sender.isSettled)
        unsafe mkdir(place, 0o700)
        defer {
            unsafe unlink(path)
            unsafe rmdir(place)
        }
        sender.take(records(1, 2))
        sender.send(at: .ms(10_000))
        #expect(sender.backlog.written.total == 2)
        let facts = lines(path).compactMap { JSONValue($0)?["portreeve"] }
        #expect(facts.map { $0["sequence"]?.number } == [3, 4])
        #expect(facts.map { $0["lost"]?.number } == [6, nil])
    }

    @Test("records that are no lines yet are lost too where they are given up")
    func manyLost() {
        var sender = OutputSender(OutputSettings(name: "a", format: .json, target: .file(path: "/dev/full")))
        sender.take(records(2, 2000))
        sender.send(at: .ms(0))
        #expect(!sender.hasNoRecords && sender.backlog.isFull)
        sender.take(records(1, 10))
        sender.close(at: .ms(1))
        #expect(sender.backlog.lost.total == 4010 && sender.backlog.written.total == 0)
    }

    @Test("records that wait go where the policy says when they can")
    func movedOn() {
        let path = directory.file("e.jsonl")
        var sender = OutputSender(OutputSettings(name: "a", format: .json, target: .file(path: "/dev/full")))
        sender.take(records(1, 5))
        sender.send(at: .ms(0))
        #expect(sender.trouble != nil)
        sender.adopt(OutputSettings(name: "a", format: .json, target: .file(path: path)))
        sender.send(at: .ms(1))
        #expect(lines(path).count == 5 && sender.trouble == nil && sender.isSettled)
    }
}
