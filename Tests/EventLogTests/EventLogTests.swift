// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import EventLog
import FirewallEngine
import FirewallPolicy
import Glibc
import PacketWire
import Synchronization
import TestSupport
import Testing

@Suite("The event log")
struct EventLogTests {
    let directory = TemporaryDirectory()
    var path: String { directory.file("events.jsonl") }

    func log(
        workers: Int = 1, queueCapacity: Int = 8192, path: String? = nil, fold: Instant.Span = .zero
    ) -> EventLog {
        var document = PolicyDocument()
        document.events.path = path ?? self.path
        document.events.fold = fold
        let log = EventLog(
            workers: workers, queueCapacity: queueCapacity, document: document, host: nil, flowSeed: (1, 2))
        log.register(PolicyNames(epoch: 4, mode: .inline, rules: [noTelnet]), document)
        return log
    }

    @Test("an event is in the file after one step, and accounted as written")
    func oneEvent() throws {
        let log = log()
        log.queues[0].append(
            [
                event(.deny) {
                    $0.policyEpoch = 4; $0.rule = 0
                }
            ], bytes: [])
        #expect(log.accounting()[.deny, .deny] == terms(received: 1, written: 0, pending: 1, lost: 0, records: 0))
        #expect(log.step(.at(0)))
        #expect(log.accounting()[.deny, .deny] == terms(received: 1, written: 1, pending: 0, lost: 0, records: 1))
        let line = try #require(lines(path).first)
        #expect(JSONValue(line)?["portreeve"]?["rule"]?.string == "No telnet")
        #expect(JSONValue(line)?["timestamp"]?.string == "2026-11-21T09:15:02.000000+0000")
    }

    @Test("the file is made with the mode 0640, and its end is kept when it exists")
    func fileMode() {
        let first = log()
        first.queues[0].append([event(.deny)], bytes: [])
        first.finish(.at(0))
        var status = stat()
        #expect(unsafe stat(path, &status) == 0)
        #expect(status.st_mode & 0o7777 == 0o640)
        let second = log()
        second.queues[0].append([event(.deny)], bytes: [])
        second.finish(.at(1))
        #expect(lines(path).count == 2)
    }

    @Test("folded events are pending until their window is over, and one record afterwards")
    func folding() {
        let log = log(workers: 2, fold: .seconds(1))
        log.queues[0].append([event(.deny), event(.deny)], bytes: [])
        log.queues[1].append([event(.deny, at: .ms(10))], bytes: [])
        #expect(!log.step(.at(500)))
        #expect(log.accounting()[.deny, .deny].pending == 3)
        #expect(lines(path).isEmpty)
        #expect(log.step(.at(1000)))
        #expect(log.accounting()[.deny, .deny] == terms(received: 3, written: 3, pending: 0, lost: 0, records: 1))
        #expect(counts(path) == 3)
    }

    @Test("what is folded is written when the log is closed")
    func finish() {
        let log = log(fold: .seconds(60))
        log.queues[0].append([event(.deny), event(.logOnly, action: .logOnly)], bytes: [])
        log.finish(.at(1))
        #expect(lines(path).count == 2)
        #expect(log.accounting().total == terms(received: 2, written: 2, pending: 0, lost: 0, records: 2))
    }

    @Test("packet bytes travel with their events; what finds no room goes without, and nothing traps")
    func packetBytes() throws {
        let log = log()
        let bytes: [UInt8] = [9, 1, 2, 3, 9, 4, 5]
        func carrying(_ offset: Int32, _ count: UInt16) -> Event {
            event(.deny) {
                $0.packetData = offset; $0.packetDataCount = count
            }
        }
        log.queues[0].append([carrying(1, 3), event(.deny), carrying(5, 2), carrying(6, 2)], bytes: bytes)
        let large = [UInt8](repeating: 7, count: 1500)
        for _ in 0..<300 { log.queues[0].append([carrying(0, 1500)], bytes: large) }
        log.step(.at(0))
        let packets: [String?] = lines(path).map { JSONValue($0)?["packet"]?.string }
        #expect(packets.count == 304)
        #expect(Array(packets[..<4]) == ["AQID", nil, "BAU=", nil])
        #expect(packets[4...].filter { $0 != nil }.count == (256 * 1024 - 5) / 1500)
    }

