// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import Foundation
import TestSupport
import Testing

/// The rules in force in 2025, as the footers of the time zone database have them.
enum Zones {
    static let berlin = TZifWriter(types: [3_600], footer: "CET-1CEST,M3.5.0,M10.5.0/3")
    static let newYork = TZifWriter(types: [-18_000], footer: "EST5EDT,M3.2.0,M11.1.0")
    static let kolkata = TZifWriter(types: [19_800], footer: "IST-5:30")
    static let lordHowe = TZifWriter(types: [37_800], footer: "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0")
}

@Suite("Time zones")
struct TimeZoneTests {
    @Test(
        "change their offset at the second of the rule",
        arguments: [
            (Zones.berlin, 1_743_296_400 as Int64, 3_600 as Int64, 7_200 as Int64),
            (Zones.berlin, 1_761_440_400, 7_200, 3_600),
            (Zones.newYork, 1_741_503_600, -18_000, -14_400),
            (Zones.newYork, 1_762_063_200, -14_400, -18_000),
            (Zones.lordHowe, 1_743_865_200, 39_600, 37_800),
            (Zones.lordHowe, 1_759_591_800, 37_800, 39_600),
            (Zones.berlin, 2_531_955_600, 3_600, 7_200),
        ])
    func changes(zone: TZifWriter, time: Int64, before: Int64, after: Int64) throws {
        let rules = try TimeZoneRules(tzif: zone.bytes)
        #expect(rules.offset(at: time - 1) == before)
        #expect(rules.offset(at: time) == after)
        #expect(rules.nextTransition(after: time - 1) == time)
        #expect(try #require(rules.nextTransition(after: time)) > time + 86_400)
    }

