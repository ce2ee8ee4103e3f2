// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import Testing

@testable import PacketFilterRules

extension PolicyDocument {
    /// With one range of queues for everything; `FloodRulesTests` has the other.
    static var together: PolicyDocument {
        var policy = PolicyDocument()
        policy.queue.floodNumbers = .off
        return policy
    }
}

@Suite("The rules of a policy")
struct QueueRulePlanTests {
    private func text(
        _ family: AddressFamily, _ incoming: QueueRulePlan.IncomingHook = .prerouting,
        _ change: (inout PolicyDocument) -> Void = { _ in }
    ) -> String {
        var policy = PolicyDocument.together
        change(&policy)
        return QueueRulePlan(policy, incoming: incoming).rules(for: family).restoreText(replacing: OwnRules())
    }

    @Test("The default policy takes IPv4 at PREROUTING and OUTPUT, loopback traffic excepted")
    func defaults() {
        #expect(
            text(.ipv4) == """
                *mangle
                :PORTREEVE-IN - [0:0]
                :PORTREEVE-OUT - [0:0]
                -A PORTREEVE-IN -i lo -j RETURN
                -A PORTREEVE-IN -m addrtype --dst-type LOCAL,BROADCAST,ANYCAST,MULTICAST -j NFQUEUE --queue-num 0
                -A PORTREEVE-OUT -o lo -j RETURN
                -A PORTREEVE-OUT -j NFQUEUE --queue-num 0
                -A PREROUTING -j PORTREEVE-IN
                -A OUTPUT -j PORTREEVE-OUT
                COMMIT

                """)
    }

    @Test("IPv6 has no broadcast, and MULTICAST stands in a rule of its own")
    func ipv6() {
        let rules = QueueRulePlan(PolicyDocument.together, incoming: .prerouting).rules(for: .ipv6).tables[0].chains[0]
            .rules
        #expect(
            rules == [
                "-i lo -j RETURN", "-m addrtype --dst-type LOCAL,ANYCAST -j NFQUEUE --queue-num 0",
                "-m addrtype --dst-type MULTICAST -j NFQUEUE --queue-num 0",
            ])
    }

    @Test("At INPUT no address type is asked for", arguments: AddressFamily.allCases)
    func input(family: AddressFamily) {
        let text = text(family, .input)
        #expect(text.contains("\n-A INPUT -j PORTREEVE-IN\n"))
        #expect(text.contains("\n-A PORTREEVE-IN -j NFQUEUE --queue-num 0\n"))
        #expect(!text.contains("PREROUTING"))
        #expect(!text.contains("LOCAL,"))
    }

    @Test("Beside INPUT, packets of this host's own are taken after their destination was translated")
    func behindTranslation() {
        #expect(
            text(.ipv4, .input) { $0.interfaces.ignore = ["lo", "br-*"] } == """
                *mangle
                :PORTREEVE-IN - [0:0]
                -A PORTREEVE-IN -i lo -j RETURN
                -A PORTREEVE-IN -i br-+ -j RETURN
                -A PORTREEVE-IN -j NFQUEUE --queue-num 0
                -A INPUT -j PORTREEVE-IN
                COMMIT
                *security
                :PORTREEVE-OUT - [0:0]
                -A PORTREEVE-OUT -m addrtype --dst-type LOCAL -j RETURN
                -A PORTREEVE-OUT -o lo -m conntrack ! --ctstate DNAT -j RETURN
                -A PORTREEVE-OUT -o br-+ -m conntrack ! --ctstate DNAT -j RETURN
                -A PORTREEVE-OUT -m conntrack --ctstate DNAT --ctdir ORIGINAL -j MARK --set-xmark 0x8000000/0x8000000
                -A PORTREEVE-OUT -m conntrack --ctstate RELATED ! --ctstatus EXPECTED,CONFIRMED -j RETURN
                -A PORTREEVE-OUT -j NFQUEUE --queue-num 0
                -A OUTPUT -j PORTREEVE-OUT
                COMMIT

                """)
        // The loopback is judged, and nothing is ignored.
        #expect(!text(.ipv4, .input) { $0.interfaces.ignore = [] }.contains("-o "))
        #expect(!text(.ipv4, .input) { $0.interfaces.ignore = [] }.contains("addrtype"))
    }

    @Test("A range of queues is balanced")
    func range() {
        #expect(text(.ipv4) { $0.queue.numbers = 2...5 }.contains("-j NFQUEUE --queue-balance 2:5\n"))
    }

    @Test("Failure open and tap mode let packets pass without an agent, failure closed does not")
    func bypass() {
        #expect(text(.ipv4) { $0.failure.engine = .open }.contains("--queue-num 0 --queue-bypass\n"))
        #expect(text(.ipv4) { $0.mode = .tap }.contains("--queue-num 0 --queue-bypass\n"))
        #expect(!text(.ipv4) { $0.failure.sanity = .open }.contains("--queue-bypass"))
    }

    @Test("Forwarded packets are taken where an inside interface is named, and only there")
    func forwarded() {
        #expect(!text(.ipv4).contains("FORWARD"))
        let text = text(.ipv4) {
            $0.interfaces.inside = ["eth1"]
            $0.interfaces.ignore = ["lo", "wg*"]
        }
        #expect(text.contains("\n-A FORWARD -j PORTREEVE-FWD\n"))
        #expect(text.contains("\n-A PORTREEVE-FWD -j NFQUEUE --queue-num 0\n"))
        for pair in ["-i lo -o lo", "-i lo -o wg+", "-i wg+ -o lo", "-i wg+ -o wg+"] {
            #expect(text.contains("\n-A PORTREEVE-FWD \(pair) -j RETURN\n"))
        }
    }

    @Test(
        "What iptables cannot say of an interface, and what would break a rule, is left to the agent",
        arguments: [
            "eth?", "*0", "eth[01]", "a b", "x\n-A INPUT -j ACCEPT", "-j", "ppp+", "", "abcdefghijklmnop", "\"", "!",
        ])
    func inexpressible(name: String) {
        var policy = PolicyDocument.together
        policy.interfaces.ignore = ["lo", name]
        let plan = QueueRulePlan(policy, incoming: .prerouting)
        #expect(plan.leftToAgent == [name])
        #expect(plan.rules(for: .ipv4).tables[0].chains[0].rules.count == 2)
    }

    @Test(
        "A wildcard at the end becomes that of iptables",
        arguments: [("veth*", "veth+"), ("*", "+"), ("eth0.100", "eth0.100"), ("br-1a2b", "br-1a2b")])
    func wildcard(name: String, pattern: String) {
        #expect(text(.ipv4) { $0.interfaces.ignore = [name] }.contains("\n-A PORTREEVE-IN -i \(pattern) -j RETURN\n"))
    }

    @Test(
        "The lowest bits of the mark mask are own traffic and the two directions",
        arguments: [
            (0xff00_0000, [0x100_0000, 0x200_0000, 0x400_0000]), (0x8421, [1, 0x20, 0x400]), (0x3, [1, 2, 0]),
            (0, [0, 0, 0]),
        ] as [(UInt32, [UInt32])])
    func marks(mask: UInt32, parts: [UInt32]) {
        let layout = MarkLayout(mask: mask)
        #expect([layout.ownTraffic, layout.incomingOffload, layout.outgoingOffload] == parts)
    }

    /// A policy with Bypass rules that offload in these directions.
    private func offloading(_ directions: [Direction]) -> PolicyDocument {
        var policy = PolicyDocument.together
        policy.rules = directions.map { direction in
            let position = SourcePosition(file: "policy.yaml", line: 1, column: 1)
            var rule = Rule(
                name: "\(direction)", action: .bypass, priority: 4, direction: direction, position: position)
            rule.offload = true
            return rule
        }
        return policy
    }

    @Test("An offloaded flow is accepted before the queue, and its mark is saved at the next hook")
    func offload() {
        let text = QueueRulePlan(offloading([.incoming]), incoming: .input).rules(for: .ipv4)
            .restoreText(replacing: OwnRules())
        #expect(
            text == """
                *mangle
                :PORTREEVE-IN - [0:0]
                -A PORTREEVE-IN -i lo -j RETURN
                -A PORTREEVE-IN -m connmark --mark 0x2000000/0x2000000 -m conntrack --ctstate NEW,ESTABLISHED ! --ctstatus EXPECTED -j RETURN
                -A PORTREEVE-IN -j NFQUEUE --queue-num 0
                -A INPUT -j PORTREEVE-IN
                COMMIT
                *filter
                :PORTREEVE-MARK-IN - [0:0]
                -A PORTREEVE-MARK-IN -m mark --mark 0x2000000/0x2000000 -j CONNMARK --set-xmark 0x2000000/0x2000000
                -I INPUT -j PORTREEVE-MARK-IN
                COMMIT
                *security
                :PORTREEVE-OUT - [0:0]
                -A PORTREEVE-OUT -m addrtype --dst-type LOCAL -j RETURN
                -A PORTREEVE-OUT -o lo -m conntrack ! --ctstate DNAT -j RETURN
                -A PORTREEVE-OUT -m conntrack --ctstate DNAT --ctdir ORIGINAL -j MARK --set-xmark 0x8000000/0x8000000
                -A PORTREEVE-OUT -m conntrack --ctstate RELATED ! --ctstatus EXPECTED,CONFIRMED -j RETURN
                -A PORTREEVE-OUT -j NFQUEUE --queue-num 0
                -A OUTPUT -j PORTREEVE-OUT
                COMMIT

                """)
    }

    @Test("Of a Bypass rule for some interfaces the flow skips the queue on those only")
    func offloadOnInterfaces() {
        var policy = offloading([.incoming, .outgoing])
        for index in policy.rules.indices { policy.rules[index].interfaces = Criterion(["eth1", "br-*"]) }
        policy.interfaces.inside = ["in0"]
        let rules = QueueRulePlan(policy, incoming: .input).rules(for: .ipv4)
        for (chain, matches) in [
            (OwnRules.incomingChain, ["-i eth1", "-i br-+"]), (OwnRules.outgoingChain, ["-o eth1", "-o br-+"]),
            (OwnRules.forwardedChain, ["-i in0 -o eth1", "-i in0 -o br-+", "-i eth1", "-i br-+"]),
        ] {
            let chain = rules.tables.flatMap(\.chains).first { $0.name == chain }
            let accepted = chain?.rules.filter { $0.contains("connmark") }
            #expect(accepted?.compactMap { $0.split(separator: " -m ").first.map(String.init) } == matches)
        }
    }

    @Test("On a router each direction has its bit, told by the inside interface")
    func offloadForwarded() {
        var policy = offloading([.incoming, .outgoing])
        policy.interfaces.inside = ["in*"]
        let rules = QueueRulePlan(policy, incoming: .input).rules(for: .ipv4)
        let accepted = { (bit: String) in
            "-m connmark --mark \(bit)/\(bit) -m conntrack --ctstate NEW,ESTABLISHED ! --ctstatus EXPECTED -j RETURN"
        }
        let forwarded = rules.tables[0].chains.first { $0.name == OwnRules.forwardedChain }?.rules.suffix(4)
        #expect(
            forwarded == [
                "-i in+ \(accepted("0x4000000"))", "-i in+ -j NFQUEUE --queue-num 0", accepted("0x2000000"),
                "-j NFQUEUE --queue-num 0",
            ])
        #expect(rules.tables[0].chains.first { $0.name == OwnRules.outgoingMarksChain }?.rules.count == 2)
        // What iptables cannot express is not offloaded.
        policy.interfaces.inside = ["i?"]
        let plain = QueueRulePlan(policy, incoming: .input).rules(for: .ipv4)
        let last = plain.tables[0].chains.first { $0.name == OwnRules.forwardedChain }?.rules.suffix(1)
        #expect(last == ["-j NFQUEUE --queue-num 0"])
        #expect(plain.tables[0].chains.first { $0.name == OwnRules.forwardedChain }?.rules.count == 2)
    }

    @Test("No rule lets a packet by for its mark: whoever may set marks could skip the queue")
    func noMark() {
        for family in AddressFamily.allCases {
            for incoming in QueueRulePlan.IncomingHook.allCases {
                #expect(!text(family, incoming).contains("-m mark"))
            }
        }
    }
}

