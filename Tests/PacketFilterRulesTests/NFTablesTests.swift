// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import Testing

@testable import PacketFilterRules

@Suite("Rules of nftables")
struct NFTablesTests {
    private func table(_ input: String, family: String = "inet", _ output: String = "queue num 0") -> String {
        """
        table \(family) guard {
        \tset blocked {
        \t\ttype ipv4_addr
        \t\telements = { 198.18.0.1, 198.18.0.2,
        \t\t\t     198.18.0.3 }
        \t}

        \tchain input {
        \t\ttype filter hook input priority filter; policy accept;
        \t\ttcp dport { 22, 80,
        \t\t\t    443 } accept
        \t\t\(input)
        \t}

        \tchain output {
        \t\ttype filter hook output priority filter; policy accept;
        \t\t\(output)
        \t}
        }
        """
    }

    @Test(
        "A queue statement is read in every form",
        arguments: [
            ("queue num 0", 0...0, false), ("queue num 0-3", 0...3, false), ("queue num 1-2 bypass", 1...2, true),
            ("queue to 7", 7...7, false), ("queue flags bypass to 0-3", 0...3, true),
            ("counter packets 0 bytes 0 queue", 0...0, false),
            ("iifname \"eth0\" queue flags bypass,fanout to 0-1 comment \"queue\"", 0...1, true),
            ("queue to jhash ip saddr mod 4", nil, false), ("queue to 70000", nil, false),
        ] as [(String, ClosedRange<UInt16>?, Bool)])
    func statements(rule: String, queues: ClosedRange<UInt16>?, bypasses: Bool) {
        let feeds = NFTablesRuleset(table(rule)).feeds
        #expect(feeds.count == 2)
        #expect(feeds.first?.queues == queues)
        #expect(feeds.first?.bypasses == bypasses)
        #expect(feeds.first?.place.hook == .input)
        #expect(feeds.last?.place.hook == .output)
    }

    @Test(
        "What only looks like one is none",
        arguments: [
            "counter comment \"queue num 0\"", "jump queue", "tcp dport 22 comment \"queue\" accept",
            "log prefix \"queue to 0 {\" accept",
        ])
    func noStatement(rule: String) {
        #expect(NFTablesRuleset(table(rule)).feeds.count == 1)
    }

    @Test("Both families of an inet table are carried, and none of an arp table")
    func families() {
        let feeds = NFTablesRuleset(table("queue")).feeds
        #expect(feeds.allSatisfy { $0.carries(.ipv4) && $0.carries(.ipv6) })
        #expect(NFTablesRuleset(table("queue", family: "ip6")).feeds.allSatisfy { !$0.carries(.ipv4) })
        #expect(NFTablesRuleset(table("queue", family: "arp")).feeds.isEmpty)
    }

    @Test("Tables that iptables made are left to iptables-save")
    func managed() {
        let chain =
            "\tchain INPUT {\n\t\ttype filter hook input priority filter; policy accept;\n\t\tqueue num 0\n\t}\n}\n"
        #expect(NFTablesRuleset("table ip filter {\n" + chain).feeds.isEmpty)
        #expect(
            NFTablesRuleset("# Warning: table ip x is managed by iptables-nft, do not touch!\ntable ip x {\n" + chain)
                .feeds.isEmpty)
        #expect(NFTablesRuleset("table ip x {\n" + chain).feeds.count == 1)
    }

    @Test("A rule that jumps leads to the chain's queue statement, with its conditions")
    func jumps() {
        let text = table("iifname \"eth*\" meta l4proto udp jump judge").replacingLast(
            "}", with: "\tchain judge {\n\t\tqueue num 0\n\t}\n}")
        let feeds = NFTablesRuleset(text).feeds
        #expect(feeds.count == 2)
        #expect(feeds.first?.conditions.first?.inInterface == .init(value: "eth+"))
        #expect(feeds.first?.conditions.first?.protocolName == .init(value: "udp"))
    }

    @Test(
        "Priorities by number and by name",
        arguments: [
            ("-450", -450), ("raw", -300), ("mangle", -150), ("mangle - 5", -155), ("filter + 10", 10),
            ("dstnat", -100), ("0", 0),
        ])
    func priorities(text: String, priority: Int) {
        let listing =
            "table ip x {\n\tchain c {\n\t\ttype filter hook prerouting priority \(text); policy accept;\n\t\tqueue\n\t}\n}\n"
        #expect(NFTablesRuleset(listing).feeds.first?.place.priority == priority)
    }

    @Test("Queues shared by nftables and iptables are refused where they are balanced")
    func mixed() {
        let v4 = Rules.table("filter", "-A INPUT -j NFQUEUE --queue-balance 0:3")
        let output = "table ip x {\n\tchain c {\n\t\ttype filter hook output priority 0;\n\t\tqueue num 0-3\n\t}\n}\n"
        var rules = Rules(ipv4: v4, nft: output)
        rules.policy.queue.numbers = 0...3
        rules.host.readQueues = [0, 1, 2, 3]
        #expect(rules.refusals.map { $0.text.contains("a seed of its own") } == [true])
        rules.ipv4 = Rules.table("filter", "-A INPUT -j NFQUEUE")
        rules.nft = output.replacingLast("num 0-3", with: "num 0")
        #expect(rules.refusals.isEmpty)
    }

    @Test("A packet that meets nftables' queue and iptables' is judged twice")
    func twice() {
        let rules = Rules(
            ipv4: Rules.table("filter", "-A INPUT -j NFQUEUE", "-A OUTPUT -j NFQUEUE"),
            nft: table("queue num 0", family: "ip"))
        #expect(rules.refusals.filter { $0.text.contains("judged twice") }.count == 2)
    }

    @Test("Fragments are seen beside connection tracking where the queue comes before reassembly")
    func early() {
        func listing(_ priority: Int) -> String {
            "table inet x {\n\tchain i {\n\t\ttype filter hook prerouting priority \(priority);\n\t\tfib daddr type local queue\n\t}\n"
                + "\tchain o {\n\t\ttype filter hook output priority 0;\n\t\tct state established accept\n\t\tqueue\n\t}\n}\n"
        }
        var rules = Rules(nft: listing(-450))
        rules.policy.stateful.fragmentsDenied = true
        #expect(rules.refusals.isEmpty)
        rules.nft = listing(-300)
        #expect(rules.refusals.contains { $0.text.contains("cannot work") })
    }

    @Test(
        "What switches connection tracking on",
        arguments: [
            ("ct state new accept", true), ("masquerade", true), ("notrack", false), ("comment \"ct\" accept", false),
            ("tcp dport 1 accept", false),
        ])
    func evidence(rule: String, tracks: Bool) {
        #expect((NFTablesRuleset(table(rule)).trackingEvidence != nil) == tracks)
    }

    @Test(
        "Listings that are cut or are none do no harm",
        arguments: [
            "", "}", "}}}{{{", "table", "table ip x {", "table ip x {\n\tchain c {\n\t\tqueue", "\"\"\"",
            "chain c {\nqueue\n}",
        ])
    func garbage(text: String) {
        #expect(NFTablesRuleset(text).feeds.isEmpty)
    }
}

extension String {
    fileprivate func replacingLast(_ part: String, with other: String) -> String {
        var index = endIndex
        while index > startIndex {
            index = self.index(before: index)
            if self[index...].hasPrefix(part) {
                return self[..<index] + other + self[self.index(index, offsetBy: part.count)...]
            }
        }
        return self
    }
}
