// SPDX-License-Identifier: GPL-3.0-or-later

import AnalysisProof
import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import PolicyAnalysis
import PolicyFile
import TestSupport
import Testing

/// The proofs ask all packets of a small IPv4 world. Here are the others: IPv6 with its neighbour discovery, frames of a bridge, addresses
/// that settings refuse, schedules. Not all packets can be asked, but every witness is judged by an engine.
@Suite("Every packet that check and diff name is decided as they say, of any family and under any settings")
struct WitnessTests {
    @Test("of random policies", arguments: 0..<6)
    func random(_ number: Int) throws {
        var (checked, asked, compared) = (0, 0, 0)
        var before: PolicyDocument?
        for seed in UInt64(number * 20)..<UInt64(number * 20 + 20) {
            var texts = PolicyTexts(seed: seed)
            let text = texts.policy()
            // Some of them are no policy: criteria that exclude each other.
            guard let document = PolicyFile.parse([("p.yaml", Array(text.utf8))]).document else { continue }
            let policy = try Policy(document, epoch: 1)
            let findings = PolicyCheck(policy, moments: Self.moments([policy])).findings()
            checked += Self.check(findings, policy, text)
            asked += Self.ask(findings, policy, text, &texts)
            if let before { compared += try Self.compare(before, document, text) }
            before = document
        }
        #expect(checked > 40 && asked > 5 && compared > 10, "\(checked), \(asked), \(compared)")
    }

    private static func moments(_ policies: [Policy]) -> [PacketUniverse.Moment] {
        PacketUniverse.moments(
            policies.map { ($0, SystemTimeZones.zones(of: $0.document)) }, from: 1_790_000_000)
    }

    /// What decides about packets is not said to decide nothing. An allow rule may, about what opens nothing.
    private static func ask(
        _ findings: [RuleFinding], _ policy: Policy, _ text: String, _ texts: inout PolicyTexts
    ) -> Int {
        let verdicts = Dictionary(uniqueKeysWithValues: findings.map { ($0.rule, $0.verdict) })
        var count = 0
        for _ in 0..<20 {
            let words = texts.packet()
            let ruling = PacketScene(words, now: 1_790_000_000).judge(policy).ruling
            guard let rule = ruling?.decision.rule, rule >= 0, let verdict = verdicts[rule] else { continue }
            count += 1
            let decidesNothing =
                switch verdict {
                case .matchesNothing, .inert, .disabled: true
                case .covered: policy.rules[Int(rule)].action != .allow
                case .effective, .admitsNothing, .undecided: false
                }
            #expect(!decidesNothing, "\(words.options): \(verdict)\n\(text)")
        }
        return count
    }

    private static func check(_ findings: [RuleFinding], _ policy: Policy, _ text: String) -> Int {
        var count = 0
        for finding in findings {
            #expect(finding.verdict != .undecided, "\(policy.rules[Int(finding.rule)].name)\n\(text)")
            guard case .effective(let witness) = finding.verdict else { continue }
            let claim = RuleDecision(
                outcome: RuleOutcome(policy.rules[Int(finding.rule)].action), rule: finding.rule)
            #expect(Replay.objection(witness, policy, to: claim) == nil, "\(text)")
            count += 1
        }
        return count
    }

    private static func compare(_ old: PolicyDocument, _ new: PolicyDocument, _ text: String) throws -> Int {
        let policies = try (Policy(old, epoch: 1), Policy(new, epoch: 2))
        let difference = PolicyDifference(
            from: policies.0, to: policies.1, moments: moments([policies.0, policies.1]))
        for part in difference.parts {
            let objections = [
                Replay.objection(part.witness, policies.0, to: part.old, part.oldEffect),
                Replay.objection(part.witness, policies.1, to: part.new, part.newEffect),
            ]
            #expect(objections == [nil, nil], "\(part.text)\n\(text)")
        }
        #expect(!difference.isUndecided, "\(text)")
        return difference.parts.count
    }
}

/// Policy files of what the tiny ones lack.
private struct PolicyTexts {
    private var random: SeededRandom

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    private mutating func chance(_ percent: UInt64) -> Bool { random.next() % 100 < percent }
    private mutating func pick(_ values: [String]) -> String { values[Int(random.next() % UInt64(values.count))] }
    private mutating func inverted(_ text: String) -> String { chance(20) ? "{ not: \(text) }" : text }

