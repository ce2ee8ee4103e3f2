// SPDX-License-Identifier: GPL-3.0-or-later

import AdministrativeSessions
import AgentControl
import ArgumentParser
import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import PathProbe
import PolicyAnalysis
import PolicyFile

/// Whether and how a scan's plan is made of a policy.
struct DerivedPlanOptions: ParsableArguments {
    @Option(
        name: .customLong("from-policy"),
        help: ArgumentHelp(
            "Probe on both sides of each rule's borders, in place of -t and -u, and expect what this policy says.",
            valueName: "file"), completion: Completions.policy)
    var file: String?

    @Option(
        help: ArgumentHelp(
            "With --from-policy: incoming where it is the policy of the reflector's host, outgoing where it is this host's.",
            valueName: "direction"), completion: Completions.directions)
    var direction: String?

    @Option(
        help: ArgumentHelp(
            "With --from-policy: by which interface of the policy's host the probes pass; known where that is this host.",
            valueName: "name"))
    var interface: String?

    @Flag(help: "With --from-policy: send nothing, and say of each probe what the policy does with it.")
    var simulate = false

    func validate() throws {
        guard file == nil else {
            guard direction.map({ Direction(word: $0) != nil }) ?? true else {
                throw ValidationError("--direction is incoming or outgoing")
            }
            return
        }
        guard direction == nil, interface == nil, !simulate else {
            throw ValidationError("--direction, --interface and --simulate go with --from-policy")
        }
    }

    /// The plan to a host, or the end of the program.
    func plan(
        to target: Endpoint, except taken: UInt16?, _ probes: ProbeOptions, _ options: ScanOptions
    ) throws -> DerivedPlan? {
        guard let file else { return nil }
        let policy: Policy
        do {
            policy = try Policy(try PolicyFile.loading(file, for: .replay), epoch: 1)
        } catch {
            throw fail("\(error)", status: .usage)
        }
        guard let source = try probes.origin(to: target) ?? target.sourceAddress else {
            throw fail("this host has no address from which \(target.host) can be reached", status: .cannotScan)
        }
        let own = LocalAddress.all()
        let link = own.first { $0.address == source.address && $0.isIPv6 == source.isIPv6 }?.interface
        // Each address of the same link that is of the same scope.
        let sources =
            probes.source != nil
            ? [source.address]
            : [source.address]
                + own.filter {
                    $0.interface == link && $0.isIPv6 == source.isIPv6 && $0.address != source.address
                        && !(Endpoint($0.address, isIPv6: $0.isIPv6).isOfLink || source.isOfLink)
                }.map(\.address)
        let direction = direction.flatMap(Direction.init(word:)) ?? .incoming
        var reach = ProbeReach(
            direction, from: sources, to: [target.address], isIPv6: target.isIPv6,
            sourcePorts: options.localPorts, interface: interface ?? (direction == .outgoing ? link : nil),
            unixTime: WallTime.now.microseconds / 1_000_000)
        reach.taken = taken.map { [$0] } ?? []
        guard let plan = PolicyPlan(policy, reach) else {
            throw fail("\(file.harmless): its rules name interfaces by too many patterns", status: .usage)
        }
        guard !plan.probes.isEmpty else {
            throw fail(
                "\(file.harmless): no rule decides about a probe from here: "
                    + (plan.unreached.first.map { "\(policy.rules[Int($0.rule)].place): \($0.reason)" } ?? "it has none"),
                status: .usage)
        }
        return DerivedPlan(plan, ProbeExchange(policy, reach), target, direction)
    }
}

/// A plan that was made of a policy, and what that does with each probe.
struct DerivedPlan {
    private let plan: PolicyPlan
    private let target: Endpoint
    private let direction: Direction
    /// Of the probes of the plan, in their order.
    private let outcomes: [ProbeExchange.Outcome]

    private var policy: Policy { plan.policy }

    init(_ plan: PolicyPlan, _ exchange: ProbeExchange, _ target: Endpoint, _ direction: Direction) {
        self.plan = plan
        self.target = target
        self.direction = direction
        outcomes = plan.probes.map { exchange.outcome(of: $0.probe) }
    }

    /// One for each probe, in the order of the plan.
    func tests(_ probes: ProbeOptions) -> [PlannedTest] {
        zip(plan.probes, outcomes).map { entry, outcome in
            let probe = entry.probe
            return PlannedTest(
                name: name(entry), target: target, probe.isTCP ? .tcp : .udp, ports: PortSet(ports: [probe.port]),
                source: Endpoint(probe.source, isIPv6: probe.isIPv6), payload: .keyed(length: probes.size),
                deadlines: ProbeDeadlines(.milliseconds(Int64(probes.timeout))),
                expectation: Expectation(outcome.passes ? .allow : .deny))
        }
    }

    /// For what a probe is sent: "policy.yaml:7:5 "Web", inside its port; and for 2 more rules".
    private func name(_ entry: PolicyPlan.Probe) -> String {
        guard let first = entry.purposes.first else { return "" }
        let rules = Set(entry.purposes.map(\.rule)).count
        let more = rules > 1 ? "; and for \(rules - 1) more rule\(rules == 2 ? "" : "s")" : ""
        return "\(policy.rules[Int(first.rule)].place), \(first.text)\(more)"
    }

    /// What the policy does with a probe.
    private func text(_ outcome: ProbeExchange.Outcome) -> String {
        guard let refusal = outcome.refusal else { return "passes: \(decider(outcome))" }
        let packet = outcome.refused.map { $0.direction.word } ?? ""
        return "\(refusal.reason.row.slug), \(packet): "
            + (refusal.rule >= 0 ? "deny by \(policy.rules[Int(refusal.rule)].place)" : decider(outcome))
    }

