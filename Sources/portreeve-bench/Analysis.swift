// SPDX-License-Identifier: GPL-3.0-or-later

import ArgumentParser
import ConnectionTracking
import FirewallPolicy
import PacketWire
import PolicyAnalysis
import TestSupport

/// What it costs to find out what a policy does: seconds of one processor, on generated sets of rules.
struct Analysis: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Time of the exact lints of `check`, and of `diff`.")

    @Flag(help: "Leave out what takes long: 100,000 rules.")
    var quick = false

    func run() throws {
        var isDecided = true
        for count in quick ? [10_000] : [10_000, 100_000] {
            for shape in RuleSetShape.allCases {
                let policy = try Self.policy(shape, count, seed: 42)
                let began = Stopwatch.cpuNanoseconds()
                let check = PolicyCheck(policy)
                let findings = check.findings()
                let lints = PolicyLints.all(check, findings)
                let seconds = Double(Stopwatch.cpuNanoseconds() - began) / 1e9
                let undecided = findings.count { $0.verdict == .undecided }
                isDecided = isDecided && undecided == 0
                let covered = findings.count {
                    if case .covered = $0.verdict { return true }
                    return false
                }
                print(
                    "check of \(count) rules (\(shape)): \(fixed(seconds, 2)) s, \(covered) covered, \(undecided) undecided, \(lints.count) lints, "
                        + "\(ResidentMemory.bytes >> 20) MiB resident")
            }
        }
        for shape in RuleSetShape.allCases {
            let old = try Self.policy(shape, 10_000, seed: 42)
            var document = old.document
            for index in stride(from: 0, to: document.rules.count, by: 100) { document.rules[index].isEnabled = false }
            let new = try Policy(document, epoch: 2)
            let began = Stopwatch.cpuNanoseconds()
            let difference = PolicyDifference(from: old, to: new)
            let seconds = Double(Stopwatch.cpuNanoseconds() - began) / 1e9
            isDecided = isDecided && !difference.isIncomplete
            print(
                "diff of 10000 rules, 100 of them off (\(shape)): \(fixed(seconds, 2)) s, \(difference.parts.count) regions, "
                    + "\(difference.isIncomplete ? "given up" : "complete"), \(difference.verdict.rawValue)")
        }
        isDecided = try compareLists() && isDecided
        if !isDecided { throw ExitCode.failure }
    }

    /// Two rules for each of 40 ports, with two lists of a million addresses, of which each policy has its own.
    private func compareLists() throws -> Bool {
        let count = quick ? 100_000 : 1_000_000
        let (old, new) = try (Self.policy(lists: count, without: 0), Self.policy(lists: count, without: count / 2))
        let began = Stopwatch.cpuNanoseconds()
        let difference = PolicyDifference(from: old, to: new)
        let seconds = Double(Stopwatch.cpuNanoseconds() - began) / 1e9
        print(
            "diff of 80 rules with four lists of \(count) addresses: \(fixed(seconds, 2)) s, \(difference.parts.count) regions, "
                + "\(difference.isIncomplete ? "given up" : "complete"), \(ResidentMemory.bytes >> 20) MiB resident")
        return !difference.isIncomplete
    }

    private static func policy(lists count: Int, without left: Int) throws -> Policy {
        var document = PolicyDocument()
        let position = SourcePosition(file: "lists.yaml", line: 1, column: 1)
        // No two addresses of one are neighbours.
        for step in [2, 3] {
            let ranges = (1...count).filter { $0 != left }.map { number -> AddressRange in
                let address = IPAddress(v4: 0x1000_0000 + UInt32(number * step))
                return AddressRange(first: address, last: address)
            }
            document.addressLists.append(NamedList(name: nil, values: ranges, position: position))
        }
        for port in UInt16(1)...40 {
            document.portLists.append(
                NamedList(name: nil, values: [PortRange(first: port, last: port)], position: position))
            for (action, list) in [(RuleAction.deny, Criterion(0)), (.allow, Criterion(1, isInverted: true))] {
                var rule = Rule(
                    name: "\(action) \(port)", action: action, priority: action == .deny ? 1 : 0, direction: .incoming,
                    position: position)
                rule.protocols = Criterion(.number(6))
                rule.source.addresses = list
                rule.destination.ports = Criterion(document.portLists.count - 1)
                document.rules.append(rule)
            }
        }
        return try Policy(document, epoch: 1)
    }

    private static func policy(_ shape: RuleSetShape, _ count: Int, seed: UInt64) throws -> Policy {
        var generator = RuleSetGenerator(shape, seed: seed)
        return try Policy(generator.document(rules: count), epoch: 1)
    }
}
