// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import Testing

@testable import PacketFilterRules

@Suite("Rule sets that are fine")
struct SoundRulesTests {
    @Test("The rules that were made by this program", arguments: QueueRulePlan.IncomingHook.allCases)
    func own(hook: QueueRulePlan.IncomingHook) {
        var rules = Rules()
        rules.policy.queue.numbers = 0...3
        rules.add(QueueRulePlan(rules.policy, incoming: hook))
        #expect(rules.refusals.isEmpty)
        #expect(rules.advice.isEmpty == (hook == .prerouting))
    }

    @Test("Those of a router, with both hooks and Docker's own rules where they fit")
    func router() {
        var rules = Rules(ipv4: Foreign.docker)
        rules.policy.interfaces.inside = ["docker0"]
        rules.host.forwards = [.ipv4, .ipv6]
        rules.add(QueueRulePlan(rules.policy, incoming: rules.inspection.bestIncomingHook))
        #expect(rules.ipv4.contains("-A INPUT -j PORTREEVE-IN"))
        #expect(rules.refusals.isEmpty)
    }

    @Test(
        "Simple ones written by hand",
        arguments: [
            ["-A INPUT -j NFQUEUE --queue-num 0", "-A OUTPUT -j NFQUEUE --queue-num 0"],
            ["-A INPUT -j NFQUEUE", "-A OUTPUT -j NFQUEUE"],
            [
                "-A INPUT -i lo -j ACCEPT", "-A INPUT -j NFQUEUE --queue-num 0", "-A OUTPUT -o lo -j ACCEPT",
                "-A OUTPUT -j NFQUEUE --queue-num 0",
            ],
            [
                "-A INPUT -p tcp -j NFQUEUE --queue-num 0", "-A INPUT -p udp -j NFQUEUE --queue-num 0",
                "-A OUTPUT -j NFQUEUE --queue-num 0",
            ],
        ])
    func byHand(lines: [String]) {
        let text = "*filter\n" + lines.joined(separator: "\n") + "\nCOMMIT\n"
        #expect(Rules(ipv4: text, ipv6: text).refusals.isEmpty)
    }

    @Test("Rules of two tables that no packet can meet both")
    func disjoint() {
        let text =
            Rules.table("mangle", "-A PREROUTING -i eth0 -j NFQUEUE", "-A OUTPUT -j NFQUEUE")
            + Rules.table("filter", "-A INPUT -i wlan+ -j NFQUEUE", "-A INPUT ! -i eth+ -p udp -j NFQUEUE")
        #expect(Rules(ipv4: text).refusals.isEmpty)
    }
}