@Suite("Putting own rules in place and taking them away")
struct OwnRulesTests {
    private let rules = QueueRulePlan(PolicyDocument.together, incoming: .prerouting).rules(for: .ipv4)

    private func saved(_ text: String) -> SavedRuleset { SavedRuleset(text, command: "iptables", family: .ipv4) }

    @Test("Own rules are found again among others as they were put there")
    func found() {
        let ruleset = saved(Rules.saved(Foreign.docker + Foreign.ufw, with: rules))
        #expect(OwnRules(in: ruleset) == rules)
        #expect(OwnRules(in: saved(Foreign.docker)).isEmpty)
        #expect(OwnRules(in: saved("")).isEmpty)
    }

    @Test("A second time replaces the first: jumps are deleted before they are added")
    func again() {
        let lines = rules.restoreText(replacing: rules).split(separator: "\n")
        #expect(lines.contains("-D PREROUTING -j PORTREEVE-IN"))
        #expect(lines.contains("-D OUTPUT -j PORTREEVE-OUT"))
        #expect(lines.filter { $0 == "-A PREROUTING -j PORTREEVE-IN" }.count == 1)
        let deleted = lines.firstIndex(of: "-D OUTPUT -j PORTREEVE-OUT")
        let added = lines.firstIndex(of: "-A OUTPUT -j PORTREEVE-OUT")
        #expect(deleted ?? .max < added ?? .min)
    }

