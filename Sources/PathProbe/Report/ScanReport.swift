// SPDX-License-Identifier: GPL-3.0-or-later

internal import AgentControl
internal import FirewallEngine
internal import PacketWire

/// The result of a scan beside what was planned, for printing.
package struct ScanReport: Sendable {
    package let plan: ScanPlan
    package let result: ScanResult
    package var tag: String?
    package let lines: [Line]

    /// One probe.
    package struct Line: Sendable {
        package var outcome: ProbeOutcome
        package var test: PlannedTest
        package var witness: WitnessView
        package var conclusion: String
        /// The silence may be the reflector's.
        package var isUnreliable: Bool
        /// What agents on the path say of the probe's packets; empty where none was asked.
        package var drops: [AttributedDrop]
        /// What became of its SYN at the reflector's host.
        package var opening: OpeningView
        /// What devices on the way have made of it.
        package var changes: [PathChange]
        /// How often a silent probe is repeated at most.
        package var retries: Int
        /// Up to where it came; nil where that was not looked for.
        package var location: HopLocation?

        /// The reasons of these events, each once.
        package var reasons: [String] {
            drops.map(\.drop.reason.row.slug).reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
        }

        /// Nil where nothing was expected, or nothing can be said.
        package var isAsExpected: Bool? {
            guard let expectation = test.expectation, !isUnreliable else { return nil }
            return expectation.isMet(by: outcome.finding, reasons: reasons)
        }

        /// Nothing was found out about the path, or not what was asked for.
        package var isInconclusive: Bool {
            isUnreliable || !outcome.finding.category.isVerdict || (test.expectation != nil && isAsExpected == nil)
        }
    }

    /// - Parameters:
    ///   - plan: what was probed.
    ///   - result: what came of it.
    ///   - tag: text that each result carries.
    ///   - drops: what the agents on the path say.
    package init(
        _ plan: ScanPlan, _ result: ScanResult, tag: String? = nil, drops: DropRegister = DropRegister()
    ) {
        self.plan = plan
        self.result = result
        self.tag = tag
        let tests = plan.testOfJob
        lines = zip(result.outcomes, result.witnesses).map { outcome, witness in
            let opening = result.opening(of: outcome)
            return Line(
                outcome: outcome, test: plan.tests[tests[outcome.job.number]], witness: witness,
                conclusion: Conclusion.afterSilence(outcome, witness, opening),
                isUnreliable: result.isUnreliable(outcome), drops: drops.drops(of: outcome), opening: opening,
                changes: outcome.changes(witness, opening), retries: result.retries,
                location: result.locations[outcome.job.number])
        }
    }

    /// 0 as expected, 1 not, 2 inconclusive, 3 for lack of something on this host.
    package var exitStatus: Int32 {
        if case .localResource = result.interruption { return 3 }
        if lines.contains(where: { $0.isAsExpected == false }) { return 1 }
        if result.interruption != nil || lines.contains(where: \.isInconclusive) { return 2 }
        return 0
    }
}

// MARK: - JSON

extension ScanReport {
    /// One JSON text for each probe.
    package var jsonLines: [String] { lines.map { json($0).printed } }

    private func json(_ line: Line) -> JSONValue {
        let outcome = line.outcome
        let evidence = outcome.finding.evidence
        var value: JSONValue = [
            "v": .integer(1), "session": result.session.map { .text(String($0, radix: 16)) } ?? .null,
            "tag": .optional(tag), "test": .optional(line.test.name), "probe": .count(outcome.job.number),
            "proto": .text(outcome.job.transport.rawValue), "src": outcome.local.map { .text("\($0)") } ?? .null,
            "dst": .text("\(outcome.job.target)"), "category": .text(outcome.finding.category.rawValue),
            "detail": .text(outcome.finding.detail.text), "title": .text(outcome.finding.category.title),
            "code": .count(outcome.finding.category.code), "phase": .text(evidence.phase.rawValue),
            "ms": milliseconds(evidence.duration), "attempt": .count(outcome.attempt),
            "errno": evidence.fault.map { .text($0.name) } ?? .null, "icmp": json(evidence.icmp),
            "sent": .count(evidence.sent), "bytes_sent": .count(evidence.bytesSent),
            "bytes_acked": .count(evidence.bytesAcknowledged), "bytes_received": .count(evidence.bytesReceived),
            "retransmissions": .count(evidence.retransmissions),
        ]
        value = value.adding("handshake_ms", evidence.handshake.map(milliseconds))
            .adding("answer_ms", evidence.answer.map(milliseconds))
            .adding("received", evidence.firstBytes.isEmpty ? nil : .text(hexadecimal(evidence.firstBytes)))
            .adding("guess", evidence.guess.map { .text($0) }).adding("from", evidence.from.map { .text("\($0)") })
            .adding("witness", json(line.witness))
            .adding("one_sided", line.witness == .absent ? .bool(true) : nil)
            .adding("unreliable", line.isUnreliable ? .bool(true) : nil)
            .adding("conclusion", .text(line.conclusion))
            .adding("retry", line.retry.map { .text($0) })
            .adding("packet_size", line.test.packetSize.map { .count($0) }).adding(
                "on_the_way", line.changes.isEmpty ? nil : .texts(line.changes.map(\.text))
            )
            .adding("syn", json(line.opening)).adding("hop", line.location.map(json))
            .adding("where", line.answer.map { .text($0.place) }).adding("why", line.answer.map { .text($0.cause) })
            .adding("by", line.answer?.author.map { .text($0) })
            .adding("reasons", line.reasons.isEmpty ? nil : .texts(line.reasons))
            .adding("firewall", line.drops.isEmpty ? nil : .list(line.drops.map(json)))
            .adding("expect", line.test.expectation.map { .text($0.text) })
            .adding("ok", line.isAsExpected.map { .bool($0) })
        return value
    }

