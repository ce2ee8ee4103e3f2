// SPDX-License-Identifier: GPL-3.0-or-later

/// A moment of Unix time as the UTC calendar (proleptic Gregorian) has it, to the microsecond below.
package struct CalendarTime: Hashable, Sendable, BitwiseCopyable {
    package var year: Int
    package var month: Int
    package var day: Int
    package var hour: Int
    package var minute: Int
    package var second: Int
    package var microsecond: Int

    /// Any value: the range of `Int64` nanoseconds is the years 1677 to 2262.
    package init(unixNanoseconds: Int64) {
        self.init(unixMicroseconds: unixNanoseconds.flooredQuotient(by: 1000))
    }

    /// Any value; years outside 0 to 9999 are printed as the nearest of these.
    package init(unixMicroseconds microseconds: Int64) {
        let seconds = microseconds.flooredQuotient(by: 1_000_000)
        let days = seconds.flooredQuotient(by: 86_400)
        let secondOfDay = Int(seconds - days * 86_400)
        microsecond = Int(microseconds &- seconds &* 1_000_000)
        hour = secondOfDay / 3600
        minute = secondOfDay / 60 % 60
        second = secondOfDay % 60
        (year, month, day) = CalendarTime.date(daysSince1970: Int(days))
    }

    /// Reads what `appendText` writes, with any offset from UTC; `nil` for other text and for dates that do not exist.
    package static func unixMicroseconds(parsing text: String) -> Int64? {
        let bytes = Array(text.utf8)
        let form = Array("dddd-dd-ddTdd:dd:dd.dddddd+dddd".utf8)
        guard bytes.count == form.count else { return nil }
        for (byte, expected) in zip(bytes, form) {
            switch expected {
            case UInt8(ascii: "d"): guard 0x30...0x39 ~= byte else { return nil }
            case UInt8(ascii: "+"): guard byte == expected || byte == UInt8(ascii: "-") else { return nil }
            default: guard byte == expected else { return nil }
            }
        }
        func number(_ range: Range<Int>) -> Int64 { bytes[range].reduce(0) { $0 * 10 + Int64($1 - 0x30) } }
        let days = daysSince1970(year: Int(number(0..<4)), month: Int(number(5..<7)), day: Int(number(8..<10)))
        guard let days, number(11..<13) < 24, number(14..<16) < 60, number(17..<19) < 61 else { return nil }
        let seconds = Int64(days) * 86_400 + number(11..<13) * 3600 + number(14..<16) * 60 + number(17..<19)
        let offset = number(27..<29) * 3600 + number(29..<31) * 60
        return (bytes[26] == UInt8(ascii: "-") ? seconds + offset : seconds - offset) * 1_000_000 + number(20..<26)
    }

    /// `nil` for a date that does not exist.
    private static func daysSince1970(year: Int, month: Int, day: Int) -> Int? {
        guard 1...12 ~= month, 1...31 ~= day else { return nil }
        let marchYear = month > 2 ? year : year - 1
        let era = Int(Int64(marchYear).flooredQuotient(by: 400))
        let yearOfEra = marchYear - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let days = era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
        return date(daysSince1970: days) == (year, month, day) ? days : nil
    }

    /// Counts in eras of 400 years, which all have 146,097 days, and in years that begin on the first of March, so that the
    /// leap day is the last of its year.
    private static func date(daysSince1970: Int) -> (year: Int, month: Int, day: Int) {
        let days = daysSince1970 + 719_468  // since 0000-03-01
        let era = Int(Int64(days).flooredQuotient(by: 146_097))
        let dayOfEra = days - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        // From March on, months have 153 days in each five.
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        return (era * 400 + yearOfEra + (month <= 2 ? 1 : 0), month, day)
    }

    package typealias Text = InlineArray<31, UInt8>

    /// `2026-11-21T09:15:02.123456+0000`, the form of Suricata's EVE log.
    package var text: Text {
        var text: Text = CalendarTime.form
        text.put(min(max(year, 0), 9999), 0..<4)
        text.put(month, 5..<7)
        text.put(day, 8..<10)
        text.put(hour, 11..<13)
        text.put(minute, 14..<16)
        text.put(second, 17..<19)
        text.put(microsecond, 20..<26)
        return text
    }

    /// `2026-11-21T09:15:02+0000`.
    package var textOfSeconds: String {
        var bytes: [UInt8] = []
        appendText(to: &bytes)
        return String(decoding: bytes[..<19] + bytes[26...], as: UTF8.self)
    }

    package func appendText(to text: inout [UInt8]) {
        let new = self.text
        for place in new.indices { text.append(new[place]) }
    }

    private static let form: Text = {
        let form = Array("0000-00-00T00:00:00.000000+0000".utf8)
        return Text { form[$0] }
    }()
}

extension InlineArray<31, UInt8> {
    /// Writes a number with as many digits as there are places.
    fileprivate mutating func put(_ number: Int, _ places: Range<Int>) {
        var rest = number
        var place = places.upperBound
        while place > places.lowerBound {
            place -= 1
            self[place] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        }
    }
}

extension Int64 {
    /// The greatest whole number not above the quotient; `divisor` is positive.
    fileprivate func flooredQuotient(by divisor: Int64) -> Int64 {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? quotient - 1 : quotient
    }
}
