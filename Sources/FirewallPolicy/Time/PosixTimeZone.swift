// SPDX-License-Identifier: GPL-3.0-or-later

/// The rule in a TZif footer for times after the last transition of the file: a POSIX TZ string (POSIX.1-2017 section 8.3)
/// with the wider hours of RFC 8536 section 3.3.1, such as `CET-1CEST,M3.5.0,M10.5.0/3`.
struct PosixTimeZone: Hashable, Sendable {
    /// Seconds east of UTC.
    let standardOffset: Int64
    private let daylight: Daylight?

    private struct Daylight: Hashable, Sendable {
        var offset: Int64
        var start: YearlyMoment
        var end: YearlyMoment
    }

    struct Transition {
        var time: Int64
        var offset: Int64
    }

    /// nil if the string is not of that form. Daylight saving without dates is not accepted: what it means is up to the
    /// implementation.
    init?(_ text: some Sequence<UInt8>) {
        var scanner = Scanner(Array(text))
        guard scanner.skipName(), let west = scanner.time(limit: 24) else { return nil }
        standardOffset = -west
        if scanner.isAtEnd {
            daylight = nil
            return
        }
        guard scanner.skipName() else { return nil }
        var offset = standardOffset + 3_600
        if !scanner.isNext(",") {
            guard let west = scanner.time(limit: 24) else { return nil }
            offset = -west
        }
        guard scanner.skip(","), let start = scanner.moment(), scanner.skip(","), let end = scanner.moment(),
            scanner.isAtEnd
        else { return nil }
        daylight = Daylight(offset: offset, start: start, end: end)
    }

    /// Seconds east of UTC at a time.
    func offset(at unixTime: Int64) -> Int64 {
        transitions(around: unixTime).last { $0.time <= unixTime }?.offset ?? standardOffset
    }

    /// The first change of the offset after a time.
    func nextTransition(after unixTime: Int64) -> Transition? {
        let now = offset(at: unixTime)
        return transitions(around: unixTime).first { $0.time > unixTime && $0.offset != now }
    }

    /// The transitions of the year before to the year after, ascending. Where daylight saving never ends, its end and the
    /// next start coincide, and the start counts.
    private func transitions(around unixTime: Int64) -> [Transition] {
        guard let daylight else { return [] }
        let year = CivilDate.year(ofDay: CivilDate.floorDivide(unixTime, CivilDate.secondsPerDay))
        return (year - 1...year + 1)
            .flatMap { year in
                [
                    Transition(
                        time: daylight.end.secondsSince1970(inYear: year) - daylight.offset, offset: standardOffset),
                    Transition(
                        time: daylight.start.secondsSince1970(inYear: year) - standardOffset, offset: daylight.offset),
                ]
            }
            .sorted {
                ($0.time, $0.offset == daylight.offset ? 1 : 0) < ($1.time, $1.offset == daylight.offset ? 1 : 0)
            }
    }
}

/// A moment of every year in local time.
private struct YearlyMoment: Hashable, Sendable {
    enum Day: Hashable, Sendable {
        /// `Jn`: 1–365, February 29 is never counted.
        case withoutLeapDay(Int64)
        /// `n`: 0–365.
        case zeroBased(Int64)
        /// `Mm.w.d`: week 5 is the last; Sunday is 0.
        case weekday(month: Int64, week: Int64, day: Int64)
    }

    var day: Day
    /// Seconds after the midnight that begins the day; from −167 to 167 hours.
    var time: Int64

    /// In local time.
    func secondsSince1970(inYear year: Int64) -> Int64 {
        dayNumber(inYear: year) * CivilDate.secondsPerDay + time
    }

    private func dayNumber(inYear year: Int64) -> Int64 {
        let newYear = CivilDate.days(year: year, month: 1, day: 1)
        switch day {
        case .withoutLeapDay(let n): return newYear + n - 1 + (n >= 60 && CivilDate.isLeap(year) ? 1 : 0)
        case .zeroBased(let n): return newYear + n
        case .weekday(let month, let week, let day):
            let first = CivilDate.days(year: year, month: month, day: 1)
            let next = CivilDate.days(year: month == 12 ? year + 1 : year, month: month % 12 + 1, day: 1)
            let monday = Int64(CivilDate.weekday(ofDay: first))
            var result = first + CivilDate.floorModulo(day - 1 - monday, 7) + (week - 1) * 7
            if result >= next { result -= 7 }
            return result
        }
    }
}

/// Reads the parts of a POSIX TZ string.
private struct Scanner {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var isAtEnd: Bool { position == bytes.count }

    func isNext(_ character: Unicode.Scalar) -> Bool {
        position < bytes.count && bytes[position] == UInt8(ascii: character)
    }

    mutating func skip(_ character: Unicode.Scalar) -> Bool {
        guard isNext(character) else { return false }
        position += 1
        return true
    }

    /// Letters, or anything between angle brackets.
    mutating func skipName() -> Bool {
        let start = position
        if skip("<") {
            while position < bytes.count, !isNext(">") { position += 1 }
            return skip(">")
        }
        while position < bytes.count, case let letter = bytes[position] | 0x20,
            UInt8(ascii: "a")...UInt8(ascii: "z") ~= letter
        {
            position += 1
        }
        return position > start
    }

    mutating func number(_ range: ClosedRange<Int64>) -> Int64? {
        var value: Int64 = 0
        let start = position
        while position < bytes.count, UInt8(ascii: "0")...UInt8(ascii: "9") ~= bytes[position], position - start < 4 {
            value = value * 10 + Int64(bytes[position] - UInt8(ascii: "0"))
            position += 1
        }
        return position > start && range ~= value ? value : nil
    }

    /// `[+-]hh[:mm[:ss]]` in seconds.
    mutating func time(limit hours: Int64) -> Int64? {
        let isNegative = skip("-")
        if !isNegative { _ = skip("+") }
        guard let hour = number(0...hours) else { return nil }
        var seconds = hour * 3_600
        if skip(":") {
            guard let minute = number(0...59) else { return nil }
            seconds += minute * 60
            if skip(":") {
                guard let second = number(0...59) else { return nil }
                seconds += second
            }
        }
        return isNegative ? -seconds : seconds
    }

    /// A date, and a time unless it is two o'clock.
    mutating func moment() -> YearlyMoment? {
        guard let day = day() else { return nil }
        guard skip("/") else { return YearlyMoment(day: day, time: 7_200) }
        return time(limit: 167).map { YearlyMoment(day: day, time: $0) }
    }

    private mutating func day() -> YearlyMoment.Day? {
        if skip("J") { return number(1...365).map { .withoutLeapDay($0) } }
        guard skip("M") else { return number(0...365).map { .zeroBased($0) } }
        guard let month = number(1...12), skip("."), let week = number(1...5), skip("."), let day = number(0...6)
        else { return nil }
        return .weekday(month: month, week: week, day: day)
    }
}
