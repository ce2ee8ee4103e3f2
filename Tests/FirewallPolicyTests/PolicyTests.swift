// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire
import Testing

@Suite("A policy made of a document")
struct PolicyTests {
    @Test("refuses a 65th interface pattern at its rule; equal patterns count once")
    func interfacePatterns() throws {
        var sketch = PolicySketch()
        for n in 0..<64 { sketch.rule(.deny) { $0.interfaces = Criterion(["eth\(n)", "eth0"]) } }
        #expect(throws: Never.self) { try sketch.policy() }
        sketch.rule(.deny) { $0.interfaces = Criterion(["one-more"]) }
        #expect(throws: PolicyError.tooManyInterfacePatterns(sketch.document.rules[64].position)) {
            try sketch.policy()
        }
    }

    @Test("refuses a 65th schedule at its position")
    func schedules() throws {
        var sketch = PolicySketch()
        for n in 1...65 {
            let position = SourcePosition(file: "test.yaml", line: n, column: 1)
            sketch.document.schedules.append(Schedule(name: "s\(n)", timeZone: .local, weekly: [], position: position))
        }
        #expect(throws: PolicyError.tooManySchedules(SourcePosition(file: "test.yaml", line: 65, column: 1))) {
            try sketch.policy()
        }
        sketch.document.schedules.removeLast()
        sketch.rule(.deny) { $0.schedule = 63 }
        #expect(try sketch.outcome(.tcp(to: 80).changed { $0.activeSchedules = 1 << 63 }) == .deny)
    }

    @Test("refuses references to lists and schedules that are not there")
    func danglingReferences() throws {
        let criteria: [@Sendable (inout Rule) -> Void] = [
            { $0.source.addresses = Criterion(0) }, { $0.destination.addresses = Criterion(-1) },
            { $0.source.ports = Criterion(1_000) }, { $0.destination.ports = Criterion(-1) },
            { $0.source.macs = Criterion(0) }, { $0.destination.macs = Criterion(0) }, { $0.schedule = 0 },
        ]
        for criterion in criteria {
            var sketch = PolicySketch()
            sketch.rule(.deny, .incoming, criterion)
            let rule = sketch.document.rules[0]
            #expect(throws: PolicyError.danglingReference(rule: rule.name, rule.position)) { try sketch.policy() }
        }
    }

    @Test("knows per direction whether flags or source MAC addresses are looked at")
    func examinations() throws {
        var sketch = PolicySketch()
        let printers = sketch.macs(1)
        sketch.rule(.deny) { $0.source.macs = Criterion(printers) }
        sketch.rule(.deny, .outgoing) { $0.flags = Criterion(FlagMatch(tested: .ruleFlags, set: .syn)) }
        sketch.rule(.logOnly, .outgoing) { $0.icmp = Criterion(ICMPMatch(type: 8)) }
        let policy = try sketch.policy()
        #expect(policy.examinesSourceMAC(.incoming) && !policy.examinesSourceMAC(.outgoing))
        #expect(!policy.examinesFlags(.incoming) && policy.examinesFlags(.outgoing))
        #expect(!policy.examinesICMP(.incoming) && policy.examinesICMP(.outgoing))
    }
}

@Suite("Built-in rules")
struct BuiltInRuleTests {
    private func shut(_ change: (inout PolicyDocument) -> Void = { _ in }) throws -> Policy {
        var document = PolicyDocument()
        change(&document)
        for direction in Direction.allCases {
            document.rules.append(
                Rule(name: "shut", action: .deny, priority: 4, direction: direction, position: PolicySketch.nowhere))
        }
        return try Policy(document, epoch: 1)
    }

    @Test("admit DHCP, DNS queries and the path MTU against a Deny of everything")
    func admitted() throws {
        let policy = try shut()
        let admitted: [RuleSubject] = [
            .udp(68, to: 67).outgoing, .udp(67, to: 68), .udp(546, to: 547).overIPv6.outgoing,
            .udp(547, to: 546).overIPv6, .udp(to: 53).outgoing, .tcp(to: 53).outgoing, .udp(to: 53).overIPv6.outgoing,
            .icmp(type: 3, code: 4), .icmpv6(type: 2), .icmpv6(type: 2, code: 7), .udp(40_000, to: 546).overIPv6,
            .udp(40_000, to: 547).overIPv6.outgoing, .udp(40_000, to: 68),
        ]
        for subject in admitted { #expect(policy.classify(subject).outcome == .forceAllow, "\(subject)") }
    }

    @Test("admit nothing near them")
    func notAdmitted() throws {
        let policy = try shut()
        let refused: [RuleSubject] = [
            .udp(67, to: 68).outgoing, .udp(68, to: 67), .udp(68, to: 67).overIPv6.outgoing,
            .udp(546, to: 547).outgoing,
            .udp(to: 53), .udp(53, to: 40_000), .icmp(type: 3, code: 3), .icmp(type: 3, code: 4).outgoing,
            .tcp(68, to: 67).outgoing, .udp(67, to: 69), .icmpv6(type: 1), .icmpv6(type: 3), .icmpv6(type: 2).outgoing,
            .udp(546, to: 547).overIPv6, .udp(547, to: 546).overIPv6.outgoing,
        ]
        for subject in refused { #expect(policy.classify(subject).outcome == .deny, "\(subject)") }
    }

    @Test("come after the document's rules and can be named")
    func names() throws {
        let policy = try shut()
        #expect(policy.document.rules.count == 2)
        #expect(policy.rules[0].name == "shut")
        let rule = policy.rules[Int(policy.classify(.udp(to: 53).outgoing).rule)]
        #expect(rule.name == "Built-in: DNS queries over UDP")
        let ports = try #require(rule.destination.ports)
        #expect(policy.document.portLists[ports.value].values == [PortRange(first: 53, last: 53)])
    }

    @Test("are as many as the settings say, and do not pile up when a document is compiled again")
    func settings() throws {
        #expect(try shut().rules.count == 2 + 8)
        #expect(try shut { $0.engine.dhcpAndDNS = .dnsOnly }.rules.count == 2 + 4)
        let none = try shut {
            $0.engine.dhcpAndDNS = .off
            $0.engine.pathMTU = false
        }
        #expect(none.rules.count == 2 && none.document.portLists.isEmpty)
        let first = try shut()
        let second = try Policy(first.document, epoch: 2)
        #expect(second.document.portLists.count == first.document.portLists.count)
    }
}
