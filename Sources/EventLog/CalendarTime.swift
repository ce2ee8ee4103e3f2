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
        let microseconds = unixNanoseconds.flooredQuotient(by: 1000)
        let seconds = microseconds.flooredQuotient(by: 1_000_000)
        let days = seconds.flooredQuotient(by: 86_400)
        let secondOfDay = Int(seconds - days * 86_400)
        microsecond = Int(microseconds - seconds * 1_000_000)
        hour = secondOfDay / 3600
        minute = secondOfDay / 60 % 60
        second = secondOfDay % 60
        (year, month, day) = CalendarTime.date(daysSince1970: Int(days))
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

    /// Appends `2026-11-21T09:15:02.123456+0000`, the form of Suricata's EVE log.
    package func appendText(to text: inout [UInt8]) {
        text.appendDecimal(year, digits: 4)
        text.append(UInt8(ascii: "-"))
        text.appendDecimal(month, digits: 2)
        text.append(UInt8(ascii: "-"))
        text.appendDecimal(day, digits: 2)
        text.append(UInt8(ascii: "T"))
        text.appendDecimal(hour, digits: 2)
        text.append(UInt8(ascii: ":"))
        text.appendDecimal(minute, digits: 2)
        text.append(UInt8(ascii: ":"))
        text.appendDecimal(second, digits: 2)
        text.append(UInt8(ascii: "."))
        text.appendDecimal(microsecond, digits: 6)
        text.append(contentsOf: "+0000".utf8)
    }
}

extension Int64 {
    /// The greatest whole number not above the quotient; `divisor` is positive.
    fileprivate func flooredQuotient(by divisor: Int64) -> Int64 {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? quotient - 1 : quotient
    }
}

extension [UInt8] {
    /// Appends the lowest decimal digits of a number that is not negative, with leading zeros.
    fileprivate mutating func appendDecimal(_ number: Int, digits: Int) {
        var divisor = 1
        for _ in 1..<digits { divisor *= 10 }
        while divisor > 0 {
            append(UInt8(ascii: "0") + UInt8(number / divisor % 10))
            divisor /= 10
        }
    }
}
