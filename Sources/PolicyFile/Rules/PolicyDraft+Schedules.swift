// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy

/// A schedule while the files are read. Its days stay apart by key, because a later file may replace one of them.
struct ScheduleDraft {
    var name: String
    var place: SourcePlace
    var position: SourcePosition
    var timeZone = TimeZoneName.local
    var days: [(key: String, periods: [WeekPeriod])] = []

    /// The schedule with each day's times sorted and joined.
    var schedule: Schedule {
        var weekly = [[Range<Int>]](repeating: [], count: 7)
        for period in days.flatMap(\.periods) { weekly[period.day].append(period.minutes) }
        return Schedule(name: name, timeZone: timeZone, weekly: weekly.map(joined), position: position)
    }
}

/// A time of one day of the week, in minutes since midnight; Monday is day 0.
struct WeekPeriod {
    var day: Int
    var minutes: Range<Int>
}

private func joined(_ ranges: [Range<Int>]) -> [Range<Int>] {
    var result: [Range<Int>] = []
    for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
        if let previous = result.last, range.lowerBound <= previous.upperBound {
            result[result.count - 1] = previous.lowerBound..<max(previous.upperBound, range.upperBound)
        } else {
            result.append(range)
        }
    }
    return result
}

extension PolicyDraft {
    mutating func readSchedules(_ node: YAMLNode, _ sink: inout DiagnosticSink) {
        guard !node.isNothing else { return }
        guard case .mapping(let entries) = node.content else {
            sink.mismatch(node, expected: "a mapping of names to schedules")
            return
        }
        for entry in entries where sink.hasRoom { readSchedule(entry, &sink) }
    }

    private mutating func readSchedule(_ entry: YAMLEntry, _ sink: inout DiagnosticSink) {
        guard isName(entry.key) else {
            sink.error(
                at: entry.keyPlace, found: "the schedule name \(quoted(entry.key))",
                expected: "a letter, then letters, digits, '-', '_' and '.'")
            return
        }
        guard case .mapping(let parts) = entry.value.content else {
            sink.mismatch(entry.value, expected: "a mapping with the keys timezone and weekly")
            return
        }
        let index = schedules.firstIndex { $0.name == entry.key } ?? schedules.count
        if index == schedules.count {
            schedules.append(
                ScheduleDraft(name: entry.key, place: entry.keyPlace, position: sink.position(of: entry.keyPlace)))
        }
        for part in parts where sink.hasRoom {
            switch part.key {
            case "timezone": if let zone = timeZone(part.value, &sink) { schedules[index].timeZone = zone }
            case "weekly": readWeek(part.value, into: index, &sink)
            default: sink.unknownKey(part, in: "a schedule", known: ["timezone", "weekly"])
            }
        }
        if schedules[index].days.isEmpty, parts.allSatisfy({ $0.key == "timezone" }) {
            sink.error(at: entry.value.place, found: "a schedule without weekly", expected: "the times of the week")
        }
    }

    private func timeZone(_ node: YAMLNode, _ sink: inout DiagnosticSink) -> TimeZoneName? {
        let expected = "local, UTC, or the name of a time zone such as Europe/Berlin"
        guard let text = node.text else {
            sink.mismatch(node, expected: expected)
            return nil
        }
        if text == "local" { return .local }
        let isPlausible = TimeZoneName.isPlausible(text)
        guard isPlausible, text == "UTC" || surroundings.knowsTimeZone(text) else {
            sink.mismatch(
                node, expected: expected,
                suggestion: isPlausible ? "this host has no such time zone (package tzdata)" : nil)
            return nil
        }
        return .named(text)
    }

    /// Each key of `weekly` replaces what an earlier file said under the same key.
    private mutating func readWeek(_ node: YAMLNode, into index: Int, _ sink: inout DiagnosticSink) {
        guard case .mapping(let entries) = node.content, !entries.isEmpty else {
            sink.mismatch(node, expected: "a mapping of days such as mon-fri to times")
            return
        }
        for entry in entries where sink.hasRoom {
            let days = days(entry, &sink)
            let times = times(entry.value, &sink)
            let periods = days.flatMap { day in times.flatMap { $0.periods(on: day) } }
            schedules[index].days.removeAll { $0.key == entry.key }
            schedules[index].days.append((entry.key, periods))
        }
    }

