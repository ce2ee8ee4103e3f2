// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import PolicyFile
import Testing

@testable import PolicyAnalysis

@Suite("Rules that are suggested of what was seen")
struct SuggestionTests {
    @Test("Services that the same computers want are one rule, and what it admits besides is counted exactly")
    func oneRule() throws {
        var seen = Suggesting()
        for port in [22, 80, 443] as [UInt16] {
            for last in [5, 130, 200] as [UInt32] {
                seen.see(Suggesting.incoming(.tcp(port), from: Suggesting.peer(last)), packets: 4)
            }
        }
        let suggestion = try seen.suggestion()
        let rule = try #require(suggestion.rules.first)
        #expect(suggestion.rules.count == 1 && suggestion.leftOut.isEmpty)
        #expect(
            Array(rule.lines.dropFirst()) == [
                "action: allow", "direction: incoming", "protocol: tcp", "source: { addresses: [10.0.0.0/24] }",
                "destination: { ports: [22, 80, 443] }",
            ])
        #expect(rule.packets == 36 && rule.openings == 9 && rule.peers.count == 3)
        #expect(rule.extent.peers == 253 && rule.extent.pairs == 3 * 253 && rule.extent.ports == 0)
        let example = try #require(rule.extent.example)
        #expect(!Suggesting.passesOpening(example, try seen.policy()))
        #expect(Suggesting.passesOpening(example, try seen.policy(adding: suggestion.file)))
    }

    @Test("Two of a network are named, and not the network; a prefix is no wider than those who were seen need")
    func addresses() throws {
        var two = Suggesting()
        two.see(Suggesting.incoming(.tcp(22), from: Suggesting.peer(5)))
        two.see(Suggesting.incoming(.tcp(22), from: Suggesting.peer(9)))
        #expect(try two.suggestion().rules.first?.lines[4] == "source: { addresses: [10.0.0.5, 10.0.0.9] }")
        two.see(Suggesting.incoming(.tcp(22), from: Suggesting.peer(6)))
        let rule = try #require(try two.suggestion().rules.first)
        #expect(rule.lines[4] == "source: { addresses: [10.0.0.0/28] }")
        #expect(rule.extent.peers == 13)
    }

    @Test("More than sixteen entries are everybody of the family that was seen, which is said")
    func everybody() throws {
        var many = Suggesting()
        for network in 0..<17 as Range<UInt32> {
            many.see(Suggesting.incoming(.tcp(443), from: IPAddress(v4: 0x0b00_0001 + network << 16)))
        }
        let rule = try #require(try many.suggestion().rules.first)
        #expect(rule.isForEverybody && rule.lines.contains("frame: ipv4") && rule.extent.peers == nil)
    }

    @Test("Exactly as seen: nothing else is admitted")
    func exact() throws {
        var seen = Suggesting()
        seen.options.isExact = true
        for port in [22, 80] as [UInt16] {
            for last in [5, 6, 7, 130] as [UInt32] {
                seen.see(Suggesting.incoming(.tcp(port), from: Suggesting.peer(last)))
            }
        }
        for port in 8_000..<8_010 as Range<UInt16> where port != 8_005 {
            seen.see(Suggesting.incoming(.tcp(port), from: Suggesting.peer(9)))
        }
        let suggestion = try seen.suggestion()
        #expect(suggestion.rules.count == 2)
        for rule in suggestion.rules {
            #expect(rule.extent.peers == 0 && rule.extent.pairs == 0 && rule.extent.ports == 0)
            #expect(rule.lines.contains { $0.hasPrefix("destination: { addresses: [192.0.2.10], ports:") })
        }
        #expect(suggestion.texts.first?.contains("10.0.0.5-10.0.0.7") == true, "\(suggestion.texts)")
        seen.options.isExact = false
        let wider = try seen.suggestion().rules.first { $0.lines.contains("destination: { ports: [8000-8009] }") }
        #expect(wider?.extent.ports == 1)
    }

    @Test("A network that is named takes whoever of it was seen, and no other")
    func networks() throws {
        var seen = Suggesting()
        seen.options.networks = [AddressRange(first: IPAddress(v4: 0x0a00_0000), last: IPAddress(v4: 0x0aff_ffff))]
        seen.see(Suggesting.incoming(.tcp(22), from: Suggesting.peer(5)))
        seen.see(Suggesting.incoming(.tcp(22), from: IPAddress(v4: 0x0b00_0001)))
        let rule = try #require(try seen.suggestion().rules.first)
        #expect(rule.lines[4] == "source: { addresses: [10.0.0.0/8, 11.0.0.1] }")
        #expect(rule.extent.peers == 0xff_ffff)
    }

    @Test("Allow where it is enough; Force Allow for what comes unasked; groups by their addresses")
    func actions() throws {
        var seen = Suggesting()
        let peer = Suggesting.peer(5)
        seen.see(Suggesting.incoming(.udp(514), from: peer), .unknown)
        seen.see(Suggesting.incoming(.icmp(type: 8, code: 0), from: peer), .unknown)
        seen.see(Suggesting.incoming(.other(47), from: peer), .unknown)
        seen.see(Suggesting.incoming(.udp(5_353), from: peer, to: IPAddress(v4: 0xe000_00fb)), .unknown)
        seen.see(Suggesting.outgoing(.udp(123), to: peer), .unknown)
        seen.see(Suggesting.outgoing(.icmp(type: 8, code: 0), to: peer), .unknown)
        let suggestion = try seen.suggestion()
        let found = suggestion.rules.map { "\($0.action.word) \($0.direction.word) \($0.serviceText)" }
        #expect(
            found == [
                "force-allow incoming udp 514", "force-allow incoming udp 5353", "force-allow incoming icmp 8/0",
                "allow incoming protocol 47", "allow outgoing udp 123", "allow outgoing icmp 8/0",
            ], "\(found)")
        #expect(suggestion.texts[1].contains("destination: { addresses: [224.0.0.251], ports: [5353] }"))
        seen = Suggesting(Suggesting.closed + "stateful: { udp: { admit: allow } }\n")
        seen.see(Suggesting.incoming(.udp(514), from: peer), .unknown)
        #expect(try seen.suggestion().rules.first?.action == .allow)
    }

    @Test(
        "What a rule refuses on purpose is left out, with its place; over it only if that is asked for, and as high as it"
    )
    func ownDenies() throws {
        let deny =
            Suggesting.closed
            + "rules:\n  - { name: No telnet, action: deny, priority: 2, direction: incoming, protocol: tcp, destination: { ports: 23 } }\n"
        var seen = Suggesting(deny)
        let telnet = Suggesting.incoming(.tcp(23), from: Suggesting.peer(5))
        seen.see(telnet)
        let suggestion = try seen.suggestion()
        #expect(suggestion.rules.isEmpty && suggestion.isLeftOut(.ownRule(0)))
        seen.options.overDenies = true
        let over = try seen.suggestion()
        #expect(over.rules.first?.lines.prefix(3).last == "priority: 2")
        #expect(Suggesting.passes(telnet, try seen.policy(adding: over.file)))
    }

    @Test("What nobody answered, what its receiver refused and what was left alone after an answer is not wanted")
    func outcomes() throws {
        for outcome in AttemptOutcome.allCases {
            var seen = Suggesting()
            let attempt = Suggesting.incoming(.tcp(22), from: Suggesting.peer(5))
            seen.see(attempt, outcome)
            let suggestion = try seen.suggestion()
            let isWanted = [.unknown, .listening, .completed, .used].contains(outcome)
            #expect(
                suggestion.rules.count == (isWanted ? 1 : 0) && suggestion.isLeftOut(.outcome(outcome)) == !isWanted)
            seen.options.included = [AddressRange(first: attempt.source, last: attempt.source)]
            #expect(try seen.suggestion().rules.count == 1, "what is asked for is not left out")
        }
    }

    @Test("What is admitted already is not suggested; what answers or reports opens nothing")
    func neither() throws {
        var seen = Suggesting(
            Suggesting.closed
                + "rules:\n  - { name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }\n"
        )
        seen.see(Suggesting.incoming(.tcp(80), from: Suggesting.peer(5)), packets: 7)
        seen.see(Suggesting.incoming(.icmp(type: 3, code: 1), from: Suggesting.peer(5)), .unknown)
        seen.see(Suggesting.incoming(.tcp(80), from: IPAddress(v4: 0x7f00_0001)))
        let suggestion = try seen.suggestion()
        #expect(suggestion.rules.isEmpty && suggestion.admitted == 7)
        #expect(suggestion.isLeftOut(.answersNothing) && suggestion.isLeftOut(.reason(.invalidIP)))
    }

    @Test("Rules have names that no rule has")
    func names() throws {
        var seen = Suggesting(
            Suggesting.closed
                + "rules:\n  - { name: \"Suggested: tcp 22 from 10.0.0.5\", action: allow, direction: outgoing, protocol: tcp, destination: { ports: 1 } }\n"
        )
        seen.see(Suggesting.incoming(.tcp(22), from: Suggesting.peer(5)))
        #expect(try seen.suggestion().rules.first?.name == "Suggested: tcp 22 from 10.0.0.5 (2)")
    }

    @Test("Memory is bounded, and what there was no room for is counted")
    func room() {
        var traffic = SeenTraffic(mostAttempts: 10, mostLoose: 4)
        for last in 0..<100 as Range<UInt32> {
            traffic.add(
                Suggesting.incoming(.tcp(22), from: Suggesting.peer(last)), packets: 2, first: 0, last: 0, .unknown)
            let packet = SeenTraffic.Loose(
                .incoming, isTCP: true, isIPv6: false, from: (Suggesting.peer(last), 40_000), to: (Suggesting.host, 22))
            traffic.add(packet, packets: 1, first: 0, last: 0, isReset: false)
        }
        traffic.add(
            Suggesting.incoming(.tcp(22), from: Suggesting.peer(1)), packets: .max, first: .min, last: .max, .unknown)
        let settled = traffic.settled()
        #expect(settled.count == 10 && traffic.withoutRoom == 180 && traffic.withoutOpening == 90)
        #expect(settled.first { $0.attempt.source == Suggesting.peer(1) }?.tally.packets == .max)
    }
}

extension Suggesting {
    /// Whether a single packet passes.
    static func passesOpening(_ words: PacketWords, _ policy: Policy) -> Bool {
        let explanation = PacketScene(words, now: 0).judge(policy)
        return explanation.passes == true && explanation.refusal == nil
    }
}
