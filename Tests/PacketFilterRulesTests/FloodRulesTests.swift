// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import Testing

@testable import PacketFilterRules

@Suite("Queues of their own for what can be sent in floods")
struct FloodRulesTests {
    private func policy(_ change: (inout PolicyDocument) -> Void = { _ in }) -> PolicyDocument {
        var policy = PolicyDocument()
        change(&policy)
        return policy
    }

    private func rules(_ policy: PolicyDocument, _ family: AddressFamily = .ipv4) -> OwnRules {
        QueueRulePlan(policy, incoming: .prerouting).rules(for: family)
    }

    @Test(
        "Fragments, openings and datagrams that come in go to queues of their own, answers and what this host sends do not"
    )
    func kinds() {
        #expect(
            rules(policy()).restoreText(replacing: OwnRules()) == """
                *mangle
                :PORTREEVE-IN - [0:0]
                :PORTREEVE-OUT - [0:0]
                :PORTREEVE-QUEUE - [0:0]
                -A PORTREEVE-IN -i lo -j RETURN
                -A PORTREEVE-IN -m addrtype --dst-type LOCAL,BROADCAST,ANYCAST,MULTICAST -j PORTREEVE-QUEUE
                -A PORTREEVE-OUT -o lo -j RETURN
                -A PORTREEVE-OUT -p udp -m recent --set --name portreeve --mask 255.255.255.255 --rdest
                -A PORTREEVE-OUT -j NFQUEUE --queue-num 0
                -A PORTREEVE-QUEUE -m u32 --u32 "0x4&0x3fff=0x1:0x3fff" -j NFQUEUE --queue-num 2
                -A PORTREEVE-QUEUE -p tcp -m tcp --tcp-flags SYN,RST,ACK SYN -j NFQUEUE --queue-num 1
                -A PORTREEVE-QUEUE -p udp -m recent --rcheck --seconds 180 --name portreeve --mask 255.255.255.255 --rsource \
                -j NFQUEUE --queue-num 0
                -A PORTREEVE-QUEUE -p udp -j NFQUEUE --queue-num 3
                -A PORTREEVE-QUEUE -j NFQUEUE --queue-num 0
                -A PREROUTING -j PORTREEVE-IN
                -A OUTPUT -j PORTREEVE-OUT
                COMMIT

                """)
    }

    @Test("IPv6 tells a fragment by its header")
    func ipv6() {
        let queue = rules(policy(), .ipv6).tables[0].chains.last
        #expect(queue?.rules.first == "-m frag -j NFQUEUE --queue-num 2")
        #expect(queue?.rules.count == 5)
    }

    @Test("Ranges are of the size of queue.numbers, balanced alike, and bypass alike")
    func ranges() {
        let lines = rules(
            policy {
                $0.queue.numbers = 2...5
                $0.queue.floodNumbers = .from(100)
                $0.failure.engine = .open
            }
        ).lines.filter { $0.contains("NFQUEUE") }
        for range in ["2:5", "100:103", "104:107", "108:111"] {
            #expect(lines.contains { $0.hasSuffix("-j NFQUEUE --queue-balance \(range) --queue-bypass") })
        }
        #expect(lines.allSatisfy { $0.hasSuffix("--queue-bypass") })
    }

    @Test("Forwarded packets are told apart too")
    func forwarded() {
        let lines = rules(policy { $0.interfaces.inside = ["eth1"] }).lines
        #expect(lines.contains("-A PORTREEVE-FWD -j PORTREEVE-QUEUE"))
    }

    @Test("Beside INPUT the own packets are taken in the security table, which has one queue rule")
    func input() {
        let rules = QueueRulePlan(policy(), incoming: .input).rules(for: .ipv4)
        #expect(rules.tables[0].chains.map(\.name) == ["PORTREEVE-IN", "PORTREEVE-QUEUE"])
        #expect(rules.lines.contains("-A PORTREEVE-OUT -j NFQUEUE --queue-num 0"))
    }

    // MARK: The inspection

    private func inspected(_ policy: PolicyDocument, at hook: QueueRulePlan.IncomingHook = .prerouting) -> Rules {
        var rules = Rules()
        rules.policy = policy
        rules.add(QueueRulePlan(policy, incoming: hook))
        return rules
    }

    @Test("The rules of this release are fine, at one queue or several", arguments: QueueRulePlan.IncomingHook.allCases)
    func own(hook: QueueRulePlan.IncomingHook) {
        for numbers: ClosedRange<UInt16> in [0...0, 4...7] {
            let rules = inspected(policy { $0.queue.numbers = numbers }, at: hook)
            #expect(rules.inspection.findings.filter { $0.severity != .advice } == [])
            #expect(rules.inspection.sharedQueues == [])
            #expect(rules.inspection.gaps == [])
        }
    }

    @Test("Those of an earlier release are right, and it is said that a flood holds up everything")
    func earlier() {
        var rules = inspected(policy { $0.queue.floodNumbers = .off })
        rules.policy = policy()
        #expect(rules.inspection.findings.filter { $0.severity != .advice } == [])
        #expect(rules.inspection.gaps == [])
        #expect(
            rules.inspection.sharedQueues.first?.text.hasPrefix("openings, fragments, datagrams come to the queue")
                == true)
        #expect(rules.inspection.sharedQueues.first?.cure.contains("iptables --apply") == true)
    }

    @Test("Where only some are told apart, the others are named")
    func some() {
        var rules = inspected(policy())
        rules.ipv4 = Self.without("tcp-flags", rules.ipv4)
        rules.ipv6 = Self.without("tcp-flags", rules.ipv6)
        #expect(rules.inspection.sharedQueues.first?.text.hasPrefix("openings come to the queue") == true)
        #expect(rules.inspection.gaps == [])
    }

    @Test("Without the rule for the rest, what goes on is not judged")
    func rest() {
        var rules = inspected(policy())
        rules.ipv4 = Self.without("PORTREEVE-QUEUE -j NFQUEUE", Self.without("--rcheck", rules.ipv4))
        #expect(rules.inspection.gaps.first?.text.contains("no rule gives what is neither an opening") == true)
        #expect(rules.refusals.contains { $0.text.hasPrefix("IPv4: no rule gives what is neither") })
    }

    @Test("A rule of ours to a queue that is none of the policy's gives its packets to nobody")
    func stray() {
        var rules = inspected(policy { $0.queue.floodNumbers = .from(50) })
        rules.policy = policy()
        #expect(
            rules.inspection.gaps.map(\.text).contains("rules in place feed queue 50, which is none of the agent's"))
        rules.policy = policy { $0.queue.floodNumbers = .off }
        #expect(
            rules.inspection.gaps.map(\.text).contains("rules in place feed queue 52, which is none of the agent's"))
    }

    @Test("Ranges of the same workers are no two ways, others are")
    func split() {
        var rules = inspected(policy { $0.queue.numbers = 0...1 })
        rules.ipv4 = rules.ipv4.replacing("--queue-balance 2:3", with: "--queue-num 2")
        #expect(rules.refusals.contains { $0.text.contains("reach different workers") })
    }

    private static func without(_ word: String, _ text: String) -> String {
        text.split(separator: "\n").filter { !$0.contains(word) }.map { $0 + "\n" }.joined()
    }
}

