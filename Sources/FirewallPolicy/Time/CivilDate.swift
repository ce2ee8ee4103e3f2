// SPDX-License-Identifier: GPL-3.0-or-later

/// Dates of the proleptic Gregorian calendar as days since 1970-01-01.
enum CivilDate {
    /// Days since 1970-01-01 of a date; `month` is 1–12. Years run from March, so that the leap day is the last.
    static func days(year: Int64, month: Int64, day: Int64) -> Int64 {
        let marchYear = month <= 2 ? year - 1 : year
        let cycle = floorDivide(marchYear, 400)
        let yearOfCycle = marchYear - cycle * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        let dayOfCycle = yearOfCycle * 365 + yearOfCycle / 4 - yearOfCycle / 100 + dayOfYear
        return cycle * daysOfCycle + dayOfCycle - daysFromMarch0To1970
    }

    /// The year of a day since 1970-01-01.
    static func year(ofDay day: Int64) -> Int64 {
        let estimate = 1970 + floorDivide(day * 400, daysOfCycle)
        if day < days(year: estimate, month: 1, day: 1) { return estimate - 1 }
        return day < days(year: estimate + 1, month: 1, day: 1) ? estimate : estimate + 1
    }

    /// The date of a day since 1970-01-01; `month` and `day` from 1.
    static func date(ofDay day: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let year = year(ofDay: day)
        var rest = day - days(year: year, month: 1, day: 1)
        var month: Int64 = 1
        while rest >= daysOfMonth(month, of: year) {
            rest -= daysOfMonth(month, of: year)
            month += 1
        }
        return (year, month, rest + 1)
    }

    static func daysOfMonth(_ month: Int64, of year: Int64) -> Int64 {
        switch month {
        case 2: isLeap(year) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    static func isLeap(_ year: Int64) -> Bool { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) }

    /// 0 is Monday. 1970-01-01 was a Thursday.
    static func weekday(ofDay day: Int64) -> Int { Int(floorModulo(day + 3, 7)) }

    static func floorDivide(_ a: Int64, _ b: Int64) -> Int64 { a / b - (a % b < 0 ? 1 : 0) }
    static func floorModulo(_ a: Int64, _ b: Int64) -> Int64 { a - floorDivide(a, b) * b }

    static let secondsPerDay: Int64 = 86_400
    /// In the 400 years after which the calendar repeats.
    private static let daysOfCycle: Int64 = 146_097
    private static let daysFromMarch0To1970: Int64 = 719_468
}
