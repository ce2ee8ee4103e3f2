// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc
import Testing

@testable import EventReader

@Suite("Lines of a growing file")
struct LineReaderTests {
    private let path: String

    init() {
        path = "/tmp/portreeve-lines-\(getpid())-\(UInt64.random(in: 0...UInt64.max))"
        append("")
    }

    private func append(_ text: String, to path: String? = nil) {
        let descriptor = unsafe open(path ?? self.path, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        let bytes = Array(text.utf8)
        _ = unsafe write(descriptor, bytes, bytes.count)
        close(descriptor)
    }

    private func remove() {
        unsafe unlink(path)
        unsafe unlink(path + ".1")
    }

    private func rest(_ reader: inout LineReader) throws -> [String] {
        var lines: [String] = []
        while let line = try reader.next() { lines.append(String(decoding: line, as: UTF8.self)) }
        return lines
    }

    @Test("complete lines come one by one; what is still being written comes when it is complete")
    func growing() throws {
        defer { remove() }
        append("one\n\ntwo\nthr")
        var reader = try LineReader(path: path)
        #expect(try rest(&reader) == ["one", "", "two"])
        append("ee")
        #expect(try reader.next() == nil)
        append("\nfour")
        #expect(try rest(&reader) == ["three"])
    }

    @Test("lines longer than a read arrive whole")
    func longLines() throws {
        defer { remove() }
        let long = String(repeating: "x", count: 200_000)
        append("a\n\(long)\nb\n")
        var reader = try LineReader(path: path)
        #expect(try rest(&reader) == ["a", long, "b"])
    }

    @Test("a line over the limit is skipped, and the next one is read")
    func endlessLine() throws {
        defer { remove() }
        append(String(repeating: "x", count: LineBuffer.longestLine + 1) + "\nafter\n")
        append(String(repeating: "y", count: 3 * LineBuffer.longestLine))
        var reader = try LineReader(path: path)
        #expect(try rest(&reader) == ["after"])
        append("end\nlast\n")
        #expect(try rest(&reader) == ["last"])
    }

    @Test("after a rotation the rest of the old file comes before the new one")
    func rotation() throws {
        defer { remove() }
        append("one\n")
        var reader = try LineReader(path: path)
        #expect(try rest(&reader) == ["one"])
        unsafe rename(path, path + ".1")
        append("two\n", to: path + ".1")
        #expect(try rest(&reader) == ["two"])
        append("three\n")
        #expect(try rest(&reader) == ["three"])
        append("late\n", to: path + ".1")
        append("four\n")
        #expect(try rest(&reader) == ["four"])
    }

    @Test("a successor that a rotation made and the writer has not opened yet does not hide what is still written")
    func emptySuccessor() throws {
        defer { remove() }
        append("one\n")
        var reader = try LineReader(path: path)
        #expect(try rest(&reader) == ["one"])
        unsafe rename(path, path + ".1")
        append("")
        #expect(try rest(&reader) == [])
        append("two\n", to: path + ".1")
        append("three\n")
        #expect(try rest(&reader) == ["two", "three"])
    }

    @Test("a file that was emptied is read from its beginning")
    func emptied() throws {
        defer { remove() }
        append("one\ntwo\npart")
        var reader = try LineReader(path: path)
        #expect(try rest(&reader) == ["one", "two"])
        unsafe truncate(path, 0)
        append("new\n")
        #expect(try rest(&reader) == ["new"])
    }

    @Test("a file that is not there is refused with its path")
    func missing() throws {
        remove()
        var message = ""
        do { _ = try LineReader(path: path) } catch { message = error.description }
        #expect(message == "cannot read \(path): No such file or directory")
    }
}
