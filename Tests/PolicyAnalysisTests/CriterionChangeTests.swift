// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire
import PolicyAnalysis
import PolicyFile
import Testing

/// Each case is a policy and a packet that it refuses; what is proposed is written into the policy's text, and the packet judged again.
@Suite("A rule's criterion as the smallest change that lets a packet pass")
struct CriterionChangeTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        /// The criteria of the one rule, or all rules.
        let rules: String
        /// What is replaced, and by what; nil: no criterion is to be proposed.
        let expected: [String]?
        var packet = Packet()

        init(_ what: String, _ rules: String, _ expected: [String]?, _ packet: Packet = Packet()) {
            (testDescription, self.rules, self.expected, self.packet) = (what, rules, expected, packet)
        }
    }

    struct Packet: Sendable {
        var source = "198.51.100.7"
        var destination = "192.0.2.10"
        var port: UInt16 = 22
        var mac: String?
        var isUDP = false

        var scene: PacketScene {
            get throws {
                var words = PacketWords(
                    .incoming,
                    isUDP ? .udp(source: 40_000, destination: port) : .tcp(source: 40_000, destination: port, .syn))
                words.interface = "eth0"
                words.source = try #require(IPAddress(parsing: source))
                words.destination = try #require(IPAddress(parsing: destination))
                words.isIPv6 = source.contains(":")
                words.sourceMAC = mac.flatMap { MACAddress(parsing: $0) }
                return PacketScene(words, now: 1_790_000_000)
            }
        }
    }

    private static func rule(_ criteria: String, _ action: String = "allow", _ name: String = "SSH") -> String {
        "rules:\n  - { name: \(name), action: \(action), direction: incoming, protocol: tcp, \(criteria) }\n"
    }

    private static let office = "lists:\n  office: { addresses: [203.0.113.0/24] }\n"
    private static let six = Packet(source: "fd00::7", destination: "fd00::10")

    static let cases: [Case] = [
        Case(
            "a list by its name", office + rule("source: { addresses: office }, destination: { ports: 22 }"),
            ["office", "[office, 198.51.100.7]"]),
        Case(
            "one value", rule("source: { addresses: 203.0.113.0/24 }, destination: { ports: 22 }"),
            ["203.0.113.0/24", "[203.0.113.0/24, 198.51.100.7]"]),
        Case(
            "a sequence", rule("source: { addresses: [203.0.113.1, \"203.0.113.2\"] }, destination: { ports: 22 }"),
            ["\"203.0.113.2\"", "\"203.0.113.2\", 198.51.100.7"]),
        Case(
            "a sequence of lines",
            """
            rules:
              - name: SSH
                action: allow
                direction: incoming
                protocol: tcp
                source:
                  addresses:
                    - 203.0.113.1 # the office
                    - 203.0.113.2
                destination: { ports: 22 }

            """, ["203.0.113.2", "203.0.113.2\n        - 198.51.100.7"]),
        Case(
            "an IPv6 address is quoted", rule("source: { addresses: \"fd00:1::/64\" }, destination: { ports: 22 }"),
            ["\"fd00:1::/64\"", "[\"fd00:1::/64\", \"fd00::7\"]"], six),
        Case("a port that others would reach too", rule("destination: { ports: 23 }"), nil),
        Case(
            "a port for this source alone",
            rule("source: { addresses: 198.51.100.7 }, destination: { ports: [23, 80] }"),
            ["80", "80, 22"]),
        Case(
            "an excluded address is taken out",
            rule("source: { addresses: { not: [192.0.2.1, 198.51.100.7] } }, destination: { ports: 22 }"),
            [", 198.51.100.7", ""]),
        Case(
            "an excluded network is split",
            rule("source: { addresses: { not: 198.51.100.0/24 } }, destination: { ports: 22 }"),
            ["198.51.100.0/24", "[198.51.100.0-198.51.100.6, 198.51.100.8-198.51.100.255]"]),
        Case(
            "an interface",
            rule("interfaces: [eth1], source: { addresses: 198.51.100.7 }, destination: { ports: 22 }"),
            ["eth1", "eth1, eth0"]),
        Case(
            "a hardware address",
            rule(
                "source: { addresses: 198.51.100.7, macs: \"52:54:00:00:00:01\" }, destination: { ports: 22 }"),
            ["\"52:54:00:00:00:01\"", "[\"52:54:00:00:00:01\", \"52:54:00:00:00:02\"]"],
            Packet(mac: "52:54:00:00:00:02")),
        Case(
            "a deny rule's address",
            rule("source: { addresses: [192.0.2.1, 198.51.100.7] }, destination: { ports: 22 }", "deny"),
            [", 198.51.100.7", ""]),
        Case(
            "a deny rule's network", rule("source: { addresses: 198.51.100.6/31 }, destination: { ports: 22 }", "deny"),
            ["198.51.100.6/31", "198.51.100.6"]),
        Case(
            "what a deny rule excludes",
            rule("source: { addresses: { not: 10.0.0.0/8 } }, destination: { ports: 22 }", "deny"),
            ["10.0.0.0/8", "[10.0.0.0/8, 198.51.100.7]"]),
        Case(
            "a deny rule whose one address it is",
            rule("source: { addresses: 198.51.100.7 }, destination: { ports: 22 }", "deny"), nil),
        Case(
            "a deny rule's port, by which others would pass", rule("destination: { ports: 0-100 }", "deny"), nil),
        Case(
            "a deny rule's list with a name, which others may have",
            "lists:\n  bad: { addresses: [198.51.100.7, 192.0.2.1] }\n"
                + rule("source: { addresses: bad }, destination: { ports: 22 }", "deny"),
            nil),
        Case(
            "a value that an alias shares with another rule",
            rule("source: { addresses: &them 203.0.113.0/24 }, destination: { ports: 22 }")
                + "  - { name: Two, action: allow, direction: incoming, protocol: tcp, source: { addresses: *them }, destination: { ports: 80 } }\n",
            nil),
        Case(
            "two criteria are missed", office + rule("source: { addresses: office }, destination: { ports: 23 }"), nil),
        Case(
            "datagrams, for which it takes a force-allow rule",
            rule("source: { addresses: 203.0.113.1 }, destination: { ports: 22 }", "force-allow").replacing(
                "tcp", with: "udp"),
            ["203.0.113.1", "[203.0.113.1, 198.51.100.7]"], Packet(isUDP: true)),
        Case(
            "datagrams, which an allow rule would not admit",
            rule("source: { addresses: 203.0.113.1 }, destination: { ports: 22 }").replacing("tcp", with: "udp"), nil,
            Packet(isUDP: true)),
        Case(
            "a rule that outranks what stops others is no smaller change",
            rule("source: { addresses: 203.0.113.1 }, destination: { ports: 22 }", "force-allow")
                + "  - { name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }\n",
            nil),
    ]

    private static let name = "p.yaml"

    private static func document(_ text: [UInt8], adding file: String? = nil) -> PolicyDocument? {
        let more = file.map { [("change.yaml", Array($0.utf8))] } ?? []
        return PolicyFile.parse([(name, text)] + more, for: .replay).document
    }

    @Test("It is proposed where no more passes by it than by a rule, and it lets the packet pass", arguments: cases)
    func each(_ example: Case) throws {
        let text = Array(("version: 1\n" + example.rules).utf8)
        let scene = try example.packet.scene
        let policy = try Policy(#require(Self.document(text)), epoch: 1)
        let explanation = scene.judge(policy)
        try #require(explanation.refusal != nil)
        let search = ChangeSearch(reread: { Self.document(text, adding: $0) }, judge: { scene.judge($0) })
        let other = search.toPass(explanation)
        #expect(other != nil)
        let sources = [(name: Self.name, text: text)]
        let within = ChangeSearch.Text(sources, reread: { $0.first.flatMap { Self.document($0.text) } })
        let change = search.toPass(explanation, within: within, beside: other)
        #expect(change.map { [$0.edit.old, $0.edit.new] } == example.expected)
        guard let change else { return }

        // Where it is said to stand, the old text does.
        let lines = String(decoding: text, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        let line = lines[change.edit.position.line - 1]
        #expect(change.edit.position.file == Self.name)
        #expect(line.dropFirst(change.edit.position.column - 1).hasPrefix(change.edit.old.prefix { $0 != "\n" }))
        let edited = try Policy(#require(Self.document(change.edit.applied(to: sources)[0].text)), epoch: 2)
        #expect(scene.judge(edited).passes == true)
        // The packet's neighbour fares as before.
        var neighbour = example.packet
        neighbour.source = example.packet.source.contains(":") ? "fd00::8" : "198.51.100.8"
        #expect(try neighbour.scene.judge(edited).passes == neighbour.scene.judge(policy).passes)
    }

    @Test("What is not in the policy's own text is not proposed, nor without a packet that is refused")
    func none() throws {
        let text = Array(("version: 1\n" + Self.rule("destination: { ports: 22 }")).utf8)
        let scene = try Packet().scene
        let policy = try Policy(#require(Self.document(text)), epoch: 1)
        let search = ChangeSearch(reread: { Self.document(text, adding: $0) }, judge: { scene.judge($0) })
        let within = ChangeSearch.Text([(Self.name, text)], reread: { Self.document($0[0].text) })
        #expect(search.toPass(scene.judge(policy), within: within, beside: nil) == nil)
    }
}
