// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import PacketWire
import PolicyAnalysis
import PolicyFile
import Testing

@Suite("What must never pass, and whether it does")
struct ForbiddenTests {
    private func policy(_ text: String) throws -> Policy {
        try Policy(PolicyFile.parse([("p.yaml", Array("version: 1\n\(text)".utf8))]).get(), epoch: 1)
    }

    private func forbidden(_ text: String, _ forbidding: String) throws -> ForbiddenAccess {
        let policies = try [policy(text), policy(forbidding)]
        let moments = PacketUniverse.moments(
            policies.map { ($0, SystemTimeZones.zones(of: $0.document)) }, from: 1_790_000_000)
        return ForbiddenAccess(policies[0], forbidding: policies[1], moments: moments)
    }

    private static let schedules =
        "schedules: { work: { timezone: UTC, weekly: { mon-fri: [\"08:00-18:00\"] } }, night: { timezone: UTC, weekly: { mon-sun: [\"22:00-24:00\"] } } }\n"

    private static func rule(_ action: String, _ schedule: String? = nil, ports: String = "22") -> String {
        "rules: [{ name: SSH, action: \(action), direction: incoming, protocol: tcp, destination: { ports: \(ports) }"
            + (schedule.map { ", schedule: \($0)" } ?? "") + " }]\n"
    }

    @Test("A packet that a rule admits and another policy's rule names is found, with what admits it")
    func plain() throws {
        let found = try forbidden(Self.rule("allow", ports: "[22, 80]"), Self.rule("deny"))
        #expect(found.parts.count == 2 && !found.isIncomplete)
        let part = try #require(found.parts.first)
        #expect(part.witness.destinationPort == 22 && part.witness.flags == .syn && part.decision.rule == 0)
        #expect(part.forbidding.contains("p.yaml:2"))
        #expect(try forbidden(Self.rule("allow", ports: "80"), Self.rule("deny")).parts.isEmpty)
        // What a Deny takes before, or a datagram that needs a Force Allow, is not admitted.
        let first =
            "{ name: No, action: deny, priority: 1, direction: incoming, protocol: tcp, destination: { ports: 22 } }, "
        let denied = Self.rule("allow", ports: "[22, 80]").replacing("rules: [", with: "rules: [" + first)
        #expect(try forbidden(denied, Self.rule("deny")).parts.isEmpty)
    }

    @Test("Both policies' schedules count: only at a time when both rules hold does anything forbidden pass")
    func schedules() throws {
        let always = Self.schedules + Self.rule("allow")
        let working = Self.schedules + Self.rule("allow", "work")
        let nightly = Self.schedules + Self.rule("deny", "night")
        #expect(try forbidden(always, nightly).parts.count == 2)
        #expect(try forbidden(working, nightly).parts.isEmpty)
        #expect(try forbidden(working, Self.schedules + Self.rule("deny", "work")).parts.count == 2)
        // The witness comes at such a time: 22:00 to midnight.
        let witness = try #require(try forbidden(always, nightly).parts.first).witness
        #expect(witness.moment.unixTime % 86_400 >= 22 * 3_600, "\(witness.moment)")
    }
}
