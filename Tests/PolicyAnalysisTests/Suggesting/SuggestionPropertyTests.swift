// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import PolicyFile
import TestSupport
import Testing

@testable import PolicyAnalysis

/// Random traffic over few computers and services, and policies of several shapes: an engine is asked about each attempt.
@Suite("Of any traffic all that was wanted is admitted, and nothing of a scan")
struct SuggestionPropertyTests {
    private static let policies = [
        Suggesting.closed,
        Suggesting.closed + "interfaces: { inside: [eth1] }\n",
        Suggesting.closed + "stateful: { udp: { admit: allow }, icmp: { admit: allow } }\n",
        "version: 1\nrules:\n  - { name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 2 } }\n",
        Suggesting.closed
            + "rules:\n  - { name: D, action: deny, direction: incoming, protocol: tcp, source: { addresses: 10.0.0.0/30 }, destination: { ports: 2-3 } }\n"
            + "  - { name: U, action: force-allow, direction: incoming, protocol: udp, source: { addresses: 10.0.0.1 } }\n",
    ]

    private static let scanner = IPAddress(v4: 0x0c00_0001)
    private static let portsOfScan: ClosedRange<UInt16> = 1_000...1_099

    /// One of few.
    private static func attempt(_ random: inout SeededRandom) -> Attempt {
        func below(_ bound: UInt64) -> UInt64 { random.next() % bound }
        let peer = IPAddress(v4: UInt32([0x0a00_0000, 0x0a00_0080, 0x0b00_0000][Int(below(3))] + below(4) + 1))
        let service: Attempt.Service =
            switch below(8) {
            case 0: .udp(UInt16(1 + below(3)))
            case 1: .icmp(type: 8, code: 0)
            case 2: .other(47)
            default: .tcp(UInt16(1 + below(4)))
            }
        let own = IPAddress(v4: 0xc000_020a + UInt32(below(2)))
        return below(4) == 0
            ? Attempt(.outgoing, service, from: own, to: peer, isIPv6: false)
            : Attempt(.incoming, service, from: peer, to: own, isIPv6: false)
    }

    private typealias Sight = (attempt: Attempt, outcome: AttemptOutcome)

    private static func traffic(_ random: inout SeededRandom) -> [Sight] {
        var seen: [Sight] = (0..<Int(random.next() % 40)).map { _ in
            (attempt(&random), AttemptOutcome.allCases[Int(random.next() % 8)])
        }
        for port in portsOfScan {
            seen.append((Suggesting.incoming(.tcp(port), from: scanner), .nobodyListens))
        }
        seen.append((Suggesting.incoming(.tcp(2), from: scanner), .used))
        return seen
    }

    private static func suggesting(_ policy: String, _ seen: [Sight], isExact: Bool) -> Suggesting {
        var all = Suggesting(policy)
        all.options.isExact = isExact
        for (attempt, outcome) in seen { all.see(attempt, outcome) }
        return all
    }

    @Test(arguments: 0..<40)
    func random(_ seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed) + 1)
        let text = Self.policies[seed % Self.policies.count]
        let isExact = seed / Self.policies.count % 2 == 1
        let seen = Self.traffic(&random)
        let all = Self.suggesting(text, seen, isExact: isExact)
        let suggestion = try all.suggestion()
        let old = ExchangeJudge(try all.policy())
        let new = ExchangeJudge(try all.policy(adding: suggestion.file))
        #expect(!suggestion.isUnreadable)
        // Of several sights of one attempt the best counts.
        var best: [Attempt: AttemptOutcome] = [:]
        for (attempt, outcome) in seen { best[attempt] = max(best[attempt] ?? .silent, outcome) }
        for (attempt, outcome) in best {
            let isAdmitted = if case .passes = new.fate(of: attempt, at: 0) { true } else { false }
            guard case .refused(let why, _) = old.fate(of: attempt, at: 0) else { continue }
            let isOfScan = attempt.source == Self.scanner
            if !isOfScan, outcome.isWanted, why.cause != .denyRule {
                #expect(isAdmitted, "\(attempt) \(suggestion.file)")
            }
            if isOfScan, isExact || attempt.service != .tcp(2) {
                #expect(!isAdmitted, "\(attempt) of the scan passes by \(suggestion.file)")
            }
            if isExact, !outcome.isWanted || why.cause == .denyRule {
                #expect(!isAdmitted, "\(attempt) passes by \(suggestion.file)")
            }
        }
        try isMinimal(suggestion, all)
        let more = try all.warnings(adding: suggestion.file).filter { $0.position?.file == "suggestion" }
        #expect(more.isEmpty, "\(more.map(\.text)) \(suggestion.file)")
        #expect(try all.warnings(adding: suggestion.file).count <= all.warnings().count)
        // The order in which things were seen does not matter, nor that they were seen twice as one.
        let again = try Self.suggesting(text, seen.shuffled(using: &random), isExact: isExact).suggestion()
        #expect(again.file == suggestion.file && again.leftOut.map(\.why) == suggestion.leftOut.map(\.why))
    }

    /// Without any one of the rules something of it is refused.
    private func isMinimal(_ suggestion: Suggestion, _ all: Suggesting) throws {
        for place in suggestion.rules.indices {
            var rules = suggestion.rules
            let rule = rules.remove(at: place)
            let file =
                rules.isEmpty
                ? "version: 1\n"
                : "version: 1\nrules:\n" + rules.map { "  - " + $0.lines.joined(separator: "\n    ") + "\n" }.joined()
            let judge = ExchangeJudge(try all.policy(adding: file))
            let isNeeded = rule.attempts.contains { seen in
                if case .refused = judge.fate(of: seen.attempt, at: 0) { true } else { false }
            }
            #expect(isNeeded, "\(rule.name) can be done without: \(suggestion.file)")
        }
    }
}
