// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import FirewallPolicy
import Glibc
import PacketWire
import Testing

@testable import EventLog

@Suite("The spool of an output")
struct SpoolTests {
    let directory = TemporaryDirectory()
    var path: String { directory.file("e.jsonl") }
    var spool: String { directory.file("a.spool") }

    private func settings(_ target: String, size: UInt64 = 64 << 20) -> OutputSettings {
        OutputSettings(
            name: "a", format: .json, target: .file(path: target), spool: .init(path: spool, size: size))
    }

    private func records(_ number: Int) -> [RecordFields] {
        (0..<number).map { bareResolver.fields(event(.deny, source: UInt32($0))) }
    }

    private func sequences() -> [Int] {
        lines(path).compactMap { JSONValue($0)?["portreeve"]?["sequence"]?.number }
    }

    private func size(_ path: String) -> Int64 {
        var status = stat()
        return unsafe stat(path, &status) == 0 ? Int64(status.st_size) : -1
    }

    @Test("keeps what the target does not take, gives it out in order before what came later, and gives its space back")
    func laterInOrder() {
        var sender = OutputSender(settings("/dev/full"))
        for round in 0..<4 {
            sender.take(records(5000))
            sender.send(at: .ms(Int64(round) * 10_000))
            #expect(sender.hasNoRecords && sender.trouble != nil && sender.warning == nil)
        }
        #expect(sender.spooledCount == 20_000 && sender.backlog.text.count < 2 << 20)
        sender.adopt(settings(path))
        sender.take(records(10))
        for round in 5..<40 where !sender.isDone { sender.send(at: .ms(Int64(round) * 10_000)) }
        #expect(sequences() == Array(1...20_010))
        #expect(sender.backlog.written.total == 20_010 && sender.backlog.lost.total == 0 && sender.isSettled)
        #expect(size(spool) == 0 && sender.spooledCount == 0)
    }

    @Test("takes what comes between two attempts as well")
    func meanwhile() {
        var sender = OutputSender(settings("/dev/full"))
        for millisecond in Int64(0)..<5 {
            sender.take(records(100))
            sender.send(at: .ms(millisecond))
            let areAllTaken = sender.hasNoRecords
            #expect(areAllTaken)
        }
        let spooled = sender.spooledCount
        #expect(spooled == 500)
    }

    @Test("keeps it over the end of the agent, without counting the earlier run's events as this one's")
    func restart() {
        var first = OutputSender(settings("/dev/full"))
        first.take(records(3000))
        first.send(at: .ms(0))
        first.take(records(2))
        first.close(at: .ms(1))
        #expect(first.backlog.lost.total == 0 && first.backlog.written.total == 0 && first.spooledCount == 3002)
        var second = OutputSender(settings(path))
        let isDoneBefore = second.isDone
        #expect(!isDoneBefore)
        second.take(records(2))
        for round in 0..<10 where !second.isDone { second.send(at: .ms(Int64(round))) }
        #expect(sequences() == Array(1...3002) + [1, 2])
        #expect(second.backlog.written.total == 2 && second.backlog.lost.total == 0)
    }

    @Test("one that was killed while it sent loses nothing; what it had sent already may come twice")
    func killed() {
        var first = OutputSender(settings("/dev/full"))
        first.take(records(3000))
        first.send(at: .ms(0))
        let copy = contents(spool)
        first.adopt(settings(path))
        first.send(at: .ms(10_000))
        let descriptor = unsafe open(spool, O_WRONLY | O_TRUNC)
        unsafe copy.withUnsafeBytes { _ = unsafe write(descriptor, $0.baseAddress, $0.count) }
        close(descriptor)
        var second = OutputSender(settings(path))
        for round in 0..<10 where !second.isDone { second.send(at: .ms(Int64(round))) }
        #expect(Set(sequences()) == Set(1...3000))
    }

    @Test("is bounded: what finds no room waits in memory, and only that is lost at the end")
    func bounded() {
        var sender = OutputSender(settings("/dev/full", size: 4 << 20))
        sender.take(records(20_000))
        sender.send(at: .ms(0))
        #expect(!sender.hasNoRecords && size(spool) <= (4 << 20) + 4096)
        let kept = sender.spooledCount
        #expect(kept > 3000)
        sender.close(at: .ms(1))
        #expect(sender.backlog.lost.total == 20_000 - kept && sender.spooledCount == kept)
    }

    @Test("a ring that has come round many times gives out the same lines in the same order")
    func round() {
        var sender = OutputSender(settings("/dev/full", size: 4 << 20))
        var now: Int64 = 0
        for _ in 0..<12 {
            sender.adopt(settings("/dev/full", size: 4 << 20))
            sender.take(records(1500))
            now += 10_000
            sender.send(at: .ms(now))
            sender.take(records(500))
            // One attempt empties what is in memory; then the disk is full again.
            sender.adopt(settings(path, size: 4 << 20))
            now += 10_000
            sender.send(at: .ms(now))
        }
        #expect(sequences() == Array(1...24_000))
    }

    @Test(
        "a damaged one is put aside and said, and events go on", arguments: [0, 9, 17, 30, 4096, 4100, 4500, 100_000])
    func damaged(_ place: Int) {
        var first = OutputSender(settings("/dev/full"))
        first.take(records(3000))
        first.close(at: .ms(0))
        var bytes = contents(spool)
        for offset in 0..<4 { bytes[place + offset] ^= 0xa5 }
        let descriptor = unsafe open(spool, O_WRONLY | O_TRUNC)
        unsafe bytes.withUnsafeBytes { _ = unsafe write(descriptor, $0.baseAddress, $0.count) }
        close(descriptor)
        var second = OutputSender(settings(path))
        second.take(records(3))
        for round in 0..<10 where !second.isDone { second.send(at: .ms(Int64(round))) }
        #expect(second.backlog.written.total == 3 && second.isDone)
    }

    @Test("one that cannot be made leaves events in memory, and says so")
    func unusable() {
        var settings = settings("/dev/full")
        settings.spool = .init(path: directory.file("no/such"), size: 4 << 20)
        var sender = OutputSender(settings)
        sender.take(records(10))
        sender.send(at: .ms(0))
        #expect(sender.warning?.contains("no/such") == true && sender.spooledCount == 0)
        settings.target = .file(path: path)
        sender.adopt(settings)
        sender.send(at: .ms(10_000))
        #expect(sequences() == Array(1...10))
    }
}
