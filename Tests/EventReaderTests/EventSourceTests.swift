// SPDX-License-Identifier: GPL-3.0-or-later

import CZlib
import FirewallEngine
import Glibc
import Testing

@testable import EventReader

@Suite("Events over rotations")
struct EventSourceTests {
    private let directory: Directory
    private var path: String { directory.path + "/events.jsonl" }

    init() { directory = Directory() }

    /// A file with records of these moments, in seconds after the Saturday.
    private func file(_ name: String, _ moments: [Int64], compressed: Bool = false, torn: Bool = false) {
        var bytes: [UInt8] = []
        for moment in moments { bytes += record(at: moment * 1000) + [UInt8(ascii: "\n")] }
        if torn { bytes += Array("{\"timestamp\":".utf8) }
        directory.write(name, bytes, compressed: compressed)
    }

    private func moments(_ found: [EventSource.Found]) -> [Int64] { found.map { $0.event.time / 1_000_000 - saturday } }

    private func all(_ query: EventQuery = EventQuery()) throws -> [Int64] {
        var source = try EventSource(path: path, query: query)
        var found: [Int64] = []
        try source.all { found += moments($0) }
        return found
    }

    @Test("all that rotations have left is read, oldest first, whatever the names, compressed or not")
    func everyName() throws {
        file("events.jsonl", [90, 91])
        file("events.jsonl.1", [80])
        file("events.jsonl.2.gz", [70, 71], compressed: true)
        file("events.jsonl.10.gz", [10], compressed: true)
        file("events.jsonl-20261121", [60])
        file("events.jsonl-20261120.gz", [50], compressed: true)
        file("events-20261119.jsonl", [40])
        file("events-20261118.jsonl.gz", [30], compressed: true)
        file("events.jsonl.old", [20])
        #expect(try all() == [10, 20, 30, 40, 50, 60, 70, 71, 80, 90, 91])
    }

    @Test("other files beside it are none of its predecessors")
    func strangers() throws {
        file("events.jsonl", [9])
        for name in [
            "events.json", "events-debug.jsonl", "other.jsonl.1", "events", "events.jsonlx", "my-events.jsonl.1",
        ] {
            file(name, [1])
        }
        unsafe mkdir(directory.path + "/events.jsonl.d", 0o700)
        #expect(try all() == [9])
        unsafe rmdir(directory.path + "/events.jsonl.d")
    }

    @Test("a file that is being compressed is read once, and so is one with two names")
    func twice() throws {
        file("events.jsonl", [9])
        file("events.jsonl.1", [1, 2])
        file("events.jsonl.1.gz", [1], compressed: true)
        unsafe link(directory.path + "/events.jsonl", directory.path + "/events.jsonl.now")
        #expect(try all() == [1, 2, 9])
    }

    @Test(
        "since: no file that can hold such a record is left out",
        arguments: [(0, 6), (15, 5), (25, 4), (41, 1), (99, 0)])
    func since(seconds: Int64, count: Int) throws {
        file("events.jsonl", [40, 50])
        file("events.jsonl.1", [30])
        file("events.jsonl.2.gz", [10, 20, 25], compressed: true)
        var query = EventQuery()
        query.since = (saturday + seconds) * 1_000_000
        #expect(try all(query).count == count)
    }

    @Test("a file that was last changed before the time asked for is not opened")
    func untouched() throws {
        file("events.jsonl", [90])
        file("events.jsonl.1", [1])
        var times = [timeval(tv_sec: Int(saturday) + 50, tv_usec: 0), timeval(tv_sec: Int(saturday) + 50, tv_usec: 0)]
        unsafe utimes(directory.path + "/events.jsonl.1", &times)
        var query = EventQuery()
        query.since = saturday * 1_000_000
        #expect(try all(query) == [1, 90])
        query.since = (saturday + 51) * 1_000_000
        #expect(try all(query) == [90])
    }

