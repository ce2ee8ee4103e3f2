// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import PolicyFile
import Testing

@Suite("Policies that load and do hardly what is meant")
struct RemarkTests {
    private func remarks(_ text: String, ssh: Set<UInt16> = []) throws -> [PolicyRemark] {
        try PolicyFile.parse([("p.yaml", Array("version: 1\n\(text)".utf8))]).get().remarks(sshPorts: ssh)
    }

    private func kinds(_ text: String, ssh: Set<UInt16> = []) throws -> [PolicyRemark.Kind] {
        try remarks(text, ssh: ssh).map(\.kind)
    }

    private static let ssh =
        "{ name: SSH, action: allow, direction: incoming, protocol: tcp, destination: { ports: 22 } }"

    private static func rules(_ rules: String...) -> String { "rules: [\(([ssh] + rules).joined(separator: ", "))]" }

    private static func deny(_ criteria: String) -> String {
        "{ name: Deny, action: deny, direction: incoming\(criteria) }"
    }

    @Test("A policy with an allow rule needs no remark, however many denies narrow it")
    func plain() throws {
        #expect(try kinds(Self.rules()) == [])
        #expect(try kinds(Self.rules(), ssh: [22]) == [])
        #expect(try kinds(Self.rules(Self.deny(", source: { addresses: 192.0.2.0/24 }")), ssh: [22]) == [])
    }

