// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import PolicyFile
import Testing

@testable import PolicyAnalysis

/// A policy, what was seen under it, and what is suggested of that.
struct Suggesting {
    static let closed = "version: 1\ndefault: { incoming: deny, outgoing: deny }\n"
    static let host = IPAddress(v4: 0xc000_020a)

    let text: String
    var options = Suggestion.Options()
    var traffic = SeenTraffic()

    init(_ text: String = closed) { self.text = text }

    /// Address `192.0.2.0 + last`, of a network of its own.
    static func peer(_ last: UInt32, network: UInt32 = 0x0a00_0000) -> IPAddress { IPAddress(v4: network + last) }

    static func incoming(_ service: Attempt.Service, from source: IPAddress, to own: IPAddress = host) -> Attempt {
        Attempt(.incoming, service, from: source, to: own, isIPv6: false)
    }

    static func outgoing(_ service: Attempt.Service, to peer: IPAddress) -> Attempt {
        Attempt(.outgoing, service, from: host, to: peer, isIPv6: false)
    }

    mutating func see(
        _ attempt: Attempt, _ outcome: AttemptOutcome = .listening, packets: UInt64 = 1, openings: UInt64 = 1,
        at time: Int64 = 1_790_000_000_000_000, lasting: Int64 = 0
    ) {
        traffic.add(attempt, packets: packets, openings: openings, first: time, last: time + lasting, outcome)
    }

    func document(adding file: String? = nil) throws -> PolicyDocument {
        var sources = [(name: "p.yaml", text: Array(text.utf8))]
        if let file { sources.append(("suggestion", Array(file.utf8))) }
        return try PolicyFile.parse(sources).get()
    }

    func policy(adding file: String? = nil) throws -> Policy { try Policy(try document(adding: file), epoch: 1) }

    func suggestion() throws -> Suggestion {
        Suggestion(try policy(), traffic, options) { try? self.document(adding: $0) }
    }

    /// Of the policy with a suggestion, no more warnings than without; and whether an engine lets an attempt pass by it.
    static func passes(_ attempt: Attempt, _ policy: Policy) -> Bool {
        if case .passes = ExchangeJudge(policy).fate(of: attempt, at: 0) { return true }
        return false
    }

    func warnings(adding file: String? = nil) throws -> [PolicyLint] {
        let policy = try policy(adding: file)
        let check = PolicyCheck(policy)
        return PolicyLints.all(check, check.findings())
    }
}

extension Suggestion {
    var texts: [String] { rules.map { $0.lines.joined(separator: "; ") } }
    func isLeftOut(_ why: LeftOut.Why) -> Bool { leftOut.contains { $0.why == why } }
}