@Suite("Packets that would be judged twice")
struct DoubleJudgementTests {
    @Test(
        "Two tables or hooks on the way of one packet are refused, and both rules are named",
        arguments: [
            ("mangle", "PREROUTING", "filter", "INPUT"), ("mangle", "INPUT", "filter", "INPUT"),
            ("mangle", "PREROUTING", "raw", "PREROUTING"), ("mangle", "OUTPUT", "filter", "OUTPUT"),
            ("mangle", "OUTPUT", "mangle", "POSTROUTING"), ("mangle", "PREROUTING", "mangle", "INPUT"),
            ("mangle", "PREROUTING", "mangle", "FORWARD"), ("filter", "FORWARD", "mangle", "POSTROUTING"),
        ])
    func twice(table: String, chain: String, otherTable: String, otherChain: String) {
        let rules = Rules(
            ipv4: Rules.table(table, "-A \(chain) -j NFQUEUE --queue-num 0")
                + Rules.table(otherTable, "-A \(otherChain) -j NFQUEUE --queue-num 0"))
        let found = rules.refusals.filter { $0.text.contains("judged twice") }
        #expect(found.count == 1)
        #expect(
            Set(found.first?.lines ?? []) == [
                "iptables \(table): -A \(chain) -j NFQUEUE --queue-num 0",
                "iptables \(otherTable): -A \(otherChain) -j NFQUEUE --queue-num 0",
            ])
        #expect(found.first?.cure.isEmpty == false)
    }

    @Test(
        "Places that no packet passes both are not",
        arguments: [
            ("PREROUTING", "OUTPUT"), ("INPUT", "OUTPUT"), ("INPUT", "POSTROUTING"), ("INPUT", "FORWARD"),
            ("OUTPUT", "FORWARD"),
        ])
    func once(chain: String, other: String) {
        let rules = Rules(ipv4: Rules.table("mangle", "-A \(chain) -j NFQUEUE", "-A \(other) -j NFQUEUE"))
        #expect(!rules.refusals.contains { $0.text.contains("judged twice") })
    }

    @Test("The same rule twice in one chain is met once: the second is never reached")
    func sameChain() {
        let rules = Rules(
            ipv4: Rules.table("filter", "-A INPUT -j NFQUEUE", "-A INPUT -j NFQUEUE", "-A OUTPUT -j NFQUEUE"))
        #expect(
            rules.refusals.map(\.text) == [
                "the queue rule is never reached: the rule before it decides on every packet"
            ])
    }

    @Test("A queue rule is found behind jumps, with the conditions of the way to it")
    func jumps() {
        let chains =
            "*filter\n:one - [0:0]\n:two - [0:0]\n-A INPUT -i eth0 -j one\n-A one -p tcp -g two\n-A two -j NFQUEUE\nCOMMIT\n"
        func refused(_ rule: String) -> Bool {
            Rules(ipv4: Rules.table("mangle", rule, "-A OUTPUT -j NFQUEUE") + chains).refusals.contains {
                $0.text.contains("judged twice")
            }
        }
        #expect(refused("-A PREROUTING -i eth0 -p tcp -j NFQUEUE"))
        #expect(!refused("-A PREROUTING -i eth0 -p udp -j NFQUEUE"))
        #expect(!refused("-A PREROUTING -i eth1 -j NFQUEUE"))
    }

    @Test("Chains that call each other end the search")
    func loop() {
        let text =
            "*filter\n:a - [0:0]\n:b - [0:0]\n-A INPUT -j a\n-A a -j b\n-A b -j a\n-A b -j NFQUEUE\n-A OUTPUT -j NFQUEUE\nCOMMIT\n"
        #expect(Rules(ipv4: text).refusals.isEmpty)
    }

    @Test("Addresses and ports tell two rules apart only where nothing translates them")
    func translation() {
        let text =
            Rules.table(
                "mangle", "-A PREROUTING -d 198.18.0.0/24 -p tcp -m tcp --dport 80 -j NFQUEUE", "-A OUTPUT -j NFQUEUE")
            + Rules.table("filter", "-A INPUT -d 198.18.1.0/24 -p tcp -m tcp --dport 80 -j NFQUEUE")
        #expect(Rules(ipv4: text).refusals.isEmpty)
        let nat = Rules.table("nat", "-A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination 198.18.1.2")
        #expect(Rules(ipv4: text + nat).refusals.contains { $0.text.contains("judged twice") })
    }

    @Test("PREROUTING for this host and FORWARD fit together until destinations are translated")
    func forwarded() {
        var rules = Rules()
        rules.policy.interfaces.inside = ["eth1"]
        rules.host.forwards = [.ipv4, .ipv6]
        rules.add(QueueRulePlan(rules.policy, incoming: .prerouting))
        #expect(rules.refusals.isEmpty)
        rules.ipv4 += Foreign.docker
        let found = rules.refusals.filter { $0.text.contains("judged twice") }
        #expect(found.count == 1)
        #expect(found.first?.cure.contains("at INPUT") == true)
    }

    @Test("Two iptables with rules of their own are looked at together")
    func legacy() {
        let text = Rules.table("filter", "-A INPUT -j NFQUEUE", "-A OUTPUT -j NFQUEUE")
        let inspection = RulesInspection(
            rulesets: [
                SavedRuleset(text, command: "iptables", family: .ipv4),
                SavedRuleset(text, command: "iptables-legacy", family: .ipv4),
            ], nftables: NFTablesRuleset(""), host: Rules().host, policy: PolicyDocument())
        #expect(inspection.findings.filter { $0.text.contains("judged twice") }.count == 2)
    }

    @Test("IPv4 and IPv6 rules never meet the same packet")
    func families() {
        let v4 = Rules.table("mangle", "-A PREROUTING -j NFQUEUE", "-A OUTPUT -j NFQUEUE")
        let v6 = Rules.table("filter", "-A INPUT -j NFQUEUE", "-A OUTPUT -j NFQUEUE")
        #expect(Rules(ipv4: v4, ipv6: v6).refusals.isEmpty)
    }
}

@Suite("Queues, readers and directions")
struct QueueFindingsTests {
    private let both = ["-A INPUT -j NFQUEUE --queue-balance 0:3", "-A OUTPUT -j NFQUEUE --queue-balance 0:3"]

    private func rules(_ lines: [String], _ change: (inout Rules) -> Void = { _ in }) -> Rules {
        var rules = Rules(ipv4: "*filter\n" + lines.joined(separator: "\n") + "\nCOMMIT\n")
        rules.policy.queue.numbers = 0...3
        rules.host.readQueues = [0, 1, 2, 3]
        change(&rules)
        return rules
    }

    @Test("No rule at all: the host is not protected")
    func nothing() {
        #expect(Rules(ipv4: Foreign.docker + Foreign.ufw).refusals.map(\.text).first?.contains("not protected") == true)
    }