    mutating func policy() -> String {
        let isBridge = chance(30)
        let ignored = pick(["[lo]", "[lo]", "[]", "[lo, \"wg*\"]", "[\"eth*\"]", "[\"*\"]"])
        var text = "version: 1\ninterfaces: { ignore: \(ignored)"
        if isBridge || chance(15) { text += ", inside: [eth1]" }
        text += " }\n" + (isBridge ? "queue: { family: bridge }\n" : "")
        text += "schedules: { day: { timezone: UTC, weekly: { mon-fri: [\"08:00-18:00\"] } } }\n"
        if chance(10) { text += "mode: tap\n" }
        if chance(20) {
            text += "failure: { engine: \(pick(["open", "closed"])), sanity: \(pick(["open", "closed"])) }\n"
        }
        let builtIn =
            "built-in-rules: { dhcp-dns: \(pick(["off", "client", "dns-only"])), path-mtu: \(pick(["true", "false"])) }"
        text += "engine: { sanity: { \(sanity()) }, \(builtIn), anti-evasion: \(posture()) }\n"
        if chance(20) { text += "reconnaissance: { block: 5m }\n" }
        if chance(50) { text += "stateful: { \(stateful()) }\n" }
        if chance(20) { text += "default: { incoming: deny }\n" }
        return text + "rules:\n" + (0..<6).map { rule($0, isBridge) }.joined()
    }

    /// A packet such as the policies tell apart.
    mutating func packet() -> PacketWords {
        let isIPv6 = chance(50)
        let ports: [UInt16] = [0, 53, 67, 68, 80, 443, 546, 547, 40_000]
        func port() -> UInt16 { ports[Int(random.next() % UInt64(ports.count))] }
        let types: [UInt8] = isIPv6 ? [1, 2, 128, 133, 135, 137, 143] : [3, 8, 11]
        let protocols: [UInt8] = [2, 47, 50, 132]
        let flags: [TCPFlags] = [.syn, .ack, .syn | .fin, .fin | .urg | .psh, TCPFlags()]
        let transport: PacketWords.Transport =
            switch random.next() % 4 {
            case 0: .tcp(source: port(), destination: port(), flags[Int(random.next() % 5)])
            case 1: .udp(source: port(), destination: port())
            case 2: .icmp(type: types[Int(random.next() % UInt64(types.count))], code: chance(50) ? 0 : 4)
            default: .other(protocols[Int(random.next() % 4)])
            }
        var words = PacketWords(chance(50) ? .incoming : .outgoing, transport)
        words.isIPv6 = isIPv6
        words.interface = pick(["eth0", "eth1", "wlan0", "lo", "wg0"])
        if chance(10) { words.otherInterface = pick(["eth0", "eth1", "wg0"]) }
        (words.source, words.destination) = (address(isIPv6), address(isIPv6))
        if words.direction == .incoming, chance(30) { words.sourceMAC = MACAddress(bits: 0x5254_0000_0001) }
        return words
    }

    /// The first of one of the networks, or one that is in none.
    private mutating func address(_ isIPv6: Bool) -> IPAddress {
        let text = pick((isIPv6 ? Self.v6 : Self.v4) + [isIPv6 ? "2606:4700::1" : "198.51.100.7"])
        return IPAddress(parsing: text.split(separator: "/")[0]) ?? .zero
    }

    /// Any of the settings that refuse packets before rules are asked.
    private mutating func sanity() -> String {
        var words: [String] = []
        let switches = [
            "allow-null-ip", "block-same-source-destination", "drop-zero-payload", "verify-tcp-checksum",
        ]
        words += add(switches, ["true", "false"], 40) + add(["block-ipv6"], ["true", "false"], 20)
        let refusals = [
            "reserved-addresses", "df-fragments", "source-routing", "record-route", "own-source", "link-local",
            "reverse-path", "broadcast-source",
        ]
        words += add(refusals, ["allow", "deny"], 30)
        let ofIPv6 = ["routing-header-0", "reserved", "bogon", "site-local", "6to4-bogon", "small-fragments"]
        let sets = add(ofIPv6, ["allow", "deny"], 30)
        if !sets.isEmpty { words.append("ipv6: { \(sets.joined(separator: ", ")) }") }
        return words.joined(separator: ", ")
    }

    private mutating func add(_ keys: [String], _ values: [String], _ percent: UInt64) -> [String] {
        keys.compactMap { chance(percent) ? "\($0): \(pick(values))" : nil }
    }