    @Test("a full queue merges; the number of events is kept for each reason and rule")
    func fullQueue() {
        let log = log(queueCapacity: 8)
        for number in 0..<1000 {
            let one = event(.outOfAllowedPolicy, source: UInt32(number))
            let other = event(.deny, source: UInt32(number)) {
                $0.rule = Int32(number % 2); $0.policyEpoch = 4
            }
            log.queues[0].append([one, other], bytes: [])
        }
        log.step(.at(0))
        let records = lines(path).compactMap { JSONValue($0)?["portreeve"] }
        #expect(records.count == 8 + 3)
        let merged = records.filter { $0["note"]?.string == "many sources" }
        #expect(merged.compactMap { $0["reason"]?.string } == ["out-of-allowed-policy", "deny", "deny"])
        #expect(merged.compactMap { $0["count"]?.number } == [996, 498, 498])
        #expect(log.accounting().total.written == 2000)
    }

    @Test("events of which only the number is left are written as that number")
    func onlyNumbers() throws {
        let log = log()
        log.queues[0].append(count: 41, of: .invalidIP, .deny, PacketMetadata(), at: .ms(3))
        log.queues[0].append(count: 0, of: .deny, .deny, PacketMetadata(), at: .ms(3))
        log.step(.at(3))
        #expect(lines(path).count == 1)
        let json = try #require(JSONValue(lines(path)[0]))
        #expect(json["portreeve"]?["count"]?.number == 41)
        #expect(json["src_ip"] == nil)
        #expect(log.accounting()[.invalidIP, .deny].written == 41)
    }

