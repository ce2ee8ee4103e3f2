// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import FirewallPolicy
import Glibc
import PacketWire
import Testing

@testable import EventLog

@Suite("Event files that follow one another")
struct RotationTests {
    let directory = TemporaryDirectory()
    var path: String { directory.file("events.jsonl") }

    private func settings(size: UInt64?, keep: UInt32 = 3) -> OutputSettings {
        OutputSettings(
            name: "a", format: .json, target: .file(path: path, rotation: EventRotation(size: size, keep: keep)))
    }

    private func records(_ number: Int) -> [RecordFields] {
        (0..<number).map { _ in bareResolver.fields(EventRecord(EventSummary(event(.deny)))) }
    }

    /// Length of a line of `records` with a sequence number of one digit, and of two.
    private var length: Int {
        bareResolver.line(EventRecord(EventSummary(event(.deny)))).utf8.count
    }

    private func sequences(_ name: String) -> [Int?] {
        lines(directory.file(name)).map { JSONValue($0)?["portreeve"]?["sequence"]?.number.map { Int($0) } }
    }

    @Test("a file ends before the line that it has no room for, and nothing is lost or torn")
    func ends() {
        var sender = OutputSender(settings(size: UInt64(2 * length)))
        sender.take(records(7))
        sender.send(at: .ms(0))
        #expect(sequences("events.jsonl.3") == [1, 2])
        #expect(sequences("events.jsonl.2") == [3, 4])
        #expect(sequences("events.jsonl.1") == [5, 6])
        #expect(sequences("events.jsonl") == [7])
        #expect(sender.backlog.written.total == 7 && sender.backlog.lost.total == 0)
        sender.take(records(1))
        sender.send(at: .ms(1))
        #expect(sequences("events.jsonl") == [7, 8])
    }

    @Test("older ones than are kept are removed, compressed ones too; others' files stay")
    func keeps() {
        for name in [
            "events.jsonl.1.gz", "events.jsonl.2.gz", "events.jsonl.3.gz", "events.jsonl.9", "events.jsonl.01",
            "events.jsonl.old", "events.jsonl.-1", "other.jsonl.1",
        ] { write("old", to: directory.file(name)) }
        var sender = OutputSender(settings(size: UInt64(length)))
        sender.take(records(2))
        sender.send(at: .ms(0))
        #expect(
            names() == [
                "events.jsonl", "events.jsonl.-1", "events.jsonl.01", "events.jsonl.1", "events.jsonl.2.gz",
                "events.jsonl.3.gz", "events.jsonl.old", "other.jsonl.1",
            ])
    }

    @Test("a line that is longer than a file gets a file of its own")
    func longLine() {
        var sender = OutputSender(settings(size: 10))
        sender.take(records(3))
        sender.send(at: .ms(0))
        #expect(
            sequences("events.jsonl") == [3] && sequences("events.jsonl.1") == [2] && sequences("events.jsonl.2") == [1]
        )
    }

    @Test("off leaves the end to others")
    func off() {
        var sender = OutputSender(settings(size: nil))
        sender.take(records(30))
        sender.send(at: .ms(0))
        #expect(names() == ["events.jsonl"] && lines(path).count == 30)
    }

    @Test("a change of the size needs no new file")
    func change() {
        var sender = OutputSender(settings(size: nil))
        sender.take(records(3))
        sender.send(at: .ms(0))
        sender.adopt(settings(size: UInt64(length)))
        sender.take(records(1))
        sender.send(at: .ms(1))
        #expect(sequences("events.jsonl.1") == [1, 2, 3] && sequences("events.jsonl") == [4])
    }

    @Test("where it cannot be rotated events are written all the same, and the output says so until it can")
    func cannot() {
        // A directory of this name cannot be removed, nor moved onto.
        unsafe mkdir(directory.file("events.jsonl.1"), 0o700)
        unsafe mkdir(directory.file("events.jsonl.2"), 0o700)
        write("x", to: directory.file("events.jsonl.1") + "/x")
        write("x", to: directory.file("events.jsonl.2") + "/x")
        defer {
            for number in 1...2 {
                unsafe unlink(directory.file("events.jsonl.\(number)") + "/x")
                unsafe rmdir(directory.file("events.jsonl.\(number)"))
            }
        }
        var sender = OutputSender(settings(size: UInt64(length), keep: 1))
        sender.take(records(3))
        sender.send(at: .ms(0))
        #expect(lines(path).count == 3 && sender.trouble == nil)
        let warning = sender.warning
        #expect(warning?.contains("cannot rotate the event file \(path)") == true)
        unsafe unlink(directory.file("events.jsonl.1") + "/x")
        unsafe rmdir(directory.file("events.jsonl.1"))
        sender.take(records(1))
        sender.send(at: .ms(1))
        let isGood = sender.warning == nil
        #expect(isGood && sequences("events.jsonl") == [4])
    }

    @Test("a device has no end")
    func device() {
        let settings = OutputSettings(
            name: "a", format: .json, target: .file(path: "/dev/null", rotation: EventRotation(size: 10)))
        var sender = OutputSender(settings)
        sender.take(records(3))
        sender.send(at: .ms(0))
        let isGood = sender.warning == nil
        #expect(isGood && sender.backlog.written.total == 3)
    }

    private func write(_ text: String, to path: String) {
        guard let file = unsafe fopen(path, "w") else { return }
        unsafe fputs(text, file)
        unsafe fclose(file)
    }

    private func names() -> [String] {
        guard let stream = unsafe opendir(directory.path) else { return [] }
        defer { unsafe closedir(stream) }
        var names: [String] = []
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
                unsafe $0.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }
}