    @Test("Another hook takes the jump from the old one")
    func otherHook() {
        let input = QueueRulePlan(PolicyDocument.together, incoming: .input).rules(for: .ipv4)
        let text = input.restoreText(replacing: rules)
        #expect(text.contains("\n-D PREROUTING -j PORTREEVE-IN\n"))
        #expect(text.contains("\n-A INPUT -j PORTREEVE-IN\n"))
    }

    @Test("Removal empties and deletes own chains and touches nothing else")
    func removal() {
        #expect(
            OwnRules().restoreText(replacing: rules) == """
                *mangle
                -D PREROUTING -j PORTREEVE-IN
                -D OUTPUT -j PORTREEVE-OUT
                -F PORTREEVE-IN
                -F PORTREEVE-OUT
                -X PORTREEVE-IN
                -X PORTREEVE-OUT
                COMMIT

                """)
    }

    @Test("A jump from another chain, with conditions, is taken away as it stands there")
    func strangeJump() {
        let text = Rules.table("mangle", "-A INPUT -i eth0 -m comment --comment \"a \\\"b\\\"\" -j PORTREEVE-IN")
        let removal = OwnRules().restoreText(replacing: OwnRules(in: saved(text)))
        #expect(removal.contains("\n-D INPUT -i eth0 -m comment --comment \"a \\\"b\\\"\" -j PORTREEVE-IN\n"))
    }

    @Test("A chain that is no longer needed goes")
    func chainLeaves() {
        var policy = PolicyDocument.together
        policy.interfaces.inside = ["eth1"]
        let router = QueueRulePlan(policy, incoming: .prerouting).rules(for: .ipv4)
        let text = rules.restoreText(replacing: router)
        #expect(text.contains("\n-X PORTREEVE-FWD\n"))
        #expect(!text.contains("-X PORTREEVE-IN"))
    }
}