    @Test("drops and events of packets that passed are accounted apart")
    func actionsApart() {
        let log = log()
        log.queues[0].append(EventAction.allCases.map { event(.deny, action: $0) }, bytes: [])
        log.step(.at(0))
        for action in EventAction.allCases { #expect(log.accounting()[.deny, action].written == 1) }
        #expect(log.accounting()[.logOnly, .deny].received == 0)
    }

    @Test("reports of the agent keep their words, and beyond 256 at a time their number")
    func reports() {
        let log = log()
        for number in 0..<300 { log.report(event(.internalDriverError), count: 2, detail: "number \(number)") }
        #expect(log.accounting()[.internalDriverError, .deny].pending == 600)
        log.step(.at(0))
        #expect(lines(path).count == 257)
        #expect(counts(path) == 600)
        #expect(JSONValue(lines(path)[7])?["portreeve"]?["note"]?.string == "number 7")
        #expect(log.accounting().total.pending == 0)
    }

    @Test("a new policy's names, window and path hold from its first event on")
    func newPolicy() {
        let log = log(fold: .seconds(60))
        log.queues[0].append([event(.deny)], bytes: [])
        log.step(.at(0))
        var document = PolicyDocument()
        document.events.path = directory.file("other.jsonl")
        document.events.fold = .zero
        var rule = noTelnet
        rule.name = "New"
        log.register(PolicyNames(epoch: 5, mode: .tap, rules: [rule]), document)
        log.queues[0].append(
            [
                event(.deny, action: .tapDeny) {
                    $0.rule = 0; $0.policyEpoch = 5
                }
            ], bytes: [])
        log.step(.at(1))
        #expect(lines(path).isEmpty)
        let records = lines(document.events.path).compactMap { JSONValue($0)?["portreeve"] }
        let rules = records.compactMap { $0["rule"]?.string }
        #expect(rules == ["New"])
        #expect(records.count == 2)
        #expect(log.output().target == document.events.path)
    }

    @Test("the log's thread keeps up with a flooding worker through a tiny queue, and every event is counted")
    func flood() {
        let log = log(workers: 2, queueCapacity: 16, fold: .milliseconds(5))
        let clock = TestClock()
        let writer = TestThread { log.run(clock) }
        let perWorker = 20_000
        let workers = (0..<2).map { worker in
            TestThread {
                var random = SeededRandom(seed: UInt64(worker))
                for number in 0..<perWorker {
                    let source = UInt32(truncatingIfNeeded: random.next())
                    let reason = DropReason.allCases[number % DropReason.count]
                    let made = event(reason, source: source, at: clock.now.now)
                    log.queues[worker].append([made, made], bytes: [])
                }
            }
        }
        for _ in 0..<20 {
            let total = log.accounting().total
            #expect(total.received == total.written &+ total.pending &+ total.lost)
            #expect(total.pending <= total.received)
            usleep(2000)
        }
        workers.forEach { $0.join() }
        log.stop()
        writer.join()
        let total = log.accounting().total
        #expect(total.received == UInt64(2 * 2 * perWorker))
        #expect(total.written == total.received)
        #expect(total.pending == 0 && total.lost == 0)
        #expect(counts(path) == Int(total.received))
        #expect(total.records == UInt64(lines(path).count))
    }

    @Test("a reader of a FIFO that reads again gets all that waits as fast as it reads, without a pause between")
    func readerReadsAgain() {
        let fifo = directory.file("fifo")
        unsafe mkfifo(fifo, 0o600)
        let reader = unsafe open(fifo, O_RDONLY | O_NONBLOCK)
        defer { close(reader) }
        let log = log(path: fifo)
        // It stands still: no pause between two attempts ever ends.
        let clock = TestClock(ticks: false)
        let writer = TestThread { log.run(clock) }
        for number in 0..<1000 { log.queues[0].append([event(.deny, source: UInt32(number))], bytes: []) }
        waitUntil { log.output().trouble != nil }
        var text: [UInt8] = []
        waitUntil {
            text += drain(reader)
            return log.accounting().total.written == 1000
        }
        text += drain(reader)
        #expect(String(decoding: text, as: UTF8.self).split(separator: "\n").count == 1000)
        log.stop()
        writer.join()
    }

    @Test("a sleeping writer is woken by one event, by a report, by an order to reopen and by the order to stop")
    func wakeUp() {
        let log = log()
        let clock = TestClock()
        let writer = TestThread { log.run(clock) }
        for number in 1...50 {
            if number % 5 == 0 {
                log.report(event(.internalDriverError), detail: "report")
            } else {
                log.queues[0].append([event(.deny)], bytes: [])
            }
            if number % 7 == 0 { log.reopen() }
            waitUntil { log.accounting().total.written == UInt64(number) }
            #expect(log.accounting().total.written == UInt64(number))
        }
        log.stop()
        writer.join()
        #expect(counts(path) == 50)
    }
}

func terms(
    received: UInt64, written: UInt64 = 0, pending: UInt64 = 0, lost: UInt64 = 0, records: UInt64 = 0
) -> EventTerms {
    var terms = EventTerms()
    terms.received = received
    terms.written = written
    terms.pending = pending
    terms.lost = lost
    terms.records = records
    return terms
}

/// The sum of the counts in a file, every line of which has to be valid JSON.
func counts(_ path: String) -> Int {
    lines(path).reduce(0) { sum, line in
        guard let count = JSONValue(line)?["portreeve"]?["count"]?.number else {
            Issue.record("not a record: \(line)")
            return sum
        }
        return sum + count
    }
}

/// Waits for what another thread will do, ten seconds at most.
func waitUntil(_ condition: () -> Bool) {
    var attempts = 0
    while !condition() && attempts < 10_000 {
        usleep(1000)
        attempts += 1
    }
}

extension LogClock {
    static func at(_ milliseconds: Int64) -> LogClock {
        LogClock(now: .ms(milliseconds), offset: .seconds(someSaturday))
    }
}

/// A clock that goes on by a little at each look, for tests with threads.
final class TestClock: Sendable {
    private let count = Atomic<Int64>(0)
    private let ticks: Bool

    init(ticks: Bool = true) { self.ticks = ticks }

    var now: LogClock {
        let tick = ticks ? count.add(1, ordering: .relaxed).newValue : 0
        return LogClock(now: Instant(nanoseconds: tick * 10_000), offset: .seconds(someSaturday))
    }
}