    private func days(_ entry: YAMLEntry, _ sink: inout DiagnosticSink) -> [Int] {
        if entry.key == "all" { return Array(0..<7) }
        let names = entry.key.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let days = names.compactMap { weekdays.firstIndex(of: $0) }
        guard days.count == names.count, let first = days.first, let last = days.last else {
            sink.error(
                at: entry.keyPlace, found: "the day \(quoted(entry.key))",
                expected: "all, one of \(alternatives(weekdays)), or a range such as mon-fri",
                suggestion: PolicyDraft.meantDays(entry.key))
            return []
        }
        return (0...(last - first + 7) % 7).map { (first + $0) % 7 }
    }

    /// The key that a text most likely means: `Mon-Fri`, `monday to friday`, `weekend`.
    private static func meantDays(_ text: String) -> String? {
        let text = text.lowercased()
        switch text {
        case "weekday", "weekdays", "workdays": return "write mon-fri"
        case "weekend", "weekends": return "write sat-sun"
        case "daily", "always", "any", "every", "everyday", "*": return "write all"
        default: break
        }
        if text.contains(",") { return "each day or range of days is a key of its own" }
        let words = text.replacing("–", with: "-").replacing(" to ", with: "-")
            .split(separator: "-", omittingEmptySubsequences: false)
        let days = words.compactMap { word in
            weekdays.first { word.drop { $0 == " " }.hasPrefix($0) }
        }
        return days.count == words.count && 1...2 ~= days.count ? "write \(days.joined(separator: "-"))" : nil
    }

    private func times(_ node: YAMLNode, _ sink: inout DiagnosticSink) -> [DayTime] {
        let nodes: [YAMLNode]
        switch node.content {
        case .sequence(let items): nodes = items
        case .scalar where !node.isNothing: nodes = [node]
        default: nodes = []
        }
        if nodes.isEmpty { sink.mismatch(node, expected: DayTime.expected) }
        return nodes.compactMap { node in
            guard let text = node.text else {
                sink.mismatch(node, expected: DayTime.expected)
                return nil
            }
            return sink.value(of: node) { () throws(ScalarFault) in try DayTime(text) }
        }
    }
}

let weekdays = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

extension Substring {
    fileprivate var trimmingBlanks: Substring {
        var text = self
        while text.first == " " { text.removeFirst() }
        while text.last == " " { text.removeLast() }
        return text
    }
}

/// A time such as `08:00-18:00`, in minutes since midnight. One that ends before it begins goes on over midnight into the
/// next day.
private struct DayTime {
    var start: Int
    var end: Int

    static let expected = "a time such as \"08:00-18:00\", 00:00 to 24:00"

    init(_ text: String) throws(ScalarFault) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, let start = DayTime.minutes(parts[0]), let end = DayTime.minutes(parts[1]),
            start < 1440
        else { throw ScalarFault(DayTime.expected, suggestion: DayTime.meant(parts)) }
        guard start != end else {
            throw ScalarFault("a time that lasts", suggestion: "the whole day is \"00:00-24:00\"")
        }
        self.start = start
        self.end = end
    }

    /// Hours of one digit, and hours without minutes.
    private static func meant(_ parts: [Substring]) -> String? {
        let clocks = parts.map { part in
            let numbers = part.split(separator: ":", omittingEmptySubsequences: false)
                .map { $0.trimmingBlanks }.map { $0.utf8.count == 1 ? "0\($0)" : String($0) }
            return (numbers.count == 1 ? numbers + ["00"] : numbers).joined(separator: ":")
        }
        guard clocks.count == 2, clocks != parts.map(String.init), clocks.allSatisfy({ minutes(Substring($0)) != nil })
        else { return nil }
        return "write \"\(clocks.joined(separator: "-"))\""
    }

    private static func minutes(_ text: Substring) -> Int? {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let hour = twoDigits(parts[0]), let minute = twoDigits(parts[1]) else { return nil }
        guard minute < 60, hour < 24 || (hour == 24 && minute == 0) else { return nil }
        return hour * 60 + minute
    }

    private static func twoDigits(_ text: Substring) -> Int? {
        guard text.utf8.count == 2, text.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }) else {
            return nil
        }
        return Int(text)
    }

    func periods(on day: Int) -> [WeekPeriod] {
        if start < end { return [WeekPeriod(day: day, minutes: start..<end)] }
        let evening = WeekPeriod(day: day, minutes: start..<1440)
        return end == 0 ? [evening] : [evening, WeekPeriod(day: (day + 1) % 7, minutes: 0..<end)]
    }
}
