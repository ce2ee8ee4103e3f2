// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import Testing

@Suite("The end of a rule")
struct RuleEndTests {
    private func zones(_ zone: TZifWriter?) throws -> CalendarZones {
        var zones = CalendarZones()
        if let zone { zones[.local] = try TimeZoneRules(tzif: zone.bytes) }
        return zones
    }

    private func end(_ text: String) throws -> RuleEnd { try #require(RuleEnd(text: text)) }

    @Test(
        "is a date and time of RFC 3339, and is printed so",
        arguments: [
            ("2025-01-01T00:00Z", 1_735_689_600, "2025-01-01T00:00:00Z"),
            ("2025-01-01 00:00:07Z", 1_735_689_607, "2025-01-01T00:00:07Z"),
            ("2025-01-01T01:00+01:00", 1_735_689_600, "2025-01-01T01:00:00+01:00"),
            ("2024-12-31T18:30:00-05:30", 1_735_689_600, "2024-12-31T18:30:00-05:30"),
            ("2024-02-29T23:59:59Z", 1_709_251_199, "2024-02-29T23:59:59Z"),
            ("1970-01-01T00:00Z", 0, "1970-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59Z", 253_402_300_799, "9999-12-31T23:59:59Z"),
        ] as [(String, Int64, String)])
    func texts(text: String, time: Int64, printed: String) throws {
        let end = try end(text)
        #expect(end.unixTime(CalendarZones()) == time)
        #expect(end.text == printed && !end.isLocal)
        #expect(try self.end(printed) == end)
    }

    @Test(
        "is nothing else",
        arguments: [
            "", "2025", "2025-01-01", "2025-01-01T", "2025-01-01T00", "2025-1-1T00:00", "2025-13-01T00:00",
            "2025-00-01T00:00", "2025-02-29T00:00", "2100-02-29T00:00", "2025-04-31T00:00", "2025-01-00T00:00",
            "2025-01-01T24:00",
            "2025-01-01T00:60", "2025-01-01T00:00:60", "2025-01-01T00:00+1:00", "2025-01-01T00:00+24:00",
            "2025-01-01T00:00z", "2025-01-01T00:00 Z", "2025-01-01T00:00Zx", "1969-12-31T23:59", "٢٠٢٥-01-01T00:00",
            "2025-01-01T00:00.5", "+025-01-01T00:00", "2025-01-01T00:00+01:60",
        ])
    func others(text: String) { #expect(RuleEnd(text: text) == nil) }

    @Test("without an offset follows the host's own zone, where the clocks are changed too")
    func local() throws {
        let zones = try zones(Zones.berlin)
        let table: [(String, Int64)] = [
            ("2025-01-01T01:00", 1_735_689_600), ("2025-07-01T02:00", 1_751_328_000),
            // Sunday March 30, 2025 goes from 01:59 to 03:00, October 26 from 02:59 to 02:00.
            ("2025-03-30T01:59:59", 1_743_296_399), ("2025-03-30T03:00", 1_743_296_400),
            ("2025-03-30T02:30", 1_743_298_200),
            ("2025-10-26T02:30", 1_761_438_600), ("2025-10-26T03:00", 1_761_444_000),
        ]
        for (text, time) in table {
            let end = try end(text)
            #expect(end.unixTime(zones) == time, "\(text)")
            #expect(end.isLocal && end.text.hasPrefix(text))
        }
    }

    @Test("holds until its second, is the next change, and changes nothing afterwards")
    func activity() throws {
        var sketch = PolicySketch()
        let hours = Array(repeating: [480..<1080], count: 7)
        var always = Schedule(name: "until", timeZone: .local, weekly: [], position: PolicySketch.nowhere)
        always.end = try end("2025-01-02T09:00Z")
        var office = Schedule(
            name: "office until", timeZone: .named("UTC"), weekly: hours, position: PolicySketch.nowhere)
        (office.end, office.hoursOf) = (try end("2025-01-02T09:00Z"), "office")
        sketch.document.schedules = [always, office]
        let (policy, zones) = (try sketch.policy(), CalendarZones())
        let over: Int64 = 1_735_808_400
        for (time, activity) in [
            (over - 1, 3), (over, 0), (over + 86_400, 0), (over - 3_601, 1), (over - 3_600, 3), (over - 86_400, 3),
            (over - 12 * 3_600, 1),
        ] as [(Int64, UInt64)] {
            #expect(policy.scheduleActivity(zones, unixTime: time) == activity, "\(time - over)")
        }
        #expect(policy.nextScheduleChange(zones, after: over - 3_000) == over)
        #expect(policy.nextScheduleChange(zones, after: over - 3_601) == over - 3_600)
        #expect(policy.nextScheduleChange(zones, after: over) == nil)
        #expect(policy.nextScheduleChange(zones, after: over + 1) == nil)
    }
}
