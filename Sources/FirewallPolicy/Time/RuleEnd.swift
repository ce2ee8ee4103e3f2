// SPDX-License-Identifier: GPL-3.0-or-later

/// When a rule ends, as the policy says it: a date and time as in RFC 3339, to the second, seconds and offset left out where need be.
public struct RuleEnd: Hashable, Sendable {
    /// Seconds since 1970 as the clock on the wall shows them.
    private let civil: Int64
    /// Seconds east of UTC; nil: the host's own zone, whatever it is.
    private let offset: Int64?

    /// `2027-01-31T18:00`, `2027-01-31 18:00:30`, `2027-01-31T17:00Z`, `2027-01-31T18:00+01:00`; nil for anything else.
    public init?(text: String) {
        var reader = Reader(rest: Substring(text).utf8)
        guard let year = reader.digits(4), reader.takes("-"), let month = reader.digits(2), reader.takes("-"),
            let day = reader.digits(2), reader.takes("T") || reader.takes(" "), let hour = reader.digits(2),
            reader.takes(":"), let minute = reader.digits(2)
        else { return nil }
        var second: Int64 = 0
        if reader.takes(":") {
            guard let number = reader.digits(2) else { return nil }
            second = number
        }
        guard let offset = reader.offset(), reader.rest.isEmpty, year >= 1970, 1...12 ~= month,
            1...CivilDate.daysOfMonth(month, of: year) ~= day, hour < 24, minute < 60, second < 60
        else { return nil }
        self.offset = offset
        civil =
            CivilDate.days(year: year, month: month, day: day) * CivilDate.secondsPerDay + hour * 3_600 + minute * 60
            + second
    }

    public var isLocal: Bool { offset == nil }

    /// The Unix time from which on it is over. Where the clocks show the time twice it is the first of them, and where they pass over
    /// it, as late as if they did not.
    public func unixTime(_ zones: CalendarZones) -> Int64 {
        if let offset { return civil - offset }
        let zone = zones[.local]
        // No zone is further from UTC than a day, and clocks are not changed twice within two.
        let around = [-CivilDate.secondsPerDay, CivilDate.secondsPerDay].map { civil - zone.offset(at: civil + $0) }
        return around.filter { $0 + zone.offset(at: $0) == civil }.min() ?? around[0]
    }

    /// As it is read.
    public var text: String {
        func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let date = CivilDate.date(ofDay: CivilDate.floorDivide(civil, CivilDate.secondsPerDay))
        let time = CivilDate.floorModulo(civil, CivilDate.secondsPerDay)
        let clock = "\(two(time / 3_600)):\(two(time / 60 % 60)):\(two(time % 60))"
        let zone = offset.map { east in
            let minutes = abs(east) / 60
            return east == 0 ? "Z" : "\(east < 0 ? "-" : "+")\(two(minutes / 60)):\(two(minutes % 60))"
        }
        return "\(date.year)-\(two(date.month))-\(two(date.day))T\(clock)\(zone ?? "")"
    }
}

private struct Reader {
    var rest: Substring.UTF8View

    mutating func digits(_ count: Int) -> Int64? {
        let text = rest.prefix(count)
        guard text.count == count, text.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }) else { return nil }
        rest = rest.dropFirst(count)
        return Int64(Substring(text))
    }

    mutating func takes(_ character: Unicode.Scalar) -> Bool {
        guard rest.first == UInt8(ascii: character) else { return false }
        rest = rest.dropFirst()
        return true
    }

    /// Seconds east of UTC, or nil in nil where none is said; nil where it is none.
    mutating func offset() -> Int64?? {
        if rest.isEmpty { return .some(nil) }
        if takes("Z") { return 0 }
        let isEast = takes("+")
        guard isEast || takes("-"), let hours = digits(2), takes(":"), let minutes = digits(2), hours < 24, minutes < 60
        else { return nil }
        return (isEast ? 1 : -1) * (hours * 3_600 + minutes * 60)
    }
}