    @Test("the last so many go back as far as it takes", arguments: [0, 1, 2, 3, 4, 5, 6, 99])
    func last(count: Int) throws {
        file("events.jsonl", [40, 50])
        file("events.jsonl.1", [30])
        file("events.jsonl.2.gz", [10, 20, 25], compressed: true)
        var source = try EventSource(path: path, query: EventQuery())
        #expect(try moments(source.last(count)) == [10, 20, 25, 30, 40, 50].suffix(count))
    }

    @Test("after the past come the events of the present, over a rotation too")
    func more() throws {
        file("events.jsonl", [20])
        file("events.jsonl.1", [10])
        var source = try EventSource(path: path, query: EventQuery())
        #expect(try moments(source.last(10)) == [10, 20])
        unsafe rename(directory.path + "/events.jsonl.1", directory.path + "/events.jsonl.2")
        unsafe rename(path, path + ".1")
        file("events.jsonl", [30])
        var found: [Int64] = []
        try source.more { found += moments($0) }
        #expect(found == [30])
    }

    @Test("a rotation between opening the file and looking for its predecessors shows nothing twice")
    func rotatedMeanwhile() throws {
        file("events.jsonl", [20])
        var reader = try LineReader(path: path)
        unsafe rename(path, path + ".1")
        file("events.jsonl", [30])
        let history = EventHistory(of: path, without: reader.identity)
        #expect(history.files.map(\.path) == [])
        #expect(try reader.next() != nil)
        #expect(try reader.next() != nil)
    }

    @Test("where the file is gone, what is left of it is shown; where nothing is left, that is an error")
    func gone() throws {
        #expect(throws: ReadError.self) { _ = try EventSource(path: path, query: EventQuery()) }
        file("events.jsonl.1", [1])
        #expect(try all() == [1])
    }

    @Test("what cannot be read is said, and hides nothing else")
    func damaged() throws {
        file("events.jsonl", [90], torn: true)
        file("events.jsonl.1.gz", [80], compressed: true)
        file("events.jsonl.2.xz", [70])
        directory.write("events.jsonl.3", Array("no event\n".utf8) + record(at: 60_000) + [UInt8(ascii: "\n")])
        file("events.jsonl.4.gz", Array(0..<50), compressed: true)
        directory.cut("events.jsonl.4.gz")
        var source = try EventSource(path: path, query: EventQuery())
        var found: [Int64] = []
        try source.all { found += moments($0) }
        #expect(found.suffix(3) == [60, 80, 90] && found.starts(with: 0..<10))
        #expect(source.foreign == [directory.path + "/events.jsonl.3": 1])
        let errors = source.errors.map(\.description)
        #expect(errors.count == 2)
        #expect(errors.contains { $0.contains("events.jsonl.2.xz: decompress it first") })
        #expect(errors.contains { $0.contains("events.jsonl.4.gz: its compressed data ends too early") })
    }

    @Test("what is no regular file has no predecessors")
    func stream() throws {
        unsafe mkfifo(path, 0o600)
        file("events.jsonl.1", [1])
        #expect(try all() == [])
    }
}

/// A directory for one test, removed at the end.
private final class Directory {
    let path: String

    init() {
        path = "/tmp/portreeve-source-\(getpid())-\(UInt64.random(in: 0...UInt64.max))"
        unsafe mkdir(path, 0o700)
    }

    func write(_ name: String, _ bytes: [UInt8], compressed: Bool = false) {
        let place = path + "/" + name
        guard compressed else {
            let descriptor = unsafe open(place, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
            _ = unsafe Glibc.write(descriptor, bytes, bytes.count)
            close(descriptor)
            return
        }
        let stream = unsafe gzopen(place, "w")
        unsafe gzwrite(stream, bytes, UInt32(bytes.count))
        unsafe gzclose(stream)
    }

    /// Takes the end away.
    func cut(_ name: String) {
        var status = stat()
        unsafe stat(path + "/" + name, &status)
        unsafe truncate(path + "/" + name, status.st_size - 12)
    }

    deinit {
        guard let directory = unsafe opendir(path) else { return }
        while let entry = unsafe readdir(directory) {
            let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            unsafe unlink(path + "/" + name)
        }
        unsafe closedir(directory)
        unsafe rmdir(path)
    }
}