    private func decider(_ outcome: ProbeExchange.Outcome) -> String {
        outcome.decision?.deciding(in: policy) ?? "no rule is asked"
    }
}

extension DerivedPlan {
    /// What is simulated, for people or as JSON lines.
    func lines(json: Bool) -> [String] {
        var lines: [String] = []
        if json {
            lines = zip(plan.probes, outcomes).map { self.json($0, $1).printed }
        } else {
            var table = TextTable([
                .text("PROTO"), .text("SOURCE"), .text("PORT"), .text("EXPECTED"), .text("FOR"),
            ])
            for (entry, outcome) in zip(plan.probes, outcomes) {
                let probe = entry.probe
                table.add([
                    probe.isTCP ? "tcp" : "udp", probe.source.description(isIPv6: probe.isIPv6), "\(probe.port)",
                    outcome.passes ? "allow" : "deny", "\(name(entry)): \(text(outcome))".harmless,
                ])
            }
            lines = table.lines()
        }
        return lines + unreached(json: json) + (json ? [] : [summary])
    }

    /// The rules about which no probe of this host tells, each with why.
    func unreached(json: Bool) -> [String] {
        plan.unreached.filter { !policy.rules[Int($0.rule)].isBuiltIn }.map { each in
            let place = policy.rules[Int(each.rule)].place
            guard json else { return "not reached: \(place): \(each.reason)".harmless }
            let value: JSONValue = ["v": .integer(1), "rule": .text(place), "not_reached": .text(each.reason)]
            return value.printed
        }
    }

    private var summary: String {
        let rules = plan.reached.count { !policy.rules[Int($0)].isBuiltIn }
        let passing = outcomes.count(where: \.passes)
        return "\(plan.probes.count.grouped) probes decided by \(rules.grouped) of "
            + "\(policy.document.rules.count.grouped) rules; by the policy \(passing.grouped) pass"
    }

    private func json(_ entry: PolicyPlan.Probe, _ outcome: ProbeExchange.Outcome) -> JSONValue {
        let probe = entry.probe
        let (rule, refusal) = (outcome.decision?.rule ?? -1, outcome.refusal)
        return [
            "v": .integer(1), "proto": .text(probe.isTCP ? "tcp" : "udp"),
            "src": .text(probe.source.description(isIPv6: probe.isIPv6)),
            "dst": .text("\(target.with(port: probe.port))"), "expect": .text(outcome.passes ? "allow" : "deny"),
            "decides": rule >= 0 ? .text(policy.rules[Int(rule)].place) : .null,
            "reason": refusal.map { .text($0.reason.row.slug) } ?? .null,
            "refused": outcome.refused.map { .text($0.sentence) } ?? .null,
            "for": .list(
                entry.purposes.map {
                    ["rule": .text(policy.rules[Int($0.rule)].place), "side": .text($0.text)]
                }),
        ]
    }

    /// What came beside what the policy says: where an agent's events name another rule or reason than the simulation, and how many probes
    /// fared as simulated; for people or as JSON lines.
    func comparison(_ report: ScanReport, json: Bool) -> (lines: [String], agrees: Bool) {
        var differences: [(probe: Int, place: String, simulated: String, found: String)] = []
        for (line, (entry, outcome)) in zip(report.lines, zip(plan.probes, outcomes)) where line.isAsExpected == true {
            guard let refusal = outcome.refusal else { continue }
            if line.drops.isEmpty {
                // The agent of the policy's host was asked, and knows nothing of what its policy refuses.
                let isThere = direction == .incoming
                guard isThere ? report.result.isFarAgentAsked : report.result.isOwnAgentAsked else { continue }
                let place = "\(line.outcome.job.transport.rawValue) \(entry.probe.port)"
                differences.append(
                    (
                        line.outcome.job.number, place, text(outcome),
                        "blocked, and the agent \(isThere ? "there" : "here") has dropped nothing"
                    ))
                continue
            }
            let rule = refusal.rule >= 0 ? policy.rules[Int(refusal.rule)].name : nil
            let isSame = line.drops.contains { attributed in
                attributed.drop.rule == rule && attributed.drop.cause == refusal.reason.row.name
            }
            if !isSame {
                let found = line.drops.map { "\($0.drop.cause), \($0.drop.author)" }.joined(separator: "; ")
                let place = "\(line.outcome.job.transport.rawValue) \(entry.probe.port)"
                differences.append((line.outcome.job.number, place, text(outcome), found))
            }
        }
        let alike = report.lines.count { $0.isAsExpected == true } - differences.count
        guard json else {
            let lines = differences.map { "\($0.place): simulated \($0.simulated); found \($0.found)" }
            let last = "\(alike.grouped) of \(report.lines.count.grouped) probes fared as simulated; \(summary)"
            return ((lines + [last]).map(\.harmless), differences.isEmpty)
        }
        let values: [JSONValue] = differences.map {
            ["v": .integer(1), "probe": .count($0.probe), "simulated": .text($0.simulated), "found": .text($0.found)]
        }
        let last: JSONValue = [
            "v": .integer(1), "as_simulated": .count(alike), "probes": .count(report.lines.count),
        ]
        return ((values + [last]).map(\.printed), differences.isEmpty)
    }
}

extension ProbePurpose {
    fileprivate var text: String {
        switch border {
        case .port: isInside ? "inside its ports" : "outside its ports"
        case .source: isInside ? "inside its sources" : "outside its sources"
        case .destination: isInside ? "inside its destinations" : "outside its destinations"
        }
    }
}

extension Endpoint {
    /// An address that holds on one link only (RFC 3927, RFC 4291 section 2.5.6).
    fileprivate var isOfLink: Bool { isIPv6 ? address.high >> 54 == 0xfe80 >> 6 : address.v4 >> 16 == 0xa9fe }
}
