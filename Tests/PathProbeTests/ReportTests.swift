// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import PacketWire
import Testing

@testable import PathProbe

struct ReportTests {
    private let target = Endpoint(IPAddress(v4: 0xc000_0201), isIPv6: false)
    private let source = Endpoint(IPAddress(v4: 0xc633_6407), isIPv6: false, port: 40_000)

    private func plan(_ ports: PortSet, name: String? = nil, _ expectation: PathProbe.Expectation? = nil) -> ScanPlan {
        ScanPlan([
            PlannedTest(
                name: name, target: target, .tcp, ports: ports, payload: .keyed(length: 48),
                deadlines: ProbeDeadlines(.seconds(1)), expectation: expectation)
        ])
    }

    private func report(
        _ plan: ScanPlan, _ found: [(Category, Detail)], attempt: Int = 0, sightings: [OpeningSighting]? = nil,
        drops: [AgentDrop] = []
    ) -> ScanReport {
        var result = ScanResult()
        var evidence = Evidence()
        evidence.phase = .connect
        result.outcomes = zip(plan.jobs, found).map { job, found in
            ProbeOutcome(
                job: job, finding: ProbeFinding(found.0, found.1, evidence), local: source, attempt: attempt)
        }
        result.retries = 1
        result.sightings = sightings
        result.areSightingsComplete = true
        return ScanReport(plan, result, drops: DropRegister(drops))
    }

    private let silence = (Category.handshakeTimeout, Detail.segmentsSent(1))
    private let open = (Category.open, Detail.answered)

    private func drop(
        _ side: AgentDrop.Side = .there, from: Endpoint? = nil, to port: UInt16, action: String = "deny"
    ) -> AgentDrop {
        AgentDrop(
            side, .tcp, from: from ?? source, to: target.with(port: port), direction: "incoming", action: action,
            reason: .deny, rule: "No \"telnet\"", place: "policy.yaml:7", count: 2)
    }

    @Test func anEventIsOfAProbeByItsPortsOrByTheOneStrangerBehindATranslation() {
        let plan = plan(PortSet([80...83]))
        let stranger = Endpoint(IPAddress(v4: 0xcb00_7105), isIPv6: false, port: 61_000)
        let found = report(
            plan, [silence, silence, silence, silence],
            drops: [
                drop(to: 80), drop(from: stranger, to: 81), drop(from: stranger, to: 82),
                drop(from: Endpoint(IPAddress(v4: 0xcb00_7106), isIPv6: false, port: 1), to: 82),
                drop(.here, from: stranger, to: 83),
            ])
        #expect(found.lines.map { line in line.drops.map { $0.match } } == [[.certain], [.probable], [], []])
        #expect(found.lines[0].answer?.author == "rule \"No \"telnet\"\" (policy.yaml:7)")
        #expect(found.lines[1].answer?.place == "probably the reflector's host, incoming")
        #expect(found.lines[2].answer?.place == "direction unknown")
    }

    @Test func whatAnAgentOnlyLoggedDroppedNothing() {
        let found = report(plan(PortSet([80...80])), [silence], drops: [drop(to: 80, action: "log-only")])
        #expect(found.lines[0].answer?.author == nil)
        #expect(found.lines[0].reasons == ["deny"])
    }

    @Test func whatTheFarInterfaceSawDecidesTheDirection() {
        var seen = OpeningSighting(port: 80, peer: source, header: OpeningHeader())
        func place(_ sightings: [OpeningSighting]?) -> String? {
            report(plan(PortSet([80...80])), [silence], sightings: sightings).lines[0].answer?.place
        }
        #expect(place(nil) == "direction unknown")
        #expect(place([]) == "on the way there")
        #expect(place([seen]) == "the reflector's host")
        seen.isAnswered = true
        #expect(place([seen]) == "on the way back")
        // Of an address from which no proven probe came: it may be anybody's.
        seen.peer = Endpoint(IPAddress(v4: 0xcb00_7105), isIPv6: false, port: 9)
        #expect(place([seen]) == "direction unknown")
    }

    @Test func sightingsAndDropsCrossTheControlChannel() throws {
        var header = OpeningHeader()
        header.hops = 61
        header.trafficClass = 0xb8
        header.maximumSegmentSize = 1_400
        header.hasSACK = true
        header.offersECN = true
        var sighting = OpeningSighting(port: 80, peer: source, header: header)
        sighting.count = 3
        sighting.isRefused = true
        for answer in [
            ProbeAnswer.sightings([sighting], isComplete: true, more: true),
            .sightings([], isComplete: nil, more: false), .drops([drop(to: 80)], settling: 1_000, more: false),
            .drops([], settling: nil, more: false),
        ] {
            #expect(try ProbeAnswer(message: answer.message) == answer)
        }
        #expect(try ProbeRequest(message: ProbeRequest.drops(from: 7).message) == .drops(from: 7))
        #expect(header.dscp == 46)
    }

    @Test func markupOfAPlanStaysText() {
        let found = report(
            plan(PortSet([80...80]), name: "a<b>&\"c\u{1b}", Expectation(.allow)), [silence], attempt: 1)
        let stamp = ReportStamp(time: "2026-11-21T09:15:02", local: "2026-11-21 10:15:02 +0100", host: "h<")
        #expect(found.junit(stamp).contains("name=\"a&lt;b&gt;&amp;&quot;c\u{fffd}: tcp 80\""))
        #expect(!found.html(stamp).contains("h<"))
        #expect(found.html(stamp).contains("<p>2026-11-21 10:15:02 +0100. 1 probes"))
        #expect(found.tap.contains("not ok 1 - "))
        #expect(found.tap.contains("retry: \"repeated once after all others"))
    }

    @Test func portsToWhichTheSameHappenedAreOneRow() {
        let plan = plan(PortSet([80...83, 90...90]))
        let matrix = PortMatrix(report(plan, [open, open, silence, open, open]))
        #expect(matrix.rows.map(\.ports) == [80...81, 82...82, 83...83, 90...90])
        #expect(matrix.columns.count == 1)
    }

    @Test func onlyWhatChangedIsAChange() throws {
        let plan = plan(PortSet([80...84]))
        let slower = (Category.handshakeTimeout, Detail.segmentsSent(3))
        let unknown = (Category.localResource, Detail.fault(SystemFault(24)))
        let before = try #require(report(plan, [open, silence, open, silence, open]).baseline)
        let after = try #require(
            report(plan, [open, slower, silence, silence, unknown], drops: [drop(to: 83)]).baseline)
        let changes = before.changes(to: after)
        #expect(changes.map(\.target) == ["192.0.2.1:82", "192.0.2.1:83"])
        #expect(
            ScanChange.lines(of: changes) == [
                "tcp 192.0.2.1 82: was open answered; is handshake_timeout syn_sent",
                "tcp 192.0.2.1 83: was handshake_timeout syn_sent; is handshake_timeout syn_sent, "
                    + "dropped by an agent: deny by rule \"No \"telnet\"\"",
            ])
        let fewer = try #require(report(self.plan(PortSet([80...81])), [open, silence]).baseline)
        #expect(
            ScanChange.lines(of: before.changes(to: fewer)).map { $0.hasSuffix("is not probed any more") } == [
                true, true,
            ])
        #expect(throws: ScanBaseline.Fault.self) { try ScanBaseline([Array("{\"v\":2}".utf8)]) }
    }
}