    @Test("A queue that nobody reads is named, with what becomes of its packets")
    func unread() {
        let shut = rules(both) { $0.host.readQueues = [0, 1] }
        #expect(
            shut.refusals.map(\.text) == ["nobody reads queue 2-3: its packets are dropped"])
        #expect(shut.refusals.first?.lines.count == 2)
        let open = rules(both.map { $0 + " --queue-bypass" }) {
            $0.host.readQueues = []
            $0.policy.failure.engine = .open
        }
        #expect(open.refusals.allSatisfy { $0.text == "nobody reads queue 0-3: its packets pass unchecked" })
        #expect(rules(both).refusals.isEmpty)
    }

    @Test("A queue outside the policy's numbers is refused, one that no rule feeds is worth knowing")
    func numbers() {
        let more = rules(both) { $0.policy.queue.numbers = 0...2 }
        #expect(
            more.refusals.first?.text
                == "queue 0-3 is not within the policy's queue.numbers, 0-2, or queue.flood-numbers, 3-11")
        let fewer = rules(both) { $0.policy.queue.numbers = 0...4 }
        #expect(fewer.refusals.isEmpty)
        #expect(fewer.advice.contains { $0.text.hasPrefix("no rule feeds queue 4") })
    }

    @Test("Different queues for the directions of a connection are refused, for different connections they are not")
    func split() {
        let split = rules(["-A INPUT -j NFQUEUE --queue-num 0", "-A OUTPUT -j NFQUEUE --queue-num 1"])
        #expect(split.refusals.count == 1)
        #expect(split.refusals.first?.text.contains("do not know each other's state") == true)
        let apart = rules([
            "-A INPUT -i eth0 -j NFQUEUE --queue-num 0", "-A OUTPUT -o eth0 -j NFQUEUE --queue-num 0",
            "-A INPUT -i eth1 -j NFQUEUE --queue-num 1", "-A OUTPUT -o eth1 -j NFQUEUE --queue-num 1",
        ])
        #expect(apart.refusals.isEmpty)
    }

    @Test("A queue chosen by CPU is refused")
    func fanout() {
        #expect(rules(both.map { $0 + " --queue-cpu-fanout" }).refusals.first?.lines.count == 2)
    }

    @Test("One direction alone is refused, unless nothing is tracked", arguments: ["INPUT", "OUTPUT"])
    func oneDirection(chain: String) {
        let lines = ["-A \(chain) -j NFQUEUE --queue-balance 0:3"]
        #expect(rules(lines).refusals.count == 1)
        let stateless = rules(lines) {
            $0.policy.stateful.tcpEnabled = false
            $0.policy.stateful.udpEnabled = false
            $0.policy.stateful.icmpEnabled = false
        }
        #expect(stateless.refusals.isEmpty)
    }

    @Test("A family in use that no rule feeds is refused; only advice where it has nothing but link-local addresses")
    func family() {
        let routed = rules(both) { $0.host.usesIPv6 = true }
        #expect(routed.refusals.map(\.text) == ["no rule gives IPv6 packets to a queue: IPv6 is not protected"])
        let local = rules(both) {
            $0.host.usesIPv6 = true
            $0.host.hasOnlyLinkLocalIPv6 = true
        }
        #expect(local.refusals.isEmpty)
        #expect(local.advice.contains { $0.text.contains("link-local") })
    }

    @Test("A rule and a policy that fail differently are worth knowing")
    func failure() {
        #expect(rules(both).advice.allSatisfy { !$0.text.contains("bypass") })
        #expect(
            rules(both) { $0.policy.failure.engine = .open }.advice.contains {
                $0.text.contains("has no --queue-bypass")
            })
        #expect(rules(both.map { $0 + " --queue-bypass" }).advice.contains { $0.text.contains("fails closed") })
    }

    @Test("Forwarded packets need an inside interface, and an inside interface needs a rule at FORWARD")
    func forwarding() {
        let forward = both + ["-A FORWARD -j NFQUEUE --queue-balance 0:3"]
        #expect(rules(forward).refusals.contains { $0.text.contains("interfaces.inside is empty") })
        let inside = rules(both) {
            $0.policy.interfaces.inside = ["eth1"]
            $0.host.forwards = [.ipv4]
        }
        #expect(inside.refusals.contains { $0.text.contains("no rule at FORWARD") })
        #expect(rules(forward) { $0.policy.interfaces.inside = ["eth1"] }.refusals.isEmpty)
    }

    @Test("PREROUTING without address type is refused on a host that forwards")
    func prerouting() {
        let lines = ["-A PREROUTING -j NFQUEUE --queue-balance 0:3", "-A OUTPUT -j NFQUEUE --queue-balance 0:3"]
        #expect(rules(lines).refusals.isEmpty)
        #expect(
            rules(lines) { $0.host.forwards = [.ipv4] }.refusals.contains { $0.text.contains("this host forwards") })
    }

    @Test("POSTROUTING is no place for outgoing packets")
    func postrouting() {
        let lines = ["-A INPUT -j NFQUEUE --queue-balance 0:3", "-A POSTROUTING -j NFQUEUE --queue-balance 0:3"]
        #expect(rules(lines).refusals.map(\.cure) == ["take them at OUTPUT"])
    }

    @Test("For IPv6 a list of types with MULTICAST never matches")
    func neverMatching() {
        let v6 = Rules.table(
            "mangle", "-A PREROUTING -m addrtype --dst-type LOCAL,MULTICAST,ANYCAST -j NFQUEUE", "-A OUTPUT -j NFQUEUE")
        let v4 = Rules.table(
            "mangle", "-A PREROUTING -m addrtype --dst-type LOCAL,MULTICAST -j NFQUEUE", "-A OUTPUT -j NFQUEUE")
        let found = Rules(ipv4: v4, ipv6: v6).refusals
        #expect(found.count == 1)
        #expect(found.first?.text.contains("never matches") == true)
    }

    @Test("Rules that decide before the queue rule are named")
    func shadows() {
        let dropped = rules(["-A INPUT -j DROP"] + both)
        #expect(dropped.refusals.contains { $0.text.contains("never reached") })
        let established = rules(["-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"] + both)
        #expect(established.refusals.isEmpty)
        #expect(established.advice.contains { $0.text.contains("established connections are accepted") })
        #expect(rules(["-A INPUT -i lo -j ACCEPT", "-A INPUT -m socket -j ACCEPT"] + both).refusals.isEmpty)
    }
}

