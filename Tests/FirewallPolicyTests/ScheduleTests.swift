// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import Testing

@Suite("Schedules")
struct ScheduleTests {
    /// A policy with one schedule, and the zone it is in.
    private func policy(
        _ zone: TZifWriter?, _ weekly: [[Range<Int>]]
    ) throws -> (policy: Policy, zones: CalendarZones) {
        var sketch = PolicySketch()
        sketch.document.schedules = [
            Schedule(name: "s", timeZone: .named("Test"), weekly: weekly, position: PolicySketch.nowhere)
        ]
        var zones = CalendarZones()
        if let zone { zones[.named("Test")] = try TimeZoneRules(tzif: zone.bytes) }
        return (try sketch.policy(), zones)
    }

    /// The Unix time of a wall clock in UTC; days of 2025 counted from January 1, which is a Wednesday.
    private func utc(day: Int64, _ hour: Int64, _ minute: Int64 = 0) -> Int64 {
        1_735_689_600 + (day - 1) * 86_400 + hour * 3_600 + minute * 60
    }

    private static let officeHours = Array(repeating: [480..<1080], count: 5) + [[540..<720], []]

    @Test("hold from their first minute until the one they end with")
    func edges() throws {
        let (policy, zones) = try policy(nil, Self.officeHours)
        let table: [(Int64, UInt64)] = [
            (utc(day: 1, 8) - 1, 0), (utc(day: 1, 8), 1), (utc(day: 1, 18) - 1, 1), (utc(day: 1, 18), 0),
            (utc(day: 4, 8, 30), 0), (utc(day: 4, 9), 1), (utc(day: 4, 12), 0), (utc(day: 5, 10), 0),
            (utc(day: 6, 8), 1),
        ]
        for (time, activity) in table { #expect(policy.scheduleActivity(zones, unixTime: time) == activity, "\(time)") }
    }

    @Test("follow the clock of their zone in winter and in summer")
    func zones() throws {
        // Wednesday January 15 and Wednesday July 16; the hour of opening in UTC.
        let table: [(TZifWriter, Int64, Int64)] = [
            (Zones.berlin, 7 * 60, 6 * 60), (Zones.newYork, 13 * 60, 12 * 60), (Zones.kolkata, 150, 150),
            (Zones.lordHowe, -180, -150),
        ]
        for (zone, winter, summer) in table {
            let (policy, zones) = try policy(zone, Self.officeHours)
            for (day, minute) in [(15 as Int64, winter), (197, summer)] {
                let opening = utc(day: day, 0, minute)
                #expect(policy.scheduleActivity(zones, unixTime: opening - 1) == 0)
                #expect(policy.scheduleActivity(zones, unixTime: opening) == 1)
            }
        }
    }

    @Test("lose the hour that spring skips")
    func springForward() throws {
        // In Berlin, Sunday March 30, 2025 goes from 01:59 to 03:00.
        let sunday = Array(repeating: [Range<Int>](), count: 6)
        let (skipped, zones) = try policy(Zones.berlin, sunday + [[120..<180]])
        for minute in -120..<180 {
            #expect(skipped.scheduleActivity(zones, unixTime: utc(day: 89, 1, Int64(minute))) == 0)
        }
        let (around, _) = try policy(Zones.berlin, sunday + [[60..<240]])
        let holding = (-240..<240).filter { around.scheduleActivity(zones, unixTime: utc(day: 89, 1, Int64($0))) == 1 }
        #expect(holding == Array(-60..<60), "01:00 to 02:00 and 03:00 to 04:00 are two hours in a row")
    }

    @Test("hold twice in the hour that autumn repeats")
    func fallBack() throws {
        // In Berlin, Sunday October 26, 2025 has two hours from 02:00 to 03:00; at Lord Howe, Sunday April 6 has two
        // half hours from 01:30 to 02:00.
        let sunday = Array(repeating: [Range<Int>](), count: 6)
        let (berlin, berlinZones) = try policy(Zones.berlin, sunday + [[120..<180]])
        let hours = (-240..<240).filter {
            berlin.scheduleActivity(berlinZones, unixTime: utc(day: 299, 1, Int64($0))) == 1
        }
        #expect(hours == Array(-60..<60))
        let (lordHowe, lordHoweZones) = try policy(Zones.lordHowe, sunday + [[90..<120]])
        let halves = (-240..<240).filter {
            lordHowe.scheduleActivity(lordHoweZones, unixTime: utc(day: 95, 15, Int64($0))) == 1
        }
        #expect(halves == Array(-30..<30))
    }

    @Test("have a bit each")
    func bits() throws {
        var sketch = PolicySketch()
        for index in 0..<64 {
            let weekly = Array(repeating: index % 3 == 0 ? [0..<1440] : [], count: 7)
            sketch.document.schedules.append(
                Schedule(name: "s\(index)", timeZone: .local, weekly: weekly, position: PolicySketch.nowhere))
        }
        let expected = (0..<64).reduce(0 as UInt64) { $1 % 3 == 0 ? $0 | 1 << UInt64($1) : $0 }
        #expect(try sketch.policy().scheduleActivity(CalendarZones(), unixTime: 0) == expected)
    }

    @Test("change at no other moment than those foretold", arguments: [Zones.berlin, Zones.newYork, Zones.lordHowe])
    func nextChange(zone: TZifWriter) throws {
        let weekly = [[0..<60, 120..<121], [1439..<1440], [], [480..<1080], [0..<1440], [90..<150], [60..<240]]
        let (policy, zones) = try policy(zone, weekly)
        // The weeks in which the clocks of these zones are changed in 2025.
        for (first, end) in [(67 as Int64, 69 as Int64), (88, 90), (94, 96), (276, 278), (298, 300), (305, 307)] {
            var foretold: Set<Int64> = []
            var time = utc(day: first, 0) - 1
            while let next = policy.nextScheduleChange(zones, after: time), next < utc(day: end, 0) {
                #expect(next > time)
                foretold.insert(next)
                time = next
            }
            var changes = 0
            for minute in stride(from: utc(day: first, 0), to: utc(day: end, 0), by: 60) {
                let before = policy.scheduleActivity(zones, unixTime: minute - 60)
                guard policy.scheduleActivity(zones, unixTime: minute) != before else { continue }
                changes += 1
                #expect(foretold.contains(minute))
            }
            #expect(changes > 2)
        }
    }

    @Test("that never hold or always hold never change")
    func noChange() throws {
        let (never, zones) = try policy(Zones.berlin, Array(repeating: [], count: 7))
        #expect(never.nextScheduleChange(zones, after: 0) == nil)
        #expect(try PolicySketch().policy().nextScheduleChange(zones, after: 0) == nil)
    }
}
