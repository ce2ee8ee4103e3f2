// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc
import Testing

@testable import portreeve

private let sample = #"""
    {"timestamp":"2026-11-21T09:15:02.123456+0000","host":"web-01","event_type":"firewall","in_iface":"eth0","src_ip":"198.51.100.9","src_port":40112,"dest_ip":"192.0.2.10","dest_port":443,"proto":"TCP","firewall":{"reason":"out-of-connection","id":100,"name":"Out Of Connection","action":"deny","direction":"incoming","stage":"T","note":"posture","count":3,"first":"2026-11-21T09:15:02.123456+0000","last":"2026-11-21T09:15:02.900000+0000"}}
    """#

@Suite("Events as they are shown")
struct EventRecordTests {
    @Test("A line of the events file is one row of the table")
    func row() throws {
        let event = try #require(EventRecord(Array(sample.utf8)))
        let row = EventTable.line(event)
        let time = WallTime(microseconds: 1_795_252_502_123_456).text
        #expect(row.hasPrefix(time + " 3     deny     out-of-connection            incoming  TCP    eth0"))
        #expect(row.contains(" 198.51.100.9:40112 "))
        #expect(row.hasSuffix(" 192.0.2.10:443           posture"))
    }

    @Test("A folded record of many sources and an IPv6 address are shown as what they are")
    func addresses() throws {
        let line = sample.replacing(#""src_ip":"198.51.100.9","src_port":40112,"#, with: "")
            .replacing("192.0.2.10", with: "fd00::1").replacing("posture", with: "many sources")
        let row = EventTable.line(try #require(EventRecord(Array(line.utf8))))
        #expect(row.contains(" - "))
        #expect(row.contains("[fd00::1]:443"))
        #expect(row.hasSuffix("many sources"))
    }

    @Test("A name that would move the cursor does not")
    func harmless() throws {
        let line = sample.replacing("posture", with: #"\u001b[2J\u202e"#)
        #expect(!EventTable.line(try #require(EventRecord(Array(line.utf8)))).contains("\u{1b}"))
    }

    @Test(
        "What is no event is none",
        arguments: [
            "", "{}", "CEF:0|Portreeve|…", #"{"timestamp":"2026-11-21T09:15:02Z","event_type":"alert"}"#, "[1]",
        ])
    func none(line: String) {
        #expect(EventRecord(Array(line.utf8)) == nil)
    }
}

@Suite("Which events are shown")
struct EventFilterTests {
    private let now = WallTime(microseconds: 1_795_252_502_900_000 + 60_000_000)

    private func admits(
        reasons: [String] = [], addresses: [String] = [], rules: [String] = [], actions: [String] = [],
        since: String? = nil, until: String? = nil, line: String = sample
    ) throws -> Bool {
        let filter = try EventFilter(
            reasons: reasons, addresses: addresses, rules: rules, actions: actions, since: since, until: until, now: now
        )
        return filter.admits(try #require(EventRecord(Array(line.utf8))))
    }

    @Test("Without criteria all are")
    func all() throws { #expect(try admits()) }

    @Test("By reason, by name or number, any of several")
    func reasons() throws {
        #expect(try admits(reasons: ["out-of-connection"]))
        #expect(try admits(reasons: ["101", "100"]))
        #expect(try !admits(reasons: ["invalid-flags"]))
    }

    @Test(
        "By address or prefix, of either side",
        arguments: [
            ("198.51.100.9", true), ("198.51.100.8", false), ("198.51.100.0/24", true), ("198.51.101.0/24", false),
            ("192.0.2.10", true), ("0.0.0.0/0", true), ("::/0", true), ("fd00::/8", false),
        ])
    func addresses(text: String, shown: Bool) throws {
        #expect(try admits(addresses: [text]) == shown)
        #expect(try admits(addresses: ["203.0.113.1", text]) == shown)
    }

    @Test("By rule and action")
    func rules() throws {
        let ruled = sample.replacing(#""note""#, with: #""rule":"No telnet","note""#)
        #expect(try admits(rules: ["No telnet"], line: ruled))
        #expect(try !admits(rules: ["No telnet"]))
        #expect(try admits(actions: ["notice", "deny"]))
        #expect(try !admits(actions: ["notice"]))
    }

    @Test(
        "By time, absolute or before now; a folded record counts until its last packet",
        arguments: [
            ("2026-11-21T09:15:02Z", nil, true), ("2026-11-21T09:15:03Z", nil, false),
            (nil, "2026-11-21T09:15:02.9Z", true), (nil, "2026-11-21T09:15:02.8Z", false), ("61s", nil, true),
            ("60s", nil, false), ("2m", "1m", true), ("1h", "59m", false), ("1d", nil, true),
        ] as [(String?, String?, Bool)])
    func times(since: String?, until: String?, shown: Bool) throws {
        #expect(try admits(since: since, until: until) == shown)
    }

    @Test("Criteria of different kinds must all hold")
    func together() throws {
        #expect(try admits(reasons: ["100"], addresses: ["192.0.2.10"], since: "2m"))
        #expect(try !admits(reasons: ["100"], addresses: ["192.0.2.11"], since: "2m"))
    }

    @Test("A criterion that cannot be understood is an error, not a filter that shows nothing")
    func faults() {
        #expect(throws: EventFilter.Fault.self) { try admits(reasons: ["nonsense"]) }
        #expect(throws: EventFilter.Fault.self) { try admits(addresses: ["198.51.100"]) }
        #expect(throws: EventFilter.Fault.self) { try admits(actions: ["drop"]) }
        #expect(throws: EventFilter.Fault.self) { try admits(since: "yesterday") }
        #expect(throws: EventFilter.Fault.self) { try admits(since: "-5m") }
        #expect(throws: EventFilter.Fault.self) { try admits(until: "99999999999999999d") }
    }
}

@Suite("Reading a file that grows")
struct EventFileReaderTests {
    private let directory = ScratchDirectory()
    private var path: String { directory.path + "/events.jsonl" }

    private func rest(_ reader: inout EventFileReader) -> [String] {
        var lines: [String] = []
        while let line = reader.next() { lines.append(String(decoding: line, as: UTF8.self)) }
        return lines
    }

    @Test("A line is given once it is complete")
    func partial() throws {
        directory.append("one\ntwo\nth", to: path)
        var reader = try EventFileReader(path: path)
        #expect(rest(&reader) == ["one", "two"])
        directory.append("ree\n\nfour", to: path)
        #expect(rest(&reader) == ["three", ""])
    }

    @Test("Lines longer than a chunk are whole, lines beyond any event are skipped")
    func long() throws {
        let long = String(repeating: "x", count: 200_000)
        directory.append(long + "\n" + String(repeating: "y", count: 3 << 20) + "\nlast\n", to: path)
        var reader = try EventFileReader(path: path)
        #expect(rest(&reader) == [long, "last"])
    }

    @Test("A renamed file is read to its end before its successor, which is followed once something is in it")
    func rotation() throws {
        directory.append("one\n", to: path)
        var reader = try EventFileReader(path: path)
        #expect(rest(&reader) == ["one"])
        unsafe rename(path, path + ".1")
        directory.append("", to: path)
        reader.lookForRotation()
        directory.append("two\n", to: path + ".1")
        reader.lookForRotation()
        #expect(rest(&reader) == ["two"])
        directory.append("late\n", to: path + ".1")
        directory.append("three\n", to: path)
        reader.lookForRotation()
        #expect(rest(&reader) == ["late"])
        reader.lookForRotation()
        #expect(rest(&reader) == ["three"])
    }

    @Test("A file that is cut to nothing is begun again")
    func truncation() throws {
        directory.append("one\ntwo\n", to: path)
        var reader = try EventFileReader(path: path)
        #expect(rest(&reader).count == 2)
        unsafe truncate(path, 0)
        directory.append("new\n", to: path)
        reader.lookForRotation()
        #expect(rest(&reader) == ["new"])
    }

    @Test("A missing file is said with its name")
    func missing() {
        let error = #expect(throws: EventFileReader.Failure.self) { try EventFileReader(path: path) }
        #expect(error?.description.contains(path) == true)
    }
}

/// A directory for one test.
final class ScratchDirectory {
    let path: String

    init() {
        var template = Array("/tmp/portreeve-test.XXXXXX".utf8CString)
        _ = unsafe mkdtemp(&template)
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        for name in ["events.jsonl", "events.jsonl.1", "pending", "rolled-back", "lock"] {
            unsafe unlink(path + "/" + name)
        }
        unsafe rmdir(path)
    }

    func append(_ text: String, to path: String) {
        let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        _ = unsafe write(descriptor, text, text.utf8.count)
        close(descriptor)
    }
}
