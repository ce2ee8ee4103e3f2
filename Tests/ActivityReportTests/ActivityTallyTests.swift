// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import EventReader
import FirewallEngine
import Testing

@testable import ActivityReport

@Suite("The sums of a report")
struct ActivityTallyTests {
    /// 2026-11-30T00:00:00Z.
    private static let midnight: Int64 = 1_795_996_800_000_000
    private static let hour: Int64 = 3_600_000_000

    private func event(
        _ second: Int, _ reason: String = "out-of-allowed-policy", action: String = "deny",
        from source: String = "198.51.100.7",
        port: Int = 23, count: String = "1", rule: String? = nil
    ) throws -> LoggedEvent {
        let rule = rule.map { #""rule":"\#($0)","# } ?? ""
        let two = { (number: Int) in number < 10 ? "0\(number)" : "\(number)" }
        let time = "2026-11-30T\(two(second / 3600)):\(two(second / 60 % 60)):\(two(second % 60)).000000+0000"
        let line = """
            {"timestamp":"\(time)","event_type":"drop","src_ip":"\(source)","src_port":4,"dest_ip":"192.0.2.1","dest_port":\(port),\
            "proto":"TCP","portreeve":{"reason":"\(reason)",\(rule)"action":"\(action)","count":\(count)}}
            """
        return try #require(LoggedEvent(line: Array(line.utf8)))
    }

    private func tally(hours: Int64 = 24) -> ActivityTally {
        ActivityTally(ReportPeriod(start: Self.midnight, end: Self.midnight + hours * Self.hour))
    }

    @Test("A period's steps begin with the clock's, are as many as a chart can show, and every time is in one")
    func steps() {
        let lengths: [Int64] = [
            0, 1, 59, 60, 3_600, 86_400, 86_400 * 7, 86_400 * 366, 86_400 * 3_660, 86_400 * 366_000,
        ]
        for length in lengths {
            for start in [0, Self.midnight, Self.midnight + 1_234_567, -5 * Self.hour + 7] {
                let period = ReportPeriod(start: start, end: start + length * 1_000_000)
                #expect((1...ReportPeriod.mostSteps).contains(period.count), "\(length)")
                #expect(period.beginning(of: 0) % period.step == 0 && period.beginning(of: 0) <= start)
                #expect(period.index(of: start) == 0 && period.index(of: period.end) == period.count - 1)
                #expect(period.index(of: start - 1) == 0 && period.index(of: .max) == period.count - 1)
                #expect(period.index(of: .min) == 0)
            }
        }
        #expect(ReportPeriod(start: 0, end: 24 * Self.hour).step == Self.hour / 4)
    }

    @Test("What was dropped, what would have been, and what is neither")
    func actions() throws {
        var tally = tally()
        tally.add(try event(0, count: "3"))
        tally.add(try event(1, action: "observed"))
        tally.add(try event(2, action: "tap:deny", count: "5"))
        tally.add(try event(3, action: "fail-open"))
        tally.add(try event(4, action: "notice"))
        tally.add(try event(5, action: "log-only"))
        #expect(tally.records == 6 && tally.dropped == 4 && tally.spared == 6)
        #expect(tally.reasons.mapValues(\.packets) == [.outOfAllowedPolicy: 10])
    }

    @Test("A packet is counted in the step of its time, under its reason, its source and its rule")
    func places() throws {
        var tally = tally()
        tally.add(try event(0))
        tally.add(try event(3_600 * 23, "deny", from: "198.51.100.8", port: 24, count: "7", rule: "No telnet"))
        tally.add(try event(3_600 * 23, "deny", from: "198.51.100.8", port: 25, rule: "No telnet"))
        let steps = try #require(tally.reasons[.deny]).steps
        #expect(steps.reduce(0, +) == 8 && steps[tally.period.index(of: Self.midnight + 23 * Self.hour)] == 8)
        #expect(tally.sources.map(\.address) == ["198.51.100.8", "198.51.100.7"])
        #expect(tally.sources[0].sum.portCount == 2 && tally.sources[0].sum.mainReason == .deny)
        #expect(tally.rules.map(\.name) == ["No telnet"] && tally.rules[0].sum.packets == 8)
    }

    @Test("Numbers that a forged record exaggerates stay numbers")
    func forged() throws {
        var tally = tally()
        for count in ["9223372036854775807", "9223372036854775807", "-9223372036854775808", "1"] {
            tally.add(try event(1, from: "198.51.100.9", count: count, rule: "R"))
        }
        #expect(tally.dropped == .max && tally.sources[0].sum.packets == .max)
    }

    @Test("A flood of sources fills no memory, and hides none that sent much")
    func flood() throws {
        var tally = tally()
        for number in 0..<70_000 {
            tally.add(try event(number, from: "10.\(number >> 16).\(number >> 8 & 255).\(number & 255)"))
            if number % 20 == 0 { tally.add(try event(number, from: "203.0.113.1")) }
        }
        #expect(tally.sources.count <= 20_000 && tally.otherSources > 0)
        #expect(tally.sources[0].address == "203.0.113.1" && tally.sources[0].sum.packets == 3_500)
        #expect(tally.sources.reduce(tally.otherSources) { $0 + $1.sum.packets } == tally.dropped)
    }

    @Test("How connections ended, and what a record says was given up")
    func endings() throws {
        var tally = tally()
        for (ended, count) in [("fin", 2), ("fin", 1), ("idle", 1)] {
            let line = """
                {"timestamp":"2026-11-30T01:00:00.000000+0000","event_type":"flow","flow":{"bytes_toserver":10,"bytes_toclient":90},\
                "portreeve":{"reason":"connection-closed","action":"notice","count":\(count),"ended":"\(ended)","lost":4}}
                """
            tally.add(try #require(LoggedEvent(line: Array(line.utf8))))
        }
        #expect(tally.endings["fin"]?.connections == 3 && tally.endings["fin"]?.bytesToClient == 180)
        #expect(tally.endings["idle"]?.connections == 1 && tally.lost == 12 && tally.dropped == 0)
    }

    @Test("What a rule or a source is called ends no element of the page")
    func names() throws {
        var tally = tally()
        tally.add(try event(1, "deny", rule: "</script><script>alert(1)</script>&lt;"))
        var report = ActivityReport(host: "a<b", tally: tally, made: 0) { "\($0)" }
        report.findings = [ActivityReport.Finding(level: "warning", place: "<!--", text: "]]>")]
        let page = ActivityPage(mustache: "", chart: "").text(report.json)
        #expect(
            page.ranges(of: "</script>").count == 5 && page.ranges(of: "<script").count == 5 && !page.contains("<!--"))
        let start = try #require(page.firstRange(of: #"id="report">"#)).upperBound
        let end = try #require(page[start...].firstRange(of: "</script>")).lowerBound
        #expect(try JSONValue(parsing: String(page[start..<end])) == report.json)
    }
}