    @Test("without daylight saving never change")
    func constant() throws {
        let kolkata = try TimeZoneRules(tzif: Zones.kolkata.bytes)
        for time in [Int64.min, -1, 0, 1_743_865_200, .max] { #expect(kolkata.offset(at: time) == 19_800) }
        #expect(kolkata.nextTransition(after: 0) == nil)
        #expect(TimeZoneRules.utc.offset(at: 1_743_865_200) == 0)
    }

    @Test("use the transitions of the file first, then the footer")
    func transitions() throws {
        let zone = TZifWriter(types: [100, 200, 3_600], transitions: [(-50, 1), (1_000, 2)], footer: "CET-1")
        let rules = try TimeZoneRules(tzif: zone.bytes)
        #expect([-51, -50, 999, 1_000, 5_000].map { rules.offset(at: $0) } == [100, 200, 200, 3_600, 3_600])
        #expect(rules.nextTransition(after: -51) == -50)
        #expect(rules.nextTransition(after: -50) == 1_000)
        #expect(rules.nextTransition(after: 1_000) == nil)
    }

    @Test("of a version 1 file end with its last transition")
    func versionOne() throws {
        let zone = TZifWriter(version: 1, types: [0, -7_200], transitions: [(-5, 1)])
        #expect(try TimeZoneRules(tzif: zone.bytes).offset(at: 1 << 40) == -7_200)
    }

    @Test("know Julian days, hours beyond the day, and summer time that never ends")
    func footers() throws {
        func offset(_ footer: String, _ time: Int64) throws -> Int64 {
            try TimeZoneRules(tzif: TZifWriter(footer: footer).bytes).offset(at: time)
        }
        // RFC 8536 section 3.3.1: permanent daylight saving; and its example of a negative hour.
        for time in stride(from: 1_700_000_000 as Int64, to: 1_800_000_000, by: 7_777_777) {
            #expect(try offset("XXX3EDT4,0/0,J365/23", time) == -14_400)
        }
        let greenland = "<-03>3<-02>,M3.5.0/-2,M10.5.0/-1"
        #expect(try offset(greenland, 1_743_296_399) == -10_800)
        #expect(try offset(greenland, 1_743_296_400) == -7_200)
        // March 1 is J60 in every year, and day 60 counted from 0 in a leap year only.
        for (year, march) in [(2_024, 1_709_251_200 as Int64), (2_025, 1_740_787_200)] {
            #expect(try offset("A0B,J60/0,J300", march - 1) == 0, "\(year)")
            #expect(try offset("A0B,J60/0,J300", march) == 3_600, "\(year)")
        }
        #expect(try offset("A0B,60/0,300", 1_709_251_199) == 0)
        #expect(try offset("A0B,60/0,300", 1_709_251_200) == 3_600)
        #expect(try offset("A0B,60/0,300", 1_740_787_200) == 0)
    }

    @Test(
        "have no footer of another form",
        arguments: [
            "CET", "CET-25", "CET-1CEST", "CET-1CEST,M3.5.0", "CET-1CEST,M13.5.0,M10.5.0", "CET-1CEST,M3.6.0,M10.5.0",
            "CET-1CEST,M3.5.7,M10.5.0", "CET-1CEST,J0,J1", "CET-1CEST,366,1", "CET-1CEST,M3.5.0/168,M10.5.0", "1",
            "<+1", "CET-1 ", "CET-1CEST,M3.5.0,M10.5.0/3,", "CET-:", "CET-1:60", "CET-99999999999999999999",
        ])
    func malformedFooters(footer: String) {
        #expect(throws: TimeZoneError.malformed) { try TimeZoneRules(tzif: TZifWriter(footer: footer).bytes) }
    }

    @Test("refuse types that do not exist, times out of order, absurd offsets and other files")
    func malformed() {
        let malformed = [
            TZifWriter(types: []), TZifWriter(types: [0], transitions: [(0, 1)]),
            TZifWriter(types: [0], transitions: [(5, 0), (5, 0)]), TZifWriter(types: [93_601]),
            TZifWriter(types: [Int32.min]),
        ]
        for zone in malformed { #expect(throws: TimeZoneError.malformed) { try TimeZoneRules(tzif: zone.bytes) } }
        #expect(throws: TimeZoneError.notTZif) { try TimeZoneRules(tzif: []) }
        #expect(throws: TimeZoneError.notTZif) { try TimeZoneRules(tzif: Array("#!/bin/sh\n".utf8)) }
    }

    @Test("survive any damage to a file")
    func damage() {
        let whole = TZifWriter(
            types: [0, 3_600], transitions: [(0, 1), (100, 0)], footer: "CET-1CEST,M3.5.0,M10.5.0/3"
        ).bytes
        for end in 0..<whole.count {
            #expect(throws: TimeZoneError.self) { try TimeZoneRules(tzif: Array(whole[..<end])) }
        }
        var random = SeededRandom(seed: 8_536)
        for _ in 0..<4_000 {
            var bytes = whole
            for _ in 0...random.next() % 4 {
                bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(random.next() & 0xff)
            }
            guard let rules = try? TimeZoneRules(tzif: bytes) else { continue }
            for time in [Int64.min, -1, 1_743_296_400, .max] {
                _ = rules.offset(at: time)
                _ = rules.nextTransition(after: time)
            }
        }
    }

    @Test("as installed on this machine are all read", .enabled(if: SystemZones.exist))
    func systemZones() throws {
        var count = 0
        for path in SystemZones.paths {
            _ = try TimeZoneRules(tzif: SystemZones.bytes(path))
            count += 1
        }
        #expect(count > 300)
        let berlin = try TimeZoneRules(tzif: SystemZones.bytes("/usr/share/zoneinfo/Europe/Berlin"))
        #expect(berlin.offset(at: 1_743_296_399) == 3_600 && berlin.offset(at: 1_743_296_400) == 7_200)
        #expect(berlin.offset(at: -3_000_000_000) == 3_208, "local mean time before 1893")
    }

    @Test("are files only under plausible names")
    func paths() {
        #expect(TimeZoneName.local.zoneinfoPath == "/etc/localtime")
        #expect(TimeZoneName.named("Europe/Berlin").zoneinfoPath == "/usr/share/zoneinfo/Europe/Berlin")
        #expect(TimeZoneName.named("Etc/GMT+5").zoneinfoPath == "/usr/share/zoneinfo/Etc/GMT+5")
        #expect(TimeZoneName.named("UTC").zoneinfoPath == nil)
        for name in ["", "/etc/passwd", "../../etc/passwd", "Europe//Berlin", "Europe/", "Europe/.", "a b", "é"] {
            #expect(TimeZoneName.named(name).zoneinfoPath == nil, "\(name)")
        }
    }
}

/// The time zone database of the machine that runs the tests.
enum SystemZones {
    static let exist = FileManager.default.fileExists(atPath: "/usr/share/zoneinfo/Europe/Berlin")

    static func bytes(_ path: String) -> [UInt8] { FileManager.default.contents(atPath: path).map(Array.init) ?? [] }

    static var paths: [String] {
        let areas = ["Africa", "America", "Antarctica", "Asia", "Atlantic", "Australia", "Europe", "Pacific"]
        return areas.flatMap { area in
            let directory = "/usr/share/zoneinfo/" + area
            let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
            return names.map { directory + "/" + $0 }
        }
        .filter { bytes($0).starts(with: Array("TZif".utf8)) }
    }
}