@Suite("Where fragments can be seen")
struct FragmentFindingsTests {
    private func rules(_ hook: QueueRulePlan.IncomingHook, beside foreign: String = "", deny: Bool = false) -> Rules {
        var rules = Rules(ipv4: foreign)
        rules.policy.stateful.fragmentsDenied = deny
        rules.add(QueueRulePlan(rules.policy, incoming: hook))
        return rules
    }

    @Test("Without connection tracking PREROUTING is chosen and nothing is said")
    func visible() {
        #expect(Rules().inspection.bestIncomingHook == .prerouting)
        #expect(rules(.prerouting, deny: true).inspection.findings.isEmpty)
    }

    @Test("At INPUT fragment checks see nothing; where fragments are denied that is refused")
    func atInput() {
        #expect(rules(.input).refusals.isEmpty)
        #expect(rules(.input).advice.contains { $0.text.contains("108-112") })
        #expect(rules(.input, deny: true).refusals.contains { $0.text.contains("cannot work") })
    }

    @Test(
        "Connection tracking moves the choice to INPUT, and the rule that switches it on is named",
        arguments: [Foreign.docker, Foreign.ufw])
    func tracking(foreign: String) {
        #expect(Rules(ipv4: foreign).inspection.bestIncomingHook == .input)
        let found = rules(.prerouting, beside: foreign).advice.filter { $0.text.contains("108-112") }
        #expect(found.first?.lines.last?.contains("connection tracking is switched on by iptables") == true)
    }

    @Test(
        "What switches connection tracking on, and what only looks like it",
        arguments: [
            ("-A INPUT -m state --state NEW -j ACCEPT", true),
            ("-A INPUT -m connlimit --connlimit-above 3 -j DROP", true),
            ("-A OUTPUT -j CONNMARK --save-mark", true), ("-A PREROUTING -j CT --zone 1", true),
            ("-A PREROUTING -p tcp -j TPROXY --on-port 1", true), ("-A PREROUTING -m socket -j ACCEPT", true),
            ("-A PREROUTING -j CT --notrack", false),
            // Ours, which stands only where another one does.
            ("-A PORTREEVE-OUT -m conntrack --ctstate RELATED ! --ctstatus EXPECTED,CONFIRMED -j RETURN", false),
            ("-A OUTPUT -m conntrack --ctstate RELATED ! --ctstatus EXPECTED,CONFIRMED -j RETURN", true),
            ("-A INPUT -m comment --comment \"-m conntrack\" -j ACCEPT", false),
            ("-A INPUT -m mark --mark 1 -j ACCEPT", false), ("-A OUTPUT -j MARK --set-xmark 0x1/0x1", false),
        ])
    func evidence(line: String, tracks: Bool) {
        #expect((Rules(ipv4: Rules.table("mangle", line)).inspection.trackingEvidence != nil) == tracks)
    }

    @Test("Connections that the kernel counts are evidence too")
    func counted() {
        var rules = Rules()
        rules.host.trackedConnections = 3
        #expect(rules.inspection.bestIncomingHook == .input)
    }
}
