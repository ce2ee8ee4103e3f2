// SPDX-License-Identifier: GPL-3.0-or-later

import Testing

@testable import portreeve

@Suite("Calendar time")
struct WallTimeTests {
    @Test(
        "A time with its offset is one moment everywhere",
        arguments: [
            ("1970-01-01T00:00:00Z", 0), ("2026-11-21T09:15:02.123456+0000", 1_795_252_502_123_456),
            ("2026-11-21T10:15:02.123456+01:00", 1_795_252_502_123_456),
            ("2026-11-21 04:15:02.5-0500", 1_795_252_502_500_000),
            ("2026-11-21T09:15:02.1234567Z", 1_795_252_502_123_456), ("2024-02-29T12:00z", 1_709_208_000_000_000),
            ("2026-11-21T09:15+0000", 1_795_252_500_000_000), ("1969-12-31T23:59:59Z", -1_000_000),
        ])
    func offsets(text: String, microseconds: Int64) {
        #expect(WallTime(parsing: text)?.microseconds == microseconds)
    }

    @Test(
        "A time without offset is that of who looks, and is printed with theirs, as a time that can be read again",
        arguments: ["2026-11-21 09:15:02", "2026-06-21 00:00:00", "1999-12-31 23:59:59"])
    func local(text: String) {
        let time = WallTime(parsing: text)
        let offset = time?.text.dropFirst(text.count + 1) ?? ""
        #expect(time?.text.hasPrefix("\(text) ") == true && offset.count == 5 && "+-".contains(offset.first ?? " "))
        #expect(WallTime(parsing: text.replacing(" ", with: "T")) == time)
        #expect(WallTime(parsing: time?.text ?? "") == time)
    }

    @Test("A date alone is its beginning")
    func date() {
        #expect(WallTime(parsing: "2026-11-21")?.text.hasPrefix("2026-11-21 00:00:00 ") == true)
        #expect(WallTime(parsing: "2026-11-21 09:15")?.text.hasPrefix("2026-11-21 09:15:00 ") == true)
    }

    @Test(
        "What is no time is refused",
        arguments: [
            "", "now", "2026", "2026-11", "2026-13-01", "2026-00-10", "2026-11-32", "2026-06-31", "2025-02-29",
            "2026-11-21T", "2026-11-21T09", "2026-11-21T24:00", "2026-11-21T09:60", "2026-11-21T09:15:61",
            "2026-11-21T09:15:02.", "2026-11-21T09:15:02.Z", "2026-11-21T09:15:02+", "2026-11-21T09:15:02+1",
            "2026-11-21T09:15:02+0100x", "2026-11-21T09:15:02 ", "٢٠٢٦-11-21", "-026-11-21", "2026-11-21T09:15:02.٣Z",
        ])
    func refused(text: String) {
        #expect(WallTime(parsing: text) == nil)
    }

    @Test(
        "A length of time is said in its two greatest units",
        arguments: [
            (0, "0 s"), (59, "59 s"), (60, "1 m"), (65, "1 m 5 s"), (3600, "1 h"), (3661, "1 h 1 m"),
            (86_400 + 59, "1 d"), (2 * 86_400 + 3 * 3600, "2 d 3 h"),
        ] as [(Int64, String)])
    func lengths(seconds: Int64, text: String) {
        #expect(seconds.lengthText == text)
    }
}

@Suite("Text for terminals")
struct ConsoleTests {
    @Test("Controls, overrides and line breaks of foreign text are made visible, letters stay")
    func harmless() {
        #expect("a\u{1b}[2Jb\r\n\u{202e}c\u{7f}é漢".harmless == "a\u{fffd}[2Jb\u{fffd}\u{fffd}\u{fffd}c\u{fffd}é漢")
    }

    @Test(
        "Numbers are grouped by thousands",
        arguments: [(0, "0"), (999, "999"), (1000, "1,000"), (-1_234_567, "-1,234,567")])
    func grouped(number: Int, text: String) {
        #expect(number.grouped == text)
    }

    @Test("A long line is broken between words; a long word stays whole")
    func wrapped() {
        #expect("rule         one two".wrapped(to: 80, indent: 13) == ["rule         one two"])
        #expect("rule         one two".wrapped(to: nil, indent: 13) == ["rule         one two"])
        #expect("rule   one two three".wrapped(to: 14, indent: 7) == ["rule   one two", "       three"])
        #expect("  a /a/very/long/path b".wrapped(to: 10, indent: 4) == ["  a", "    /a/very/long/path", "    b"])
    }

    @Test("In a terminal that is too narrow a row takes several lines, and the last column may be cut")
    func folded() {
        var table = TextTable([.text("SOURCE"), .text("TARGET"), .number("COUNT"), .text("RULE", cutTo: 4)])
        table.add(["[2001:db8::1]:22", "[2001:db8::2]:40000", "7", "Services of the house"])
        #expect(
            table.lines(width: 54) == [
                "SOURCE            TARGET               COUNT  RULE",
                "[2001:db8::1]:22  [2001:db8::2]:40000      7  Service…",
            ])
        #expect(
            table.lines(width: 40) == [
                "SOURCE            TARGET", "    COUNT  RULE", "[2001:db8::1]:22  [2001:db8::2]:40000",
                "        7  Services of the house",
            ])
    }

    @Test("Columns are as wide as their widest cell, numbers stand right, and no line ends in spaces")
    func table() {
        var table = TextTable([.text("NAME"), .number("COUNT"), .text("NOTE")])
        table.add(["a", "1,000", ""])
        table.add(["longer", "7", "x"])
        #expect(table.lines(indent: 1) == [" NAME    COUNT  NOTE", " a       1,000", " longer      7  x"])
    }
}
