// SPDX-License-Identifier: GPL-3.0-or-later

import EventLog
import FirewallEngine
import FirewallPolicy
import Glibc
import PacketWire
import TestSupport
import Testing

@Suite("The event file")
struct EventFileTests {
    let directory = TemporaryDirectory()
    var path: String { directory.file("events.jsonl") }

    private func log(_ path: String) -> EventLog {
        var document = PolicyDocument()
        document.events.path = path
        document.events.fold = .zero
        return EventLog(workers: 1, document: document, host: nil, flowSeed: (1, 2))
    }

    /// So many events of one reason, each from a source of its own.
    private func append(_ count: Int, to log: EventLog, _ reason: DropReason = .deny) {
        for number in 0..<count {
            log.queues[0].append([event(reason, source: UInt32(number))], bytes: [])
        }
    }

    /// Why an output at this path cannot be opened.
    private func error(opening path: String) -> String? {
        do throws(OutputError) { try log(path).open() } catch { return error.description }
        return nil
    }

    @Test("a file that was removed is made anew")
    func removed() {
        let log = log(path)
        append(1, to: log)
        log.step(.at(0))
        unsafe unlink(path)
        append(2, to: log)
        log.step(.at(1))
        #expect(counts(path) == 2)
        #expect(log.output().trouble == nil)
    }

    @Test("a file that was rotated away keeps what it had; the next line goes to a new one, without any signal")
    func rotated() {
        let log = log(path)
        append(1, to: log)
        log.step(.at(0))
        unsafe rename(path, path + ".1")
        append(2, to: log)
        log.step(.at(1))
        #expect(counts(path + ".1") == 1)
        #expect(counts(path) == 2)
    }

    @Test("reopening changes nothing where the file is in its place, and makes it where it is not")
    func reopened() {
        let log = log(path)
        append(1, to: log)
        log.step(.at(0))
        log.reopen()
        log.step(.at(1))
        append(1, to: log)
        log.step(.at(2))
        #expect(counts(path) == 2)
        unsafe rename(path, path + ".1")
        log.reopen()
        log.step(.at(3))
        #expect(unsafe access(path, F_OK) == 0)
        append(1, to: log)
        log.step(.at(4))
        #expect(counts(path) == 1)
    }

    @Test("reopening a file that cannot be opened shows at once, without an event")
    func reopenedInVain() {
        let place = directory.path + "-gone"
        let log = log(place + "/e.jsonl")
        log.reopen()
        log.step(.at(0))
        #expect(log.output().trouble?.contains("No such file or directory") == true)
        unsafe mkdir(place, 0o700)
        log.step(.at(100))
        #expect(log.output().trouble == nil)
        unsafe unlink(place + "/e.jsonl")
        unsafe rmdir(place)
    }

    @Test("a file that was emptied under the log is written from its start")
    func truncatedByOthers() {
        let log = log(path)
        append(3, to: log)
        log.step(.at(0))
        unsafe truncate(path, 0)
        append(1, to: log)
        log.step(.at(1))
        #expect(counts(path) == 1)
    }

    @Test("a line that a killed agent left without its end is not continued")
    func tornLine() {
        write("{\"timestamp\":\"2026-11", to: path)
        let log = log(path)
        append(1, to: log)
        log.step(.at(0))
        #expect(lines(path).count == 2)
        #expect(JSONValue(lines(path)[1]) != nil)
    }