@Suite("The numbers of queues")
struct QueueLayoutTests {
    @Test("Beside the range, at a number, or none")
    func ranges() throws {
        let beside = try #require(QueueLayout(4...7, .following))
        #expect(beside[.openings] == 8...11 && beside[.fragments] == 12...15 && beside[.datagrams] == 16...19)
        #expect(beside.floods == 8...19 && beside.width == 4)
        let placed = try #require(QueueLayout(4...7, .from(100)))
        #expect(placed[.datagrams] == 108...111)
        let off = try #require(QueueLayout(4...7, .off))
        #expect(off[.openings] == nil && off.numbers == [4, 5, 6, 7])
    }

    @Test(
        "No room, or one's own numbers",
        arguments: [(UInt16(65_533), FloodNumbers.following), (10, .from(10)), (10, .from(8)), (10, .from(65_534))])
    func refused(number: UInt16, floods: FloodNumbers) { #expect(QueueLayout(number...number, floods) == nil) }

    @Test(
        "The last that have room",
        arguments: [(UInt16(65_532), FloodNumbers.following), (10, .from(7)), (10, .from(11))])
    func room(number: UInt16, floods: FloodNumbers) { #expect(QueueLayout(number...number, floods) != nil) }

    @Test("What the same workers read")
    func workers() throws {
        let layout = try #require(QueueLayout(4...7, .following))
        #expect(layout.workers(of: 9...10) == 5...6)
        #expect(layout.workers(of: 4...7) == 4...7)
        #expect(layout.workers(of: 7...8) == 7...8)
        #expect(layout.kind(of: 12...15) == .fragments && layout.kind(of: 11...12) == nil)
    }
}
