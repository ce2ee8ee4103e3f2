// SPDX-License-Identifier: GPL-3.0-or-later

package import PacketWire

/// What should come of a probe.
package struct Expectation: Hashable, Sendable {
    package enum Kind: String, Sendable, CaseIterable {
        case allow
        /// Not open, however that shows.
        case deny
        /// Answered with a refusal, not with silence.
        case reject
    }

    package var kind: Kind
    /// Exactly this category, beside the kind.
    package var category: Category?
    /// Exactly this detail, in the words of the result.
    package var detail: String?
    /// A Portreeve agent on the path dropped packets of the probe for this reason, as its events have it.
    package var reason: String?

    package init(_ kind: Kind, category: Category? = nil, detail: String? = nil, reason: String? = nil) {
        self.kind = kind
        self.category = category
        self.detail = detail
        self.reason = reason
    }

    /// Whether a finding is what was expected; nil where it says nothing about the path, or a reason was expected and no event
    /// names one. `reasons` are those of the agent's events.
    package func isMet(by finding: ProbeFinding, reasons: [String] = []) -> Bool? {
        guard finding.category.isVerdict else { return nil }
        guard isMetAsSeen(finding), let reason else { return isMetAsSeen(finding) }
        // A refusal at a port that this host listens on has a name of its own, once the agent has looked: here each port listens.
        return reasons.isEmpty ? nil : reasons.contains { $0 == reason || $0 == reason + "-open-port" }
    }

    private func isMetAsSeen(_ finding: ProbeFinding) -> Bool {
        if let category, category != finding.category { return false }
        if let detail, detail != finding.detail.text { return false }
        switch kind {
        case .allow: return finding.category == .open
        case .deny: return isBlocked(finding.category)
        case .reject: return finding.category == .handshakeRefused || finding.category == .payloadRefused
        }
    }

    /// A probe that this host itself did not send was blocked by nobody, unless that is what was expected.
    private func isBlocked(_ found: Category) -> Bool {
        switch found {
        case .open, .localResource, .skipped: false
        case .handshakeInit, .payloadSend: category != nil
        default: true
        }
    }
}

/// Ports of one target to be probed alike.
package struct PlannedTest: Sendable {
    package var name: String?
    /// The target as the plan names it, where that is no address and was not looked up.
    package var host: String?
    package var target: Endpoint
    package var transport: Transport
    package var ports: PortSet
    package var source: Endpoint?
    package var payload: ProbeJob.Payload
    package var deadlines: ProbeDeadlines
    package var expectation: Expectation?
    /// Bytes of each packet from its IP header on, where these are to reach the other end whole; nil where that does not matter.
    package var packetSize: Int?
    /// DSCP and ECN of the packets.
    package var trafficClass: UInt8 = 0

    package init(
        name: String? = nil, target: Endpoint, _ transport: Transport, ports: PortSet, source: Endpoint? = nil,
        payload: ProbeJob.Payload, deadlines: ProbeDeadlines, expectation: Expectation? = nil
    ) {
        self.name = name
        self.target = target
        self.transport = transport
        self.ports = ports
        self.source = source
        self.payload = payload
        self.deadlines = deadlines
        self.expectation = expectation
    }
}