    private mutating func posture() -> String {
        let rows = [
            "fragments", "zero-flags", "congestion-flags", "urgent-flags", "syn-fin", "syn-rst", "rst-fin", "syn-data",
            "rst-out-of-connection", "fin-out-of-connection", "outgoing-out-of-connection", "checksum",
            "tcp-auth-option",
        ]
        let set = add(rows, ["allow", "log", "deny", "deny-silent"], 20)
        return chance(30) ? "strict" : "{ \((["posture: normal"] + set).joined(separator: ", ")) }"
    }

    private mutating func stateful() -> String {
        var words = ["udp", "icmp"].map { protocolName in
            "\(protocolName): { enabled: \(chance(85)), admit: \(pick(["allow", "force-allow"])) }"
        }
        words.append("tcp: { enabled: \(chance(85)), congestion-flags: \(pick(["allow", "deny"])) }")
        if chance(20) { words.append("ip: { fragments: deny }") }
        return words.joined(separator: ", ")
    }

    private static let v4 = [
        "0.0.0.0/0", "10.0.0.0/8", "192.0.2.10", "224.0.0.0/4", "224.0.0.0/24", "127.0.0.0/8", "169.254.0.0/16",
        "240.0.0.0/4", "255.255.255.255", "0.0.0.0",
    ]
    private static let v6 = [
        "::/0", "fd00::/8", "fe80::/10", "ff02::/16", "2001:db8::/32", "2002::/16", "64:ff9b::/96", "::1", "::",
        "fec0::/10",
    ]

    private mutating func addresses(_ family: Int) -> String {
        let pool = family == 4 ? Self.v4 : family == 6 ? Self.v6 : Self.v4 + Self.v6
        return inverted("[\((0..<2).map { _ in "\"\(pick(pool))\"" }.joined(separator: ", "))]")
    }

    private mutating func ports() -> String {
        inverted(pick(["53", "[67, 546]", "[68, 547]", "0-66", "80-65535", "[0, 443]"]))
    }

    private mutating func rule(_ number: Int, _ isBridge: Bool) -> String {
        let direction = pick(["incoming", "outgoing"])
        var words = ["name: R\(number)", "direction: \(direction)"]
        let action = pick(["allow", "allow", "deny", "deny", "force-allow", "bypass"])
        words.append("action: \(action)")
        if action != "allow" { words.append("priority: \(pick(["0", "0", "1", "4"]))") }
        let frame = pick(["ip", "ip", "any", "ipv6"] + (isBridge ? ["arp", "0x88cc", "{ not: ip }", "0x8100"] : []))
        words.append("frame: \(frame)")
        if chance(25) { words.append("interfaces: \(inverted(pick(["[eth0]", "[\"eth*\"]", "[lo]", "[wg0]"])))") }
        if chance(15) { words.append("schedule: day") }
        if !["arp", "0x88cc", "{ not: ip }", "0x8100"].contains(frame) {
            words += criteria(frame == "ipv6" ? 6 : 0, direction, isBridge)
        }
        return "  - { \(words.joined(separator: ", ")) }\n"
    }

    private mutating func criteria(_ framed: Int, _ direction: String, _ isBridge: Bool) -> [String] {
        let named = pick([
            "tcp", "udp", "tcp+udp", "icmpv6", "icmpv6", "icmp", "igmp", "gre", "any", "{ not: tcp }", "59", "135",
            "50",
        ])
        let number = named == "icmp" && framed == 6 ? "udp" : named
        var words = ["protocol: \(number)"]
        let family = number == "icmp" ? 4 : number == "icmpv6" ? 6 : framed
        if family == 4, number == "icmp", chance(50) { words.append("icmp: { type: 3, code: 4 }") }
        if number == "icmpv6", chance(60) {
            words.append("icmp: \(inverted("{ type: \(pick(["1", "2", "128", "133", "135", "137", "143"])) }"))")
        }
        if number == "tcp", chance(30) { words.append("flags: \(inverted(pick(["[syn]", "{ set: [ack] }"])))") }
        for side in ["source", "destination"] {
            var parts: [String] = []
            if chance(50) { parts.append("addresses: \(addresses(family))") }
            if ["tcp", "udp", "tcp+udp"].contains(number), chance(40) { parts.append("ports: \(ports())") }
            if chance(15), side == "source" ? direction == "incoming" || isBridge : isBridge {
                parts.append("macs: \(inverted("\"52:54:00:00:00:01\""))")
            }
            if !parts.isEmpty { words.append("\(side): { \(parts.joined(separator: ", ")) }") }
        }
        return words
    }
}
