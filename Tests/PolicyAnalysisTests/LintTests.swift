// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import PolicyAnalysis
import PolicyFile
import Testing

/// Each lint with a policy that must raise it, and the nearest one that must not.
@Suite("What is said of a policy, and what is not")
struct LintTests {
    static let head = "interfaces: { ignore: [lo] }\n"
    static let web =
        "  - { name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }\n"

    static func lints(_ text: String, interfaces: [String]? = nil) throws -> [PolicyLint] {
        let document = try PolicyFile.parse([("p.yaml", Array("version: 1\n\(text)".utf8))]).get()
        let policy = try Policy(document, epoch: 1)
        let moments = PacketUniverse.moments(
            [(policy, SystemTimeZones.zones(of: document))], from: 1_790_000_000)
        let check = PolicyCheck(policy, interfaces: interfaces, moments: moments)
        return PolicyLints.all(check, check.findings())
    }

    /// One lint: its code, a policy that raises it on a line with words in it, and one that does not.
    struct Case: Sendable, CustomTestStringConvertible {
        let code: String
        let line: Int?
        let words: String
        let raising: String
        let sparing: String
        var testDescription: String { "\(code): \(words)" }

        init(_ code: String, line: Int?, _ words: String, _ raising: String, but sparing: String) {
            (self.code, self.line, self.words) = (code, line, words)
            (self.raising, self.sparing) = (raising, sparing)
        }
    }

    @Test(
        "Each lint is raised by what it is about, at its place and with its cure, and not by what is nearest",
        arguments: cases)
    func each(_ example: Case) throws {
        let raised = try Self.lints(example.raising, interfaces: ["eth0", "lo"]).filter { $0.code == example.code }
        let lint = try #require(raised.first, "nothing is said of \(example.raising)")
        #expect(raised.count == 1, "\(raised)")
        #expect(lint.position?.line == example.line)
        #expect(lint.text.contains(example.words), "\(lint.text)")
        #expect(!lint.cure.isEmpty && lint.position.map { $0.file == "p.yaml" && $0.column > 0 } ?? true)
        let spared = try Self.lints(example.sparing, interfaces: ["eth0", "lo"]).filter { $0.code == example.code }
        #expect(spared == [], "\(example.sparing)")
    }

    static func rules(_ rules: String..., head: String = head) -> String {
        head + "rules:\n" + rules.map { "  - { \($0) }\n" }.joined()
    }

    static let ssh =
        "name: SSH, action: allow, direction: incoming, protocol: tcp, source: { addresses: 192.0.2.0/24 }, destination: { ports: 22 }"

    static func deny(_ criteria: String, _ direction: String = "incoming") -> String {
        "name: Deny, action: deny, direction: \(direction), \(criteria)"
    }