/// All tests of a scan. The number of a probe is its place among all of them.
package struct ScanPlan: Sendable {
    package var tests: [PlannedTest]

    package init(_ tests: [PlannedTest]) { self.tests = tests }

    package var count: Int { tests.reduce(0) { $0 + $1.ports.count } }

    package var jobs: [ProbeJob] {
        var jobs: [ProbeJob] = []
        jobs.reserveCapacity(count)
        for test in tests {
            for port in test.ports.ports {
                var job = ProbeJob(
                    number: jobs.count, test.transport, to: test.target.with(port: port), from: test.source,
                    test.payload, test.deadlines)
                job.isWhole = test.packetSize != nil
                job.trafficClass = test.trafficClass
                jobs.append(job)
            }
        }
        return jobs
    }

    /// The test of each probe.
    package var testOfJob: [Int] {
        tests.indices.flatMap { [Int](repeating: $0, count: tests[$0].ports.count) }
    }

    /// What the reflector is asked for, scripts first, each request within its bounds.
    ///
    /// All payloads are keyed ones or scripts by then (`resolved`).
    ///
    /// - Parameter source: the address that this host sends to a target from: a script may be played from there, and what an agent
    ///   at the reflector dropped from there is the scan's affair.
    /// - Returns: the requests, in the order in which they are to be asked.
    package func requests(source: (Endpoint) -> Endpoint?) -> [ProbeRequest] {
        var scripts: [PayloadScript] = []
        var requests: [ProbeRequest] = []
        var first = 0
        for test in tests {
            defer { first += test.ports.count }
            var id: Int?
            switch test.payload {
            case .none, .bytes: continue
            case .keyed: break
            case .script(let script):
                id = scripts.firstIndex(of: script)
                if id == nil {
                    id = scripts.count
                    scripts.append(script)
                    requests.append(.script(id: scripts.count - 1, transport: test.transport, script.steps))
                }
            }
            let origin = test.source ?? source(test.target.with(port: 9))
            requests += openings(test, first: first, script: id, from: origin)
        }
        return Self.joined(requests)
    }

    /// Fewer requests that say the same: ports that ascend with the numbers of their probes are opened together.
    private static func joined(_ requests: [ProbeRequest]) -> [ProbeRequest] {
        requests.reduce(into: []) { joined, request in
            guard case .open(let next) = request, case .open(let last)? = joined.last, let end = last.ports.ranges.last,
                let start = next.ports.ranges.first, end.upperBound < start.lowerBound,
                last.first + last.ports.count == next.first,
                last.ports.count + next.ports.count <= Reflector.portsOfOneRequest,
                (last.transport, last.isIPv6, last.script) == (next.transport, next.isIPv6, next.script),
                last.sources == next.sources
            else { return joined.append(request) }
            var both = last
            both.ports = PortSet(ports: last.ports.ports + next.ports.ports)
            joined[joined.count - 1] = .open(both)
        }
    }

    /// With scripts in the place of bytes that the reflector answers.
    package func resolved(_ key: SecretKey) -> ScanPlan {
        var plan = self
        for index in plan.tests.indices {
            guard case .bytes(let bytes) = plan.tests[index].payload else { continue }
            let answer = key.derived(for: "portreeve answer", bytes).authenticate(bytes).prefix(bytes.count)
            plan.tests[index].payload = .script(PayloadScript(asking: bytes, expecting: Array(answer)))
        }
        return plan
    }

    private func openings(_ test: PlannedTest, first: Int, script: Int?, from origin: Endpoint?) -> [ProbeRequest] {
        let ports = test.ports.ports
        return stride(from: 0, to: ports.count, by: Reflector.portsOfOneRequest).map { start in
            let part = ports[start..<min(start + Reflector.portsOfOneRequest, ports.count)]
            return .open(
                Opening(
                    test.transport, isIPv6: test.target.isIPv6, ports: PortSet(ports: part), first: first + start,
                    script: script, sources: origin.map { [$0] } ?? [],
                    rest: Int(test.deadlines.rest.nanoseconds / 1_000_000), isWhole: test.packetSize != nil))
        }
    }

    /// At most: every probe in silence, and once more for each repetition.
    package func worstCase(_ options: ScanOptions) -> Instant.Span {
        var longest: [Transport: (count: Int, span: Int64)] = [:]
        for test in tests {
            let span = test.deadlines.total(test.transport).nanoseconds
            let known = longest[test.transport] ?? (0, 0)
            longest[test.transport] = (known.count + test.ports.count, max(known.span, span))
        }
        let tcp = longest[.tcp] ?? (0, 0)
        let udp = longest[.udp] ?? (0, 0)
        let rounds = Int64((tcp.count + options.parallel - 1) / max(1, options.parallel))
        let paced = Int64(udp.count) * 3 * 1_000_000_000 / Int64(max(1, options.datagramsPerSecond))
        let (inRounds, isTooLong) = rounds.multipliedReportingOverflow(by: tcp.span)
        let once = max(isTooLong ? .max : inRounds, paced + udp.span)
        let (whole, isEndless) = once.multipliedReportingOverflow(by: Int64(1 + options.retries))
        // Thirty years: nobody waits longer, and who prints it may round it up.
        return Instant.Span(nanoseconds: min(isEndless ? .max : whole, 1_000_000_000_000_000_000))
    }
}