    @Test("a directory that cannot be written is refused with its path, the cause and a cure")
    func refusals() {
        #expect(
            error(opening: directory.path + "/no/e.jsonl") == """
                cannot open the event file \(directory.path)/no/e.jsonl: No such file or directory; \
                create the directory \(directory.path)/no, or change events.file.path
                """)
        #expect(error(opening: directory.path)?.contains("\(directory.path) is a directory") == true)
        let denied = EventFileError(path: "/var/log/portreeve/events.jsonl", cause: .cannotOpen(EACCES))
        #expect(denied.description.contains("Permission denied; let the agent's user write in /var/log/portreeve"))
        let fifo = directory.file("fifo")
        unsafe mkfifo(fifo, 0o600)
        #expect(error(opening: fifo)?.hasPrefix("nobody reads the FIFO") == true)
        #expect(error(opening: path) == nil)
    }

    @Test("a directory that appears later is used; nothing is lost meanwhile")
    func directoryAppears() {
        let place = directory.path + "-later"
        let log = log(place + "/e.jsonl")
        append(5, to: log)
        #expect(!log.step(.at(0)))
        #expect(log.output().trouble?.contains("No such file or directory") == true)
        #expect(log.accounting().total.pending == 5)
        unsafe mkdir(place, 0o700)
        defer {
            unsafe unlink(place + "/e.jsonl")
            unsafe rmdir(place)
        }
        #expect(log.step(.at(100)))
        #expect(counts(place + "/e.jsonl") == 5)
        #expect(log.output().trouble == nil)
    }

    @Test("a full disk: events wait, are merged beyond some megabytes, and are lost only when the log is closed")
    func fullDisk() {
        let log = log("/dev/full")
        var milliseconds: Int64 = 0
        for _ in 0..<5 {
            append(4000, to: log)
            log.step(.at(milliseconds))
            milliseconds += 10_000
        }
        #expect(log.output().trouble?.contains("No space left on device") == true)
        #expect(log.accounting().total == terms(received: 20_000, written: 0, pending: 20_000, lost: 0, records: 0))
        log.finish(.at(milliseconds))
        #expect(log.accounting().total == terms(received: 20_000, written: 0, pending: 0, lost: 20_000, records: 0))
    }

    @Test("retries are rarer and rarer, at most five seconds apart")
    func backOff() {
        let place = directory.path + "-never"
        let log = log(place + "/e.jsonl")
        append(1, to: log)
        var attempts: [Int64] = []
        for milliseconds in stride(from: Int64(0), through: 20_000, by: 10) {
            let before = log.output().nextAttempt
            log.step(.at(milliseconds))
            if log.output().nextAttempt != before { attempts.append(milliseconds) }
        }
        #expect(attempts == [0, 50, 150, 350, 750, 1550, 3150, 6350, 11_350, 16_350])
    }

    @Test("a file that may not grow cuts no line: what does not fit comes whole when there is room again")
    func fileSizeLimit() async {
        await #expect(processExitsWith: .success) {
            let directory = TemporaryDirectory()
            let path = directory.file("events.jsonl")
            var document = PolicyDocument()
            document.events.path = path
            document.events.fold = .zero
            let log = EventLog(workers: 1, document: document, host: nil, flowSeed: (1, 2))
            var limit = rlimit(rlim_cur: 1000, rlim_max: rlim_t.max)
            unsafe setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
            for number in 0..<10 { log.queues[0].append([event(.deny, source: UInt32(number))], bytes: []) }
            log.step(.at(0))
            precondition(contents(path).last == UInt8(ascii: "\n"))
            let fitting = lines(path).count
            precondition(fitting > 0 && fitting < 10)
            precondition(log.accounting().total.written == UInt64(fitting))
            precondition(log.accounting().total.pending == UInt64(10 - fitting))
            precondition(log.output().trouble?.contains("File too large") == true)
            limit.rlim_cur = rlim_t.max
            unsafe setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
            log.step(.at(10_000))
            precondition(lines(path).count == 10)
            precondition(lines(path).allSatisfy { JSONValue($0) != nil })
            precondition(log.accounting().total.pending == 0)
        }
    }

    @Test("a FIFO without a reader does not hold up the log; its first reader gets what waited, in whole lines")
    func fifoWithoutReader() {
        let fifo = directory.file("fifo")
        unsafe mkfifo(fifo, 0o600)
        let log = log(fifo)
        append(20, to: log)
        log.step(.at(0))
        #expect(log.output().trouble?.hasPrefix("nobody reads the FIFO") == true)
        #expect(log.accounting().total.pending == 20)
        let reader = unsafe open(fifo, O_RDONLY | O_NONBLOCK)
        log.step(.at(100))
        let text = String(decoding: drain(reader), as: UTF8.self)
        #expect(text.split(separator: "\n").count == 20)
        #expect(text.split(separator: "\n").allSatisfy { JSONValue(String($0)) != nil })
        close(reader)
        append(3, to: log)
        log.step(.at(200))
        #expect(log.output().trouble?.hasPrefix("nobody reads the FIFO") == true)
        #expect(log.accounting().total.pending == 3)
        let second = unsafe open(fifo, O_RDONLY | O_NONBLOCK)
        defer { close(second) }
        log.step(.at(10_000))
        #expect(String(decoding: drain(second), as: UTF8.self).split(separator: "\n").count == 3)
        #expect(log.accounting().total == terms(received: 23, written: 23, pending: 0, lost: 0, records: 23))
    }

    @Test("a reader that never reads holds up nobody; when it reads at last it gets every count, in whole lines")
    func readerThatNeverReads() {
        let fifo = directory.file("fifo")
        unsafe mkfifo(fifo, 0o600)
        let reader = unsafe open(fifo, O_RDONLY | O_NONBLOCK)
        defer { close(reader) }
        let log = log(fifo)
        var milliseconds: Int64 = 0
        for _ in 0..<10 {
            append(1000, to: log)
            log.step(.at(milliseconds))
            milliseconds += 10_000
        }
        #expect(log.output().trouble?.hasPrefix("the reader of ") == true)
        let before = log.accounting().total
        #expect(before.pending > 0 && before.written > 0 && before.lost == 0)
        var text: [UInt8] = []
        for _ in 0..<1000 where log.accounting().total.pending > 0 {
            text += drain(reader)
            milliseconds += 10_000
            log.step(.at(milliseconds))
        }
        text += drain(reader)
        let records = String(decoding: text, as: UTF8.self).split(separator: "\n").map { JSONValue(String($0)) }
        #expect(records.allSatisfy { $0 != nil })
        #expect(records.reduce(0) { $0 + ($1?["portreeve"]?["count"]?.number ?? 0) } == 10_000)
        #expect(log.accounting().total.written == 10_000)
    }

    @Test("closing waits half a second for a reader that does not read, and counts what it did not take")
    func closingWithSlowReader() {
        let fifo = directory.file("fifo")
        unsafe mkfifo(fifo, 0o600)
        let reader = unsafe open(fifo, O_RDONLY | O_NONBLOCK)
        defer { close(reader) }
        let log = log(fifo)
        append(1000, to: log)
        log.finish(.at(0))
        let total = log.accounting().total
        #expect(total.pending == 0)
        #expect(total.written + total.lost == 1000)
        #expect(total.lost > 0)
        let text = String(decoding: drain(reader), as: UTF8.self)
        #expect(text.split(separator: "\n").filter { JSONValue(String($0)) != nil }.count == Int(total.written))
    }

    private func write(_ text: String, to path: String) {
        let descriptor = unsafe open(path, O_WRONLY | O_CREAT, 0o600)
        let bytes = Array(text.utf8)
        _ = unsafe Glibc.write(descriptor, bytes, bytes.count)
        close(descriptor)
    }
}
