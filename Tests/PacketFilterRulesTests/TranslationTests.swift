// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import Testing

@testable import PacketFilterRules

@Suite("Both hooks on the same side of every translation")
struct TranslationInspectionTests {
    private func rules(
        _ own: QueueRulePlan.IncomingHook, _ outgoing: QueueRulePlan.OutgoingHook? = nil, nat: String...
    )
        -> Rules
    {
        var rules = Rules(
            ipv4: nat.isEmpty ? "" : (["*nat", ":OUTPUT ACCEPT [0:0]"] + nat + ["COMMIT", ""]).joined(separator: "\n"))
        rules.add(QueueRulePlan(rules.policy, incoming: own, outgoing: outgoing))
        return rules
    }

    private static let own = "-A OUTPUT -d 198.18.96.1/32 -p tcp -j DNAT --to-destination 198.18.16.2:7"
    private static let incoming = "-A PREROUTING -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 7"

    @Test("INPUT with mangle OUTPUT, as an earlier release had them, is refused where nat OUTPUT translates")
    func earlierRelease() {
        let found = rules(.input, .mangle, nat: Self.own).refusals
        #expect(found.count == 1)
        #expect(found.first?.text.contains("nat OUTPUT") == true)
        #expect(found.first?.lines.contains("iptables nat: \(Self.own)") == true)
        #expect(rules(.input, .security, nat: Self.own).refusals.isEmpty)
        #expect(rules(.input, .mangle, nat: Self.incoming).refusals.isEmpty)
    }

    @Test("A translation in a chain that nat OUTPUT leads to counts, one that it does not lead to does not")
    func reached() {
        let chain = "-A DOCKER -p tcp -j DNAT --to-destination 198.18.16.2:7"
        #expect(!rules(.input, .mangle, nat: "-A OUTPUT -j DOCKER", chain).refusals.isEmpty)
        #expect(rules(.input, .mangle, nat: "-A PREROUTING -j DOCKER", chain).refusals.isEmpty)
    }

    @Test("A verdict map of nftables may lead anywhere within its table")
    func verdictMap() {
        let table = """
            table ip proxy {
            \tchain services {
            \t\tip daddr . th dport vmap { 198.18.96.1 . 443 : goto service }
            \t}
            \tchain service {
            \t\tdnat to 198.18.16.2:7
            \t}
            \tchain output {
            \t\ttype nat hook output priority -100; policy accept;
            \t\tjump services
            \t}
            }
            """
        var rules = Rules(nft: table)
        rules.add(QueueRulePlan(rules.policy, incoming: .input, outgoing: .mangle))
        #expect(rules.refusals.contains { $0.text.contains("nat OUTPUT") })
    }

    @Test("Rules at PREROUTING are refused once something else has connections tracked, and not before")
    func early() {
        #expect(rules(.prerouting).refusals.isEmpty)
        for nat in [Self.own, Self.incoming, "-A POSTROUTING -o eth0 -j MASQUERADE"] {
            let found = rules(.prerouting, nat: nat).refusals
            #expect(found.contains { $0.text.contains("tracked here since") && $0.cure.contains("--apply") })
        }
        var counted = rules(.prerouting)
        counted.host.trackedConnections = 1
        #expect(counted.refusals.contains { $0.text.contains("tracked here since") })
    }

    @Test("So are rules of somebody's own, where destinations are translated before they are judged again")
    func byHand() {
        let feeds = Rules.table("mangle", "-A PREROUTING -j NFQUEUE", "-A OUTPUT -j NFQUEUE")
        #expect(Rules(ipv4: feeds).refusals.isEmpty)
        #expect(!Rules(ipv4: feeds + Rules.table("nat", Self.incoming)).refusals.isEmpty)
        #expect(Rules(ipv4: feeds + Rules.table("nat", "-A POSTROUTING -j MASQUERADE")).refusals.isEmpty)
    }

    @Test("A host that forwards what nobody asked to be judged has a gap; one that does not, or judges it, has none")
    func forwarding() {
        var host = rules(.input)
        #expect(!host.inspection.findings.contains { $0.severity == .gap })
        host.host.forwards = [.ipv4]
        #expect(host.inspection.findings.filter { $0.severity == .gap }.count == 1)
        var router = Rules()
        router.policy.interfaces.inside = ["docker0"]
        router.host.forwards = [.ipv4]
        router.add(QueueRulePlan(router.policy, incoming: .input))
        #expect(!router.inspection.findings.contains { $0.severity == .gap })
    }
}