    private func milliseconds(_ span: Instant.Span) -> JSONValue {
        .number(Double(span.nanoseconds / 1_000) / 1_000)
    }

    private func json(_ icmp: ICMPEvidence?) -> JSONValue {
        guard let icmp else { return .null }
        let value: JSONValue = [
            "version": .count(icmp.version), "type": .count(icmp.type), "code": .count(icmp.code),
            "from": .optional(icmp.offender?.host),
        ]
        return value.adding("mtu", icmp.mtu.map { .count($0) })
    }

    private func json(_ witness: WitnessView) -> JSONValue? {
        switch witness {
        case .absent: nil
        case .nothing: ["arrived": .bool(false)]
        case .seen(let record):
            [
                "arrived": .bool(true), "proven": .bool(record.marks.contains(.proven)),
                "answered": .bool(record.marks.contains(.answered)),
                "acknowledged": .bool(record.marks.contains(.acknowledged)),
                "reset": .bool(record.marks.contains(.reset)), "repeated": .bool(record.marks.contains(.repeated)),
                "bytes_in": .count(record.bytesIn), "bytes_out": .count(record.bytesOut),
                "peer": record.peer.map { .text("\($0)") } ?? .null,
            ]
        case .stranger(let stranger, let isCertain):
            [
                "arrived": .bool(isCertain), "proven": .bool(false), "certain": .bool(isCertain),
                "bytes_in": .count(stranger.bytesIn), "reset": .bool(stranger.wasReset),
                "peer": .text("\(stranger.peer)"),
            ]
        }
    }
}

extension ScanReport {
    private func json(_ attributed: AttributedDrop) -> JSONValue {
        let drop = attributed.drop
        return [
            "agent": .text(drop.side.rawValue), "match": .text(attributed.match.rawValue),
            "action": .text(drop.action), "direction": .text(drop.direction), "reason": .text(drop.reason.row.slug),
            "rule": .optional(drop.rule), "place": .optional(drop.place), "src": .text("\(drop.source)"),
            "dst": .text("\(drop.destination)"), "count": .count(drop.count),
        ]
    }

    private func json(_ location: HopLocation) -> JSONValue {
        func json(_ hop: HopLocation.Hop?) -> JSONValue {
            hop.map { ["number": .count($0.number), "address": .optional($0.address?.host)] } ?? .null
        }
        let text: JSONValue = ["text": .text(location.text)]
        switch location {
        case .between(let last, let next):
            return text.adding("answered", json(last)).adding("silent", json(next))
        case .refusedAt(let hop, let isTarget):
            return text.adding("refused", json(hop)).adding("is_target", .bool(isTarget))
        case .unknown, .leftOut: return text
        }
    }

    private func json(_ opening: OpeningView) -> JSONValue? {
        switch opening {
        case .unknown: nil
        case .notSeen: ["seen": .bool(false)]
        case .seen(let sighting):
            [
                "seen": .bool(true), "count": .count(sighting.count), "answered": .bool(sighting.isAnswered),
                "refused": .bool(sighting.isRefused), "peer": .text("\(sighting.peer)"),
            ]
        }
    }
}

extension JSONValue {
    fileprivate func adding(_ name: String, _ value: JSONValue?) -> JSONValue {
        guard let value, case .object(let members) = self else { return self }
        return .object(members + [Member(name, value)])
    }
}

extension Expectation {
    /// As a plan writes it.
    package var text: String {
        ([kind.rawValue, category?.rawValue, detail, reason] as [String?]).compactMap { $0 }.joined(separator: " ")
    }
}
