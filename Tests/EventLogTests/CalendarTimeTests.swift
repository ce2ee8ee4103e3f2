// SPDX-License-Identifier: GPL-3.0-or-later

import EventLog
import TestSupport
import Testing

@Suite("Calendar time")
struct CalendarTimeTests {
    private func text(_ nanoseconds: Int64) -> String {
        var bytes: [UInt8] = []
        CalendarTime(unixNanoseconds: nanoseconds).appendText(to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test(
        "seconds since 1970 become a date",
        arguments: [
            (0, "1970-01-01T00:00:00"), (86_398, "1970-01-01T23:59:58"), (951_868_798, "2000-02-29T23:59:58"),
            (4_107_542_398, "2100-02-28T23:59:58"), (4_107_628_798, "2100-03-01T23:59:58"),
            (-2_203_891_202, "1900-02-28T23:59:58"), (-2_203_804_802, "1900-03-01T23:59:58"),
            (1_709_251_198, "2024-02-29T23:59:58"), (1_735_689_598, "2024-12-31T23:59:58"),
            (1_735_689_600, "2025-01-01T00:00:00"), (-2, "1969-12-31T23:59:58"),
            (-8_520_249_602, "1700-01-01T23:59:58"), (9_214_732_798, "2262-01-01T23:59:58"),
            (946_684_798, "1999-12-31T23:59:58"), (1_795_252_502, "2026-11-21T09:15:02"),
        ])
    func dates(seconds: Int64, date: String) {
        #expect(text(seconds * 1_000_000_000) == date + ".000000+0000")
    }

    @Test(
        "parts of a second are cut to microseconds, also before 1970",
        arguments: [
            (999, "1970-01-01T00:00:00.000000+0000"), (1000, "1970-01-01T00:00:00.000001+0000"),
            (999_999_999, "1970-01-01T00:00:00.999999+0000"), (-1, "1969-12-31T23:59:59.999999+0000"),
            (-1000, "1969-12-31T23:59:59.999999+0000"), (-1001, "1969-12-31T23:59:59.999998+0000"),
            (Int64.max, "2262-04-11T23:47:16.854775+0000"), (Int64.min, "1677-09-21T00:12:43.145224+0000"),
        ])
    func fractions(nanoseconds: Int64, expected: String) { #expect(text(nanoseconds) == expected) }

    @Test(
        "what was written is read again",
        arguments: [0, 1, -1, 999_999, -1_000_000, 951_868_798_000_001, -2_203_804_802_000_000, 9_214_732_798_999_999])
    func readAgain(microseconds: Int64) {
        #expect(CalendarTime.unixMicroseconds(parsing: text(microseconds * 1000)) == microseconds)
    }

    @Test("an offset from UTC is taken into account")
    func offset() {
        #expect(CalendarTime.unixMicroseconds(parsing: "1970-01-01T02:30:00.000000+0230") == 0)
        #expect(CalendarTime.unixMicroseconds(parsing: "1969-12-31T19:00:00.000000-0500") == 0)
    }

    @Test(
        "text that is no moment is refused",
        arguments: [
            "", "2026-11-21T09:15:02.123456", "2026-11-21T09:15:02.12345+0000", "2026-11-21 09:15:02.123456+0000",
            "2026-11-21T09:15:02.123456Z0000", "2026-02-30T09:15:02.123456+0000", "2026-13-01T09:15:02.123456+0000",
            "2026-00-10T09:15:02.123456+0000", "2026-01-00T09:15:02.123456+0000", "2026-11-21T24:15:02.123456+0000",
            "2026-11-21T09:60:02.123456+0000", "2026-11-21T09:15:61.123456+0000", "2025-02-29T00:00:00.000000+0000",
            "+026-11-21T09:15:02.123456+0000", "２026-11-21T09:15:02.123456+0000",
        ])
    func refused(text: String) { #expect(CalendarTime.unixMicroseconds(parsing: text) == nil) }

    @Test("every day from 1800 to 2200 follows the day before it")
    func everyDay() {
        var (year, month, day) = (1800, 1, 1)
        let lengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        for number in -62_091..<84_006 {
            let time = CalendarTime(unixNanoseconds: Int64(number) * 86_400_000_000_000)
            if (time.year, time.month, time.day) != (year, month, day) {
                Issue.record("day \(number) is \(time.year)-\(time.month)-\(time.day), not \(year)-\(month)-\(day)")
                return
            }
            let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
            day += 1
            if day > lengths[month - 1] + (isLeap && month == 2 ? 1 : 0) { (month, day) = (month + 1, 1) }
            if month > 12 { (year, month) = (year + 1, 1) }
        }
    }
}