    @Test("Without rules everything comes in, also where rules are of what goes out only, or only let more in")
    func open() throws {
        #expect(
            try remarks("").map(\.text) == ["the policy has no rule: every TCP connection to this host is admitted"])
        for rules in [
            "rules: [{ name: Out, action: allow, direction: outgoing }]",
            "rules: [{ name: Ping, action: force-allow, direction: incoming, protocol: icmp }]",
        ] {
            let found = try remarks(rules)
            #expect(found.map(\.kind) == [.open])
            #expect(found.first?.line.contains("no rule restricts what comes in: every TCP connection") == true)
            #expect(found.first?.cure.contains("add an incoming allow rule") == true)
        }
        // Who lists what he does not want knows that the rest comes in.
        #expect(try kinds("rules: [\(Self.deny(", protocol: tcp, destination: { ports: 23 }"))]") == [])
    }

    @Test("A deny that matches all of an allow rule outranks it, and is named with its place")
    func outranked() throws {
        let found = try remarks(Self.rules(Self.deny("")))
        #expect(found.map(\.kind) == [.outranked])
        #expect(found.first?.position?.line == 2)
        #expect(
            found.first?.text
                == "rule \"SSH\" admits nothing, because the deny rule \"Deny\" (p.yaml:2) outranks it and matches all that it "
                + "could admit")
        #expect(found.first?.cure.contains("what no allow rule matches is dropped without it") == true)
        #expect(found.first?.cure.contains("force-allow rule of priority 0") == true)
    }

    @Test(
        "It has to match all of it",
        arguments: [
            (", protocol: tcp", true), (", protocol: tcp+udp", true), (", protocol: udp", false),
            (", frame: ipv4", false),
            (", protocol: tcp, destination: { ports: [20-30] }", true),
            (", protocol: tcp, destination: { ports: [23] }", false),
            (", protocol: tcp, destination: { ports: {not: 80} }", false),
            (", source: { addresses: 0.0.0.0/0 }", false), (", interfaces: [eth0]", false), (", frame: any", true),
            (", protocol: tcp, flags: { set: [syn] }", false), (", priority: 3", true),
        ])
    func coverage(criteria: String, isOutranked: Bool) throws {
        #expect(try kinds(Self.rules(Self.deny(criteria))) == (isOutranked ? [.outranked] : []), "\(criteria)")
    }

    @Test("A deny that holds at times only, or in the other direction, outranks nothing for good")
    func elsewhere() throws {
        let schedule = "schedules: { s: { timezone: UTC, weekly: { mon: [\"01:00-02:00\"] } } }\n"
        #expect(try kinds(schedule + Self.rules(Self.deny(", schedule: s"))) == [])
        #expect(try kinds(Self.rules("{ name: Out, action: deny, direction: outgoing }")) == [])
    }

    @Test("A force-allow rule yields to denies of higher priority only")
    func ranks() throws {
        func forced(_ priority: Int, _ denial: Int) throws -> [PolicyRemark.Kind] {
            try kinds(
                "rules: [{ name: F, action: force-allow, priority: \(priority), direction: incoming, protocol: tcp }, "
                    + Self.deny(", priority: \(denial)") + "]")
        }
        #expect(try forced(1, 1) == [])
        #expect(try forced(2, 1) == [])
        #expect(try forced(1, 2) == [.outranked])
    }

    @Test("What a deny rule spares unless it names it is left to force-allow rules")
    func spared() throws {
        func forced(_ criteria: String, _ denied: String = "") throws -> [PolicyRemark] {
            try remarks(
                "rules: [{ name: F, action: force-allow, priority: 1, direction: incoming\(criteria) }, "
                    + Self.deny(", priority: 2\(denied)") + "]")
        }
        for criteria in ["", ", protocol: any", ", protocol: { not: tcp }"] {
            let found = try forced(criteria)
            #expect(found.count == 1 && found.first?.coversRule == false, "\(criteria)")
            #expect(found.first?.text.contains("admits nothing but neighbour discovery, MLD and IGMP") == true)
        }
        #expect(try forced(", protocol: tcp").first?.coversRule == true)
        // By itself each has to be named.
        for name in ["igmp", "icmpv6"] {
            #expect(try forced(", protocol: \(name)").isEmpty)
            #expect(try forced(", protocol: \(name)", ", protocol: \(name)").map(\.kind) == [.outranked])
        }
    }

    @Test("An allow rule for datagrams that nobody asked for is dead, unless the setting lets it admit them")
    func dead() throws {
        func allow(_ name: String) -> String {
            Self.rules("{ name: A, action: allow, direction: incoming, protocol: \(name) }")
        }
        let found = try remarks(allow("udp, destination: { ports: 53 }"))
        #expect(found.map(\.kind) == [.dead])
        #expect(found.first?.line.contains("make it action: force-allow, or set stateful.udp.admit: allow") == true)
        #expect(try remarks(allow("tcp+udp")).first?.text.contains("admits no UDP") == true)
        #expect(try remarks(allow("icmp")).first?.cure.contains("stateful.icmp.admit") == true)
        for text in [
            "stateful: { udp: { admit: allow } }\n" + allow("udp"),
            "stateful: { udp: { enabled: false } }\n" + allow("udp"),
            allow("tcp"), allow("any"), allow("icmpv6"), allow("{ not: udp }"),
            Self.rules("{ name: A, action: force-allow, direction: incoming, protocol: udp }"),
            Self.rules("{ name: A, action: allow, direction: outgoing, protocol: udp }"),
        ] {
            #expect(try kinds(text) == [], "\(text)")
        }
    }

    @Test("The host's SSH port must be among those that somebody may reach")
    func unreachable() throws {
        let found = try remarks(Self.rules(), ssh: [22, 2222])
        #expect(found.map(\.kind) == [.unreachable])
        #expect(
            found.first?.text
                == "an SSH server of this host listens on port 2222, and no rule admits a connection to it")
        #expect(try kinds(Self.rules(Self.deny("")), ssh: [22]) == [.unreachable, .outranked])
        #expect(try kinds("rules: [\(Self.deny(", protocol: tcp"))]", ssh: [22]) == [.unreachable])
        // Who may reach it, if only from somewhere, by any rule that admits; and where nothing is restricted.
        for rule in [
            "{ name: A, action: allow, direction: incoming, protocol: tcp, source: { addresses: 192.0.2.1 }, destination: { ports: [2000-3000] } }",
            "{ name: A, action: force-allow, priority: 2, direction: incoming, destination: {} }",
            "{ name: A, action: bypass, direction: incoming, protocol: tcp+udp, destination: { ports: {not: 80} } }",
        ] {
            #expect(try kinds(Self.rules(rule), ssh: [2222]) == [], "\(rule)")
        }
        #expect(try kinds("rules: [\(Self.deny(", protocol: tcp, destination: { ports: 23 }"))]", ssh: [22]) == [])
        #expect(try kinds("", ssh: [22]) == [.open])
    }
}
