// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc

/// Calendar time in the time zone of who looks at it.
struct WallTime: Hashable, Comparable {
    /// Since 1970.
    var microseconds: Int64

    init(microseconds: Int64) { self.microseconds = microseconds }
    init(seconds: Int64) { microseconds = seconds.multipliedReportingOverflow(by: 1_000_000).partialValue }

    static func < (a: WallTime, b: WallTime) -> Bool { a.microseconds < b.microseconds }

    static var now: WallTime {
        var time = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &time)
        return WallTime(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000)
    }

    /// "2026-11-21 09:15:02 +0100".
    var text: String {
        var seconds = time_t(microseconds.dividedRoundingDown(by: 1_000_000))
        var fields = unsafe tm()
        guard unsafe localtime_r(&seconds, &fields) != nil else { return "?" }
        let minutes = unsafe Int(fields.tm_gmtoff) / 60
        func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return "\(clock) \(minutes < 0 ? "-" : "+")\(two(abs(minutes) / 60))\(two(abs(minutes) % 60))"
    }

    /// "2026-11-21 09:15:02".
    private var clock: String {
        var seconds = time_t(microseconds.dividedRoundingDown(by: 1_000_000))
        var fields = unsafe tm()
        guard unsafe localtime_r(&seconds, &fields) != nil else { return "?" }
        func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let date = unsafe "\(fields.tm_year + 1900)-\(two(fields.tm_mon + 1))-\(two(fields.tm_mday))"
        return unsafe "\(date) \(two(fields.tm_hour)):\(two(fields.tm_min)):\(two(fields.tm_sec))"
    }
}

extension WallTime {
    /// "2026-11-21T09:15:02.123456+0000": date, then time to the minute, second or fraction, then the offset. A time
    /// without offset is local; a space may stand for the T and before the offset; a date alone is its beginning.
    init?(parsing text: some StringProtocol) {
        var reader = TimeReader(rest: Substring(text))
        guard let fields = reader.dateAndTime(), let offset = reader.offset(), reader.rest.isEmpty,
            let seconds = offset.map({ fields.unixSeconds(offset: $0) }) ?? fields.localSeconds
        else { return nil }
        microseconds = seconds * 1_000_000 + Int64(fields.microsecond)
    }
}

private struct TimeFields {
    var year: Int32
    var month: Int32
    var day: Int32
    var hour: Int32 = 0
    var minute: Int32 = 0
    var second: Int32 = 0
    var microsecond: Int32 = 0

    func unixSeconds(offset: Int64) -> Int64? {
        unsafe seconds { fields in unsafe timegm(&fields) }.map { $0 - offset }
    }

    var localSeconds: Int64? { unsafe seconds { fields in unsafe mktime(&fields) } }

    private func seconds(_ convert: (inout tm) -> time_t) -> Int64? {
        var fields = unsafe tm()
        unsafe (fields.tm_year, fields.tm_mon, fields.tm_mday) = (year - 1900, month - 1, day)
        unsafe (fields.tm_hour, fields.tm_min, fields.tm_sec, fields.tm_isdst) = (hour, minute, second, -1)
        let seconds = unsafe convert(&fields)
        // The C library would make the 31st of June the 1st of July.
        return unsafe fields.tm_mday == day ? Int64(seconds) : nil
    }
}

private struct TimeReader {
    var rest: Substring

    /// Exactly so many digits.
    private mutating func number(_ digits: Int, _ range: ClosedRange<Int32>) -> Int32? {
        let part = rest.prefix(digits)
        guard part.utf8.count == digits, part.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }),
            let number = Int32(part), range ~= number
        else { return nil }
        rest = rest.dropFirst(digits)
        return number
    }

    private mutating func take(_ characters: String) -> Bool {
        guard let first = rest.first, characters.contains(first) else { return false }
        rest = rest.dropFirst()
        return true
    }

    mutating func dateAndTime() -> TimeFields? {
        guard let year = number(4, 1...9999), take("-"), let month = number(2, 1...12), take("-"),
            let day = number(2, 1...31)
        else { return nil }
        var fields = TimeFields(year: year, month: month, day: day)
        guard take("T ") else { return fields }
        guard let hour = number(2, 0...23), take(":"), let minute = number(2, 0...59) else { return nil }
        (fields.hour, fields.minute) = (hour, minute)
        guard take(":") else { return fields }
        guard let second = number(2, 0...60) else { return nil }
        fields.second = second
        guard take(".") else { return fields }
        let digits = rest.prefix { $0 >= "0" && $0 <= "9" }
        rest = rest.dropFirst(digits.count)
        guard !digits.isEmpty, let fraction = Int32((digits + "00000").prefix(6)) else { return nil }
        fields.microsecond = fraction
        return fields
    }

    /// Seconds east of Greenwich; the inner nil is a time without offset.
    mutating func offset() -> Int64?? {
        if rest.isEmpty { return .some(nil) }
        _ = take(" ")
        if take("Zz") { return 0 }
        let isWest = rest.first == "-"
        guard take("+-"), let hours = number(2, 0...23) else { return .none }
        _ = take(":")
        guard let minutes = number(2, 0...59) else { return .none }
        return (Int64(hours) * 3600 + Int64(minutes) * 60) * (isWest ? -1 : 1)
    }
}

extension Int64 {
    fileprivate func dividedRoundingDown(by divisor: Int64) -> Int64 {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? quotient - 1 : quotient
    }

    /// A length of time in seconds, in its two greatest units: "2 d 3 h", "1 m 5 s".
    var lengthText: String {
        let units: [(String, Int64)] = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)]
        guard let first = units.firstIndex(where: { self >= $0.1 }) else { return "0 s" }
        let major = "\(self / units[first].1) \(units[first].0)"
        guard first + 1 < units.count else { return major }
        let rest = self % units[first].1 / units[first + 1].1
        return rest == 0 ? major : "\(major) \(rest) \(units[first + 1].0)"
    }
}
