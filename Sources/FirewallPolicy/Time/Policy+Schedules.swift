// SPDX-License-Identifier: GPL-3.0-or-later

extension Policy {
    /// Which schedules hold at a Unix time: bit n for `document.schedules[n]`. For `RuleSubject.activeSchedules`; changes
    /// at `nextScheduleChange`.
    public func scheduleActivity(_ zones: CalendarZones, unixTime: Int64) -> UInt64 {
        var bits: UInt64 = 0
        for (index, schedule) in document.schedules.enumerated()
        where schedule.holds(at: unixTime, zones) {
            bits |= 1 << UInt64(index)
        }
        return bits
    }

    /// The earliest Unix time after `unixTime` at which the activity may be another, as long as the clock is not set; nil
    /// if it never changes.
    public func nextScheduleChange(_ zones: CalendarZones, after unixTime: Int64) -> Int64? {
        var next: Int64?
        for schedule in document.schedules {
            if let end = schedule.end?.unixTime(zones) {
                guard end > unixTime else { continue }
                next = min(next ?? .max, end)
                if schedule.hoursOf == nil { continue }
            }
            let zone = zones[schedule.timeZone]
            guard let edge = schedule.secondsToNextEdge(after: LocalTime(unixTime, zone)) else { continue }
            let change = min(unixTime + edge, zone.nextTransition(after: unixTime) ?? .max)
            next = min(next ?? .max, change)
        }
        return next
    }
}

/// A moment as the clock on the wall shows it.
private struct LocalTime {
    /// 0 is Monday.
    var weekday: Int
    var secondOfDay: Int

    init(_ unixTime: Int64, _ zone: TimeZoneRules) {
        let local = unixTime &+ zone.offset(at: unixTime)
        let day = CivilDate.floorDivide(local, CivilDate.secondsPerDay)
        weekday = CivilDate.weekday(ofDay: day)
        secondOfDay = Int(CivilDate.floorModulo(local, CivilDate.secondsPerDay))
    }
}

extension Schedule {
    fileprivate func holds(at unixTime: Int64, _ zones: CalendarZones) -> Bool {
        if let end, unixTime >= end.unixTime(zones) { return false }
        return end != nil && hoursOf == nil || holds(at: LocalTime(unixTime, zones[timeZone]))
    }

    fileprivate func holds(at time: LocalTime) -> Bool {
        weekly.indices ~= time.weekday && weekly[time.weekday].contains { $0.contains(time.secondOfDay / 60) }
    }

    /// Seconds until the next begin or end of a range, if clocks are not changed before.
    fileprivate func secondsToNextEdge(after time: LocalTime) -> Int64? {
        var next: Int?
        for day in 0...7 {
            let weekday = (time.weekday + day) % 7
            guard weekly.indices ~= weekday else { continue }
            for edge in weekly[weekday].flatMap({ [$0.lowerBound, $0.upperBound] }) {
                let seconds = day * Int(CivilDate.secondsPerDay) + edge * 60 - time.secondOfDay
                if seconds > 0 { next = min(next ?? .max, seconds) }
            }
        }
        return next.map(Int64.init)
    }
}