    static let cases: [Case] = [
        Case(
            "redundant", line: 5, "\"Low\"",
            rules(
                "name: Low, action: deny, direction: incoming, protocol: tcp, destination: { ports: 0-1023 }",
                deny("protocol: tcp, destination: { ports: 1000-1023 }")),
            but: rules(
                "name: Low, action: deny, direction: incoming, protocol: tcp, destination: { ports: 0-1023 }",
                deny("protocol: tcp, destination: { ports: 1000-1024 }"))),
        Case(
            "shadowed", line: 5, "which does something else",
            rules(deny("protocol: tcp, destination: { ports: 22 }"), ssh),
            but: rules(deny("protocol: tcp, source: { addresses: 192.0.2.0/25 }, destination: { ports: 22 }"), ssh)),
        Case(
            "admits-nothing", line: 4, "force-allow",
            rules("name: DNS, action: allow, direction: incoming, protocol: udp, destination: { ports: 53 }"),
            but: rules("name: DNS, action: allow, direction: outgoing, protocol: udp, destination: { ports: 53 }")),
        Case(
            "admits-nothing", line: 4, "opens a connection",
            rules("name: Acks, action: allow, direction: incoming, protocol: tcp, flags: { set: [ack] }"),
            but: rules("name: Acks, action: allow, direction: incoming, protocol: tcp, flags: { clear: [ack] }")),
        Case(
            "admits-nothing", line: 4, "need no allow rule",
            rules("name: Six, action: allow, direction: incoming, frame: ipv6, protocol: icmpv6"),
            but: rules("name: Any, action: allow, direction: incoming, protocol: any")),
        Case(
            "matches-nothing", line: 4, "interfaces.ignore", rules(ssh + ", interfaces: [lo]"),
            but: rules(ssh + ", interfaces: [eth0]")),
        Case(
            "matches-nothing", line: 5, "block-ipv6",
            rules(deny("frame: ipv6"), head: head + "engine: { sanity: { block-ipv6: true } }\n"),
            but: rules(deny("frame: ip"), head: head + "engine: { sanity: { block-ipv6: true } }\n")),
        Case(
            "matches-nothing", line: 4, "refused before", rules(deny("source: { addresses: 127.0.0.0/8 }")),
            but: rules(deny("source: { addresses: 126.0.0.0/7 }"))),
        Case(
            "matches-nothing", line: 4, "leaves nothing",
            rules(deny("frame: ipv4, source: { addresses: { not: [0.0.0.0-223.255.255.255] } }")),
            but: rules(deny("frame: ipv4, source: { addresses: { not: [0.0.0.0-223.255.255.254] } }"))),
        Case(
            "matches-nothing", line: 4, "IPv6 extension headers", rules(deny("frame: ipv6, protocol: 44")),
            but: rules(deny("frame: ip, protocol: 44"))),
        Case(
            "matches-nothing", line: 5, "VLAN tags",
            rules(
                deny("frame: 0x8100"), head: "interfaces: { ignore: [lo], inside: [eth1] }\nqueue: { family: bridge }\n"
            ),
            but: rules(
                deny("frame: 0x88cc"), head: "interfaces: { ignore: [lo], inside: [eth1] }\nqueue: { family: bridge }\n"
            )),
        Case(
            "inert", line: 4, "no interface", rules(ssh + ", interfaces: [eth7]"),
            but: rules(ssh + ", interfaces: [\"eth?\"]")),
        Case(
            "one-sided-bypass", line: 4, "no counterpart",
            rules("name: In, action: bypass, direction: incoming, protocol: tcp, destination: { ports: 873 }"),
            but: rules(
                "name: In, action: bypass, direction: incoming, protocol: tcp, destination: { ports: 873 }",
                "name: Out, action: bypass, direction: outgoing, protocol: tcp, source: { ports: 873 }")),
        Case(
            "under-built-in", line: 4, "DNS",
            rules(deny("protocol: udp, destination: { ports: [53, 5353] }", "outgoing")),
            but: rules(deny("protocol: udp, destination: { ports: [54, 5353] }", "outgoing"))),
        Case(
            "path-mtu", line: 5, "fragmentation needed",
            rules(
                deny("protocol: icmp"), head: head + "engine: { built-in-rules: { path-mtu: false } }\n"),
            but: rules(deny("protocol: icmp"), head: head + "engine: { built-in-rules: { path-mtu: true } }\n")),
        Case(
            "neighbour-discovery", line: 4, "incoming", rules(deny("protocol: icmpv6")),
            but: rules(deny("protocol: any"))),
        Case(
            "no-names", line: nil, "DNS",
            rules(
                "name: Out, action: allow, direction: outgoing, protocol: tcp, destination: { ports: 443 }",
                head: head + "engine: { built-in-rules: { dhcp-dns: off } }\n"),
            but: rules(
                "name: Out, action: allow, direction: outgoing, protocol: tcp, source: { ports: 40000 }, destination: { ports: 50-60 }",
                head: head + "engine: { built-in-rules: { dhcp-dns: off } }\n")),
        Case(
            "no-leases", line: nil, "DHCP",
            rules(ssh, head: head + "engine: { built-in-rules: { dhcp-dns: dns-only } }\n"),
            but: rules(
                ssh,
                "name: DHCP, action: force-allow, direction: incoming, protocol: udp, destination: { ports: [68, 546] }",
                head: head + "engine: { built-in-rules: { dhcp-dns: dns-only } }\n")),
        Case(
            "mergeable", line: 5, "destination ports",
            rules(
                "name: A, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 }",
                "name: B, action: allow, direction: incoming, protocol: tcp, destination: { ports: 443 }"),
            but: rules(
                "name: A, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 }",
                "name: B, action: allow, direction: incoming, protocol: tcp, source: { addresses: 192.0.2.1 }, destination: { ports: 443 }"
            )),
        Case(
            "idle-entry", line: 5, "23, 25 in the destination ports",
            rules(
                "name: Low, action: deny, priority: 1, direction: incoming, protocol: tcp, destination: { ports: 0-100 }",
                deny("protocol: tcp, destination: { ports: [23, 25, 3389] }")),
            but: rules(
                "name: Low, action: deny, priority: 1, direction: incoming, protocol: tcp, destination: { ports: 0-22 }",
                deny("protocol: tcp, destination: { ports: [23, 25, 3389] }"))),
        Case(
            "idle-entry", line: 3, "10.1.0.0/16 in the list \"bad\"",
            lists("bad: { addresses: [10.1.0.0/16, 192.0.2.0/24] }")
                + "  - { name: Ten, action: deny, priority: 1, direction: incoming, source: { addresses: 10.0.0.0/8 } }\n"
                + "  - { name: Bad, action: deny, direction: incoming, source: { addresses: bad } }\n",
            // Another rule needs the entry.
            but: lists("bad: { addresses: [10.1.0.0/16, 192.0.2.0/24] }")
                + "  - { name: Ten, action: deny, priority: 1, direction: incoming, source: { addresses: 10.0.0.0/8 } }\n"
                + "  - { name: Bad, action: deny, direction: incoming, source: { addresses: bad } }\n"
                + "  - { name: Out, action: deny, direction: outgoing, destination: { addresses: bad } }\n"),
        Case(
            "unused-list", line: 3, "\"spare\"", lists("spare: { addresses: [192.0.2.1] }") + web,
            but: lists("spare: { addresses: [192.0.2.1] }")
                + "  - { name: Bad, action: deny, direction: incoming, source: { addresses: spare } }\n"),
        Case(
            "empty-list", line: 3, "match nothing",
            lists("none: { addresses: [] }")
                + "  - { name: Bad, action: deny, direction: incoming, source: { addresses: none } }\n",
            but: lists("none: { addresses: [192.0.2.1] }")
                + "  - { name: Bad, action: deny, direction: incoming, source: { addresses: none } }\n"),
        Case(
            "empty-list", line: 3, "everybody",
            lists("none: { addresses: [] }")
                + "  - { name: All, action: allow, direction: incoming, protocol: tcp, source: { addresses: { not: none } } }\n",
            but: lists("none: { addresses: [192.0.2.1] }")
                + "  - { name: All, action: allow, direction: incoming, protocol: tcp, source: { addresses: { not: none } } }\n"
        ),
    ]

    static func lists(_ list: String) -> String { "lists:\n  \(list)\nrules:\n" }

    @Test("Of a rule that is off nothing is said")
    func disabled() throws {
        #expect(
            try Self.lints(Self.rules(Self.ssh, Self.ssh.replacing("SSH", with: "Off") + ", enabled: false")).isEmpty)
    }

    @Test("On a loopback interface that is judged, packets pass that are refused elsewhere")
    func loopback() throws {
        let rule = Self.deny("source: { addresses: 127.0.0.0/8 }")
        #expect(try Self.lints(Self.rules(rule, head: "interfaces: { ignore: [] }\n")).isEmpty)
        let elsewhere = try Self.lints(
            Self.rules(rule + ", interfaces: [eth0]", head: "interfaces: { ignore: [] }\n"))
        #expect(elsewhere.map(\.code) == ["matches-nothing"], "\(elsewhere)")
    }

    @Test("A policy that means what it says is not spoken of")
    func clean() throws {
        #expect(try Self.lints(Self.rules(Self.ssh), interfaces: ["eth0", "lo"]) == [])
    }
}
