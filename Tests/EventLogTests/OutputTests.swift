// SPDX-License-Identifier: GPL-3.0-or-later

import EventLog
import FirewallEngine
import FirewallPolicy
import Glibc
import PacketWire
import Synchronization
import TestSupport
import Testing

@Suite("Several outputs")
struct OutputTests {
    let directory = TemporaryDirectory()
    var good: String { directory.file("events.jsonl") }

    private func log(_ outputs: [OutputSettings], fold: Instant.Span = .zero) -> EventLog {
        EventLog(workers: 1, fold: fold, outputs: outputs, host: nil, flowSeed: (1, 2))
    }

    /// So many events of one reason, each from a source of its own.
    private func append(_ count: Int, to log: EventLog, _ reason: DropReason = .deny) {
        for number in 0..<count { log.queues[0].append([event(reason, source: UInt32(number))], bytes: []) }
    }

    private func totals(_ log: EventLog) -> [EventTerms] { log.reports().map(\.accounting.total) }

    private func sequences(_ path: String) -> [Int] {
        lines(path).compactMap { JSONValue($0)?["portreeve"]?["sequence"]?.number }
    }

    @Test("each gets every record, numbered by itself, with its own account")
    func both() {
        let other = directory.file("other.jsonl")
        let log = log(files(good, other))
        append(3, to: log)
        log.step(.at(0))
        #expect(lines(good) == lines(other))
        #expect(sequences(good) == [1, 2, 3])
        #expect(
            totals(log) == [terms(received: 3, written: 3, records: 3), terms(received: 3, written: 3, records: 3)])
        #expect(log.reports().map(\.name) == ["file 0", "file 1"])
        #expect(log.reports().map(\.target) == [good, other])
    }

    @Test(
        "one that takes nothing delays the other by nothing, and the account of each is exact for every reason and action",
        arguments: ["/dev/full", "a FIFO without a reader", "a FIFO whose reader does not read", "no directory"])
    func bad(_ kind: String) throws {
        let fifo = directory.file("fifo")
        unsafe mkfifo(fifo, 0o600)
        let reader = kind == "a FIFO whose reader does not read" ? unsafe open(fifo, O_RDONLY | O_NONBLOCK) : -1
        defer { if reader >= 0 { close(reader) } }
        let bad = kind.hasPrefix("a FIFO") ? fifo : kind == "no directory" ? directory.file("no/such") : kind
        for outputs in [files(bad, good), files(good, bad)] {
            unsafe unlink(good)
            let log = log(outputs)
            for round in 1...6 {
                append(50, to: log, round % 2 == 0 ? .deny : .invalidFlags)
                log.step(.at(Int64(round)))
                #expect(counts(good) == round * 50)
                for report in log.reports() {
                    for reason in DropReason.allCases {
                        for action in EventAction.allCases {
                            let terms = report.accounting[reason, action]
                            #expect(terms.received == terms.written + terms.pending + terms.lost)
                        }
                    }
                }
            }
            #expect(sequences(good) == Array(1...300))
            let reports = log.reports()
            let (fine, troubled) = bad == outputs[0].targetPath ? (reports[1], reports[0]) : (reports[0], reports[1])
            #expect(
                fine.trouble == nil
                    && fine.accounting.total == terms(received: 300, written: 300, records: 300))
            #expect(troubled.trouble?.contains(bad) == true)
            #expect(troubled.accounting.total.pending > 200 && troubled.accounting.total.lost == 0)
            log.finish(.at(10_000))
            let end = totals(log).first { $0.lost > 0 }
            #expect(end?.pending == 0 && (end?.written ?? 0) + (end?.lost ?? 0) == 300)
        }
    }

    @Test("one whose write never returns delays neither the other nor the end of the log")
    func hanging() {
        let log = log(
            files(good) + [OutputSettings(name: "stuck", format: .json, target: .file(path: directory.file("x")))])
        let clock = TestClock()
        let hang = Signal()
        let writer = TestThread {
            log.run({ clock.now }) { name, body in
                // The second output's thread stands still before its first step, as in a write to a disk that does not answer.
                let isStuck = name.hasSuffix("stuck")
                _ = TestThread {
                    while isStuck && !hang.isOver { usleep(1000) }
                    body()
                }
                return true
            }
        }
        for round in 1...5 {
            append(100, to: log)
            waitUntil { log.reports()[0].accounting.total.written == UInt64(round * 100) }
        }
        #expect(totals(log)[0] == terms(received: 500, written: 500, records: 500))
        #expect(totals(log)[1] == terms(received: 500, pending: 500))
        hang.end()
        log.stop()
        writer.join()
        #expect(totals(log)[1] == terms(received: 500, written: 500, records: 500))
    }

    @Test("a reload begins and ends outputs; what each is owed is counted from its beginning, folded events included")
    func reload() {
        let (first, second) = (directory.file("1"), directory.file("2"))
        let log = log([named("a", first)], fold: .seconds(1))
        let names = PolicyNames(epoch: 1, mode: .inline, rules: [])
        append(5, to: log)
        log.step(.at(0))
        append(2, to: log, .invalidFlags)
        log.register(names, fold: .seconds(1), outputs: [named("b", second), named("a", first)])
        log.step(.at(100))
        #expect(log.reports().map(\.name) == ["b", "a"])
        #expect(totals(log) == [terms(received: 7, pending: 7), terms(received: 7, pending: 7)])
        log.step(.at(2000))
        #expect(counts(first) == 7 && counts(second) == 7)
        append(1, to: log)
        log.step(.at(2000))
        log.step(.at(4000))
        log.register(names, fold: .zero, outputs: [named("b", second), named("c", directory.file("3"))])
        append(4, to: log)
        log.step(.at(5000))
        #expect(counts(first) == 8 && counts(second) == 12 && counts(directory.file("3")) == 4)
        #expect(
            totals(log) == [terms(received: 12, written: 12, records: 12), terms(received: 4, written: 4, records: 4)])
        #expect(sequences(second) == Array(1...12))
        #expect(sequences(directory.file("3")) == [1, 2, 3, 4])
    }

    @Test("an output that a reload begins and that cannot be opened says so at once")
    func beginsInVain() {
        let log = log(files(good))
        let missing = directory.file("no/such")
        log.register(
            PolicyNames(epoch: 1, mode: .inline, rules: []), fold: .zero, outputs: files(good) + [named("b", missing)])
        #expect(!log.step(.at(0)))
        #expect(log.reports()[1].trouble?.contains(missing) == true)
        #expect(log.reports()[0].trouble == nil)
    }

    @Test("all are opened at the start, and one that cannot be is the reason to refuse")
    func opening() {
        var text = ""
        do throws(OutputError) { try log(files(good, directory.file("no/such"))).open() } catch {
            text = error.description
        }
        #expect(text.hasPrefix("cannot open the event file \(directory.path)/no/such"))
    }

    @Test("reopening reaches each")
    func reopened() {
        let other = directory.file("other.jsonl")
        let log = log(files(good, other))
        append(1, to: log)
        log.step(.at(0))
        for path in [good, other] { unsafe unlink(path) }
        log.reopen()
        log.step(.at(1))
        for path in [good, other] { #expect(unsafe access(path, F_OK) == 0) }
    }

    private func named(_ name: String, _ path: String) -> OutputSettings {
        OutputSettings(name: name, format: .json, target: .file(path: path))
    }
}

/// Says to another thread that something is over.
private final class Signal: Sendable {
    private let over = Atomic(false)
    var isOver: Bool { over.load(ordering: .acquiring) }
    func end() { over.store(true, ordering: .releasing) }
}

extension OutputSettings {
    fileprivate var targetPath: String {
        switch target {
        case .file(let path, _): path
        case .syslog(let settings, _): "\(settings.target)"
        }
    }
}
