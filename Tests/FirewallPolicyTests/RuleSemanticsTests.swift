// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire
import Testing

@Suite("Priorities and actions")
struct RuleOrderTests {
    @Test("A higher priority decides, wherever it stands in the file")
    func priorityBeatsOrder() throws {
        var sketch = PolicySketch()
        sketch.rule(.forceAllow, priority: 2)
        let deny = sketch.rule(.deny, priority: 3)
        #expect(try sketch.decide(.tcp(to: 80)) == RuleDecision(outcome: .deny, rule: deny))
    }

    @Test("In one priority Bypass precedes Force Allow, that precedes Deny, and that Allow", arguments: 0...3)
    func actionOrder(strongest: Int) throws {
        let actions: [RuleAction] = [.bypass, .forceAllow, .deny, .allow]
        var sketch = PolicySketch()
        for action in actions[strongest...].reversed() { sketch.rule(action) }
        let expected: [RuleOutcome] = [.bypass, .forceAllow, .deny, .allow]
        #expect(try sketch.outcome(.tcp(to: 80)) == expected[strongest])
    }

    @Test("Among equals the first in the file is named")
    func fileOrder() throws {
        var sketch = PolicySketch()
        sketch.rule(.deny) { $0.protocols = Criterion(.number(IPProtocol.udp)) }
        let first = sketch.rule(.deny)
        sketch.rule(.deny) { $0.protocols = Criterion(.number(IPProtocol.tcp)) }
        #expect(try sketch.decide(.tcp(to: 80)).rule == first)
    }

    @Test("Log Only changes no verdict and names the first that matches")
    func logOnly() throws {
        var sketch = PolicySketch()
        sketch.rule(.logOnly) { $0.protocols = Criterion(.number(IPProtocol.udp)) }
        let first = sketch.rule(.logOnly)
        sketch.rule(.logOnly)
        #expect(try sketch.decide(.tcp(to: 80)) == RuleDecision(outcome: .noMatch, logOnlyRule: first))
        let deny = sketch.rule(.deny)
        #expect(try sketch.decide(.tcp(to: 80)) == RuleDecision(outcome: .deny, rule: deny, logOnlyRule: first))
    }

    @Test("A Bypass of priority 4 precedes Log Only, one of priority 3 does not")
    func bypassAndLogOnly() throws {
        for priority in [4, 3] as [UInt8] {
            var sketch = PolicySketch()
            let log = sketch.rule(.logOnly)
            let bypass = sketch.rule(.bypass, priority: priority)
            let expected = RuleDecision(outcome: .bypass, rule: bypass, logOnlyRule: priority == 4 ? -1 : log)
            #expect(try sketch.decide(.tcp(to: 80)) == expected)
        }
    }

    @Test("Without an Allow rule everything passes that no Deny stops")
    func permissive() throws {
        var sketch = PolicySketch()
        sketch.rule(.deny) { $0.protocols = Criterion(.number(IPProtocol.udp)) }
        sketch.rule(.forceAllow) { $0.protocols = Criterion(.number(IPProtocol.icmp)) }
        #expect(try sketch.outcome(.tcp(to: 80)) == .noMatch)
        #expect(try sketch.outcome(.udp(to: 80)) == .deny)
    }

    @Test("One Allow rule makes its direction restrictive and leaves the other alone")
    func restrictive() throws {
        var sketch = PolicySketch()
        sketch.rule(.allow) { $0.protocols = Criterion(.number(IPProtocol.tcp)) }
        #expect(try sketch.outcome(.udp(to: 80)) == .implicitDeny)
        #expect(try sketch.outcome(.tcp(to: 80)) == .allow)
        #expect(try sketch.outcome(.udp(to: 80).outgoing) == .noMatch)
        let policy = try sketch.policy()
        #expect(policy.isRestrictive(.incoming))
        #expect(!policy.isRestrictive(.outgoing))
    }

    @Test("`default` decides in place of the Allow rules, for its direction", arguments: [false, true])
    func unmatched(hasAllowRule: Bool) throws {
        var sketch = PolicySketch()
        if hasAllowRule { sketch.rule(.allow) { $0.protocols = Criterion(.number(IPProtocol.tcp)) } }
        for (decision, outcome) in [
            (UnmatchedDecision.byRules, hasAllowRule ? RuleOutcome.implicitDeny : .noMatch), (.allow, .noMatch),
            (.deny, .implicitDeny),
        ] {
            sketch.document.unmatched.incoming = decision
            #expect(try sketch.outcome(.udp(to: 80)) == outcome)
            #expect(try sketch.outcome(.udp(to: 80).outgoing) == .noMatch)
            #expect(try sketch.outcome(.icmpv6(type: 128)) == .noMatch)
            #expect(try sketch.outcome(.tcp(to: 80)) == (hasAllowRule ? .allow : outcome))
        }
        sketch.document.unmatched.outgoing = .deny
        #expect(try sketch.outcome(.udp(to: 80).outgoing) == .implicitDeny)
    }

    @Test("A rule that is off does not match, and the next one decides")
    func disabled() throws {
        var sketch = PolicySketch()
        sketch.rule(.deny, priority: 3) { $0.isEnabled = false }
        let forced = sketch.rule(.forceAllow)
        sketch.rule(.allow) { $0.isEnabled = false }
        #expect(try sketch.decide(.tcp(to: 80)) == RuleDecision(outcome: .forceAllow, rule: forced))
        #expect(try sketch.outcome(.udp(to: 80)) == .forceAllow)
        #expect(try !sketch.policy().isRestrictive(.incoming))
    }

    @Test("An Allow rule whose schedule is off admits nothing, and the direction stays restrictive")
    func allowOutOfHours() throws {
        var sketch = PolicySketch()
        let week = Array(repeating: [480..<1080], count: 7)
        sketch.document.schedules = [
            Schedule(name: "hours", timeZone: .local, weekly: week, position: PolicySketch.nowhere)
        ]
        sketch.rule(.allow) { $0.schedule = 0 }
        #expect(try sketch.outcome(.tcp(to: 80).changed { $0.activeSchedules = 1 }) == .allow)
        #expect(try sketch.outcome(.tcp(to: 80)) == .implicitDeny)
    }

    @Test("Deny and Force Allow by schedule hold only in their hours")
    func denyOutOfHours() throws {
        var sketch = PolicySketch()
        let week = Array(repeating: [0..<1440], count: 7)
        for name in ["a", "b"] {
            sketch.document.schedules.append(
                Schedule(name: name, timeZone: .local, weekly: week, position: PolicySketch.nowhere))
        }
        sketch.rule(.deny) { $0.schedule = 1 }
        #expect(try sketch.outcome(.tcp(to: 80).changed { $0.activeSchedules = 0b10 }) == .deny)
        #expect(try sketch.outcome(.tcp(to: 80).changed { $0.activeSchedules = 0b01 }) == .noMatch)
    }
}

@Suite("Criteria")
struct CriteriaTests {
    @Test("All criteria of a rule have to hold")
    func conjunction() throws {
        var sketch = PolicySketch()
        let office = sketch.addresses([.prefix(.v4(198, 51, 100, 0), 24)])
        let ssh = sketch.ports(22...22)
        sketch.rule(.deny) {
            $0.protocols = Criterion(.number(IPProtocol.tcp))
            $0.source.addresses = Criterion(office)
            $0.destination.ports = Criterion(ssh)
        }
        #expect(try sketch.outcome(.tcp(to: 22)) == .deny)
        #expect(try sketch.outcome(.tcp(to: 23)) == .noMatch)
        #expect(try sketch.outcome(.udp(to: 22)) == .noMatch)
        #expect(try sketch.outcome(.tcp(to: 22).changed { $0.source = .v4(198, 51, 101, 0) }) == .noMatch)
    }

    @Test("tcp+udp is either, inverted neither")
    func tcpAndUDP() throws {
        for isInverted in [false, true] {
            var sketch = PolicySketch()
            sketch.rule(.deny) { $0.protocols = Criterion(.tcpAndUDP, isInverted: isInverted) }
            let named: RuleOutcome = isInverted ? .noMatch : .deny
            let other: RuleOutcome = isInverted ? .deny : .noMatch
            #expect(try sketch.outcome(.tcp(to: 80)) == named)
            #expect(try sketch.outcome(.udp(to: 80)) == named)
            #expect(try sketch.outcome(.icmp(type: 8)) == other)
            #expect(try sketch.outcome(.ip(47)) == other)
        }
    }

    @Test("A port criterion never matches a packet without ports, inverted or not", arguments: [false, true])
    func portsOfICMP(isInverted: Bool) throws {
        var sketch = PolicySketch()
        let list = sketch.ports(0...65_535)
        sketch.rule(.deny) { $0.destination.ports = Criterion(list, isInverted: isInverted) }
        #expect(try sketch.outcome(.icmp(type: 8)) == .noMatch)
        #expect(try sketch.outcome(.ip(132)) == .noMatch)
        #expect(try sketch.outcome(.tcp(to: 80)) == (isInverted ? .noMatch : .deny))
    }

    @Test("Flags are no field of UDP, ICMP type none of TCP, protocol none of ARP, also not inverted")
    func absentFields() throws {
        var sketch = PolicySketch()
        sketch.rule(.deny) { $0.flags = Criterion(FlagMatch(tested: .ruleFlags, set: .syn), isInverted: true) }
        #expect(try sketch.outcome(.udp(to: 80)) == .noMatch)
        #expect(try sketch.outcome(.tcp(to: 80, flags: .ack)) == .deny)
        sketch = PolicySketch()
        sketch.rule(.deny) { $0.icmp = Criterion(ICMPMatch(type: 8), isInverted: true) }
        #expect(try sketch.outcome(.tcp(to: 80)) == .noMatch)
        #expect(try sketch.outcome(.icmp(type: 0)) == .deny)
        sketch = PolicySketch()
        sketch.rule(.deny) {
            $0.frame = Criterion(.any)
            $0.protocols = Criterion(.number(IPProtocol.tcp), isInverted: true)
        }
        #expect(try sketch.outcome(.frame(.arp, etherType: 0x0806)) == .noMatch)
        #expect(try sketch.outcome(.udp(to: 80)) == .deny)
    }

    @Test("A packet without MAC address meets no MAC criterion, also not inverted", arguments: [false, true])
    func absentMAC(isInverted: Bool) throws {
        var sketch = PolicySketch()
        let printers = sketch.macs(0x5254_00aa_0001)
        sketch.rule(.deny) { $0.source.macs = Criterion(printers, isInverted: isInverted) }
        #expect(try sketch.outcome(.tcp(to: 80)) == .noMatch)
        let known = RuleSubject.tcp(to: 80).changed { $0.sourceMAC = MACAddress(bits: 0x5254_00aa_0001) }
        #expect(try sketch.outcome(known) == (isInverted ? .noMatch : .deny))
        let other = known.changed { $0.sourceMAC = MACAddress(bits: 0x5254_00aa_0002) }
        #expect(try sketch.outcome(other) == (isInverted ? .deny : .noMatch))
    }

    @Test("An empty list holds nobody; inverted it holds everybody who has the field")
    func emptyLists() throws {
        var sketch = PolicySketch()
        let nobody = sketch.addresses([])
        sketch.rule(.deny) { $0.source.addresses = Criterion(nobody) }
        #expect(try sketch.outcome(.tcp(to: 80)) == .noMatch)
        sketch.rule(.deny) {
            $0.source.addresses = Criterion(nobody, isInverted: true)
            $0.frame = Criterion(.any)
        }
        #expect(try sketch.outcome(.tcp(to: 80)) == .deny)
        #expect(try sketch.outcome(.tcp(to: 80).overIPv6) == .deny)
        #expect(try sketch.outcome(.frame(.arp, etherType: 0x0806)) == .noMatch)
    }

    @Test("An IPv6 packet with mapped addresses is in no IPv4 list, and inverted it is outside")
    func mappedAddresses() throws {
        let mapped = RuleSubject.tcp(to: 80).changed { $0.network = .ipv6 }
        var sketch = PolicySketch()
        let office = sketch.addresses([.prefix(.v4(198, 51, 100, 0), 24)])
        sketch.rule(.deny) { $0.source.addresses = Criterion(office) }
        #expect(try sketch.outcome(.tcp(to: 80)) == .deny)
        #expect(try sketch.outcome(mapped) == .noMatch)
        sketch = PolicySketch()
        let all4 = sketch.addresses([.prefix(.v4(0, 0, 0, 0), 0)])
        sketch.rule(.deny) { $0.source.addresses = Criterion(all4, isInverted: true) }
        #expect(try sketch.outcome(.tcp(to: 80)) == .noMatch)
        #expect(try sketch.outcome(mapped) == .deny)
    }

    @Test("An IPv6 range around the mapped addresses holds no IPv4 packet")
    func wideIPv6Range() throws {
        var sketch = PolicySketch()
        let all6 = sketch.addresses([.prefix(.zero, 0)])
        sketch.rule(.deny) { $0.source.addresses = Criterion(all6) }
        #expect(try sketch.outcome(.tcp(to: 80)) == .noMatch)
        #expect(try sketch.outcome(.tcp(to: 80).overIPv6) == .deny)
    }

    @Test("Without frame a rule is about IP; any, arp and EtherTypes say otherwise")
    func frames() throws {
        let arp = RuleSubject.frame(.arp, etherType: 0x0806)
        let lldp = RuleSubject.frame(.other, etherType: 0x88cc)
        let table: [(Criterion<FrameMatch>, [RuleSubject], [RuleSubject])] = [
            (Criterion(.ip), [.tcp(to: 1), .tcp(to: 1).overIPv6], [arp, lldp]),
            (Criterion(.any), [.tcp(to: 1), .tcp(to: 1).overIPv6, arp, lldp], []),
            (Criterion(.ipv4), [.tcp(to: 1)], [.tcp(to: 1).overIPv6, arp]),
            (Criterion(.ipv6), [.tcp(to: 1).overIPv6], [.tcp(to: 1), arp]),
            (Criterion(.arp), [arp], [.tcp(to: 1), lldp]),
            (Criterion(.etherType(0x88cc)), [lldp], [.tcp(to: 1), arp]),
            (Criterion(.ip, isInverted: true), [arp, lldp], [.tcp(to: 1), .tcp(to: 1).overIPv6]),
            (Criterion(.etherType(0x88cc), isInverted: true), [.tcp(to: 1), arp], [lldp]),
        ]
        for (frame, matching, others) in table {
            var sketch = PolicySketch()
            sketch.rule(.deny) { $0.frame = frame }
            for subject in matching { #expect(try sketch.outcome(subject) == .deny, "\(frame) \(subject)") }
            for subject in others { #expect(try sketch.outcome(subject) == .noMatch, "\(frame) \(subject)") }
        }
    }

    @Test("The implicit deny covers other frames than IP only where a rule is about such frames")
    func implicitDenyOfFrames() throws {
        let arp = RuleSubject.frame(.arp, etherType: 0x0806)
        var sketch = PolicySketch()
        sketch.rule(.allow)
        #expect(try sketch.outcome(arp) == .noMatch)
        sketch.rule(.allow) { $0.frame = Criterion(.etherType(0x88cc)) }
        #expect(try sketch.outcome(arp) == .implicitDeny)
    }

    @Test("A list of flags means exactly these; with set and clear only those named are looked at")
    func flags() throws {
        var sketch = PolicySketch()
        sketch.rule(.deny) { $0.flags = Criterion(FlagMatch(tested: .ruleFlags, set: [.fin, .urg, .psh])) }
        #expect(try sketch.outcome(.tcp(to: 80, flags: [.fin, .urg, .psh])) == .deny)
        #expect(try sketch.outcome(.tcp(to: 80, flags: [.fin, .urg, .psh, .ece])) == .deny)
        #expect(try sketch.outcome(.tcp(to: 80, flags: [.fin, .urg, .psh, .ack])) == .noMatch)
        #expect(try sketch.outcome(.tcp(to: 80, flags: [.fin, .urg])) == .noMatch)
        sketch = PolicySketch()
        sketch.rule(.deny) { $0.flags = Criterion(FlagMatch(tested: [.syn, .ack], set: .syn)) }
        #expect(try sketch.outcome(.tcp(to: 80, flags: [.syn, .psh])) == .deny)
        #expect(try sketch.outcome(.tcp(to: 80, flags: [.syn, .ack])) == .noMatch)
    }

    @Test("An ICMP criterion without code holds for every code")
    func icmpCode() throws {
        var sketch = PolicySketch()
        sketch.rule(.deny) { $0.icmp = Criterion(ICMPMatch(type: 3)) }
        #expect(try sketch.outcome(.icmp(type: 3, code: 1)) == .deny)
        sketch = PolicySketch()
        sketch.rule(.deny) { $0.icmp = Criterion(ICMPMatch(type: 3, code: 4), isInverted: true) }
        #expect(try sketch.outcome(.icmp(type: 3, code: 4)) == .noMatch)
        #expect(try sketch.outcome(.icmp(type: 3, code: 1)) == .deny)
        #expect(try sketch.outcome(.icmp(type: 8, code: 4)) == .deny)
    }

    @Test("Interfaces are names or globs, inverted too; without an interface none matches")
    func interfaces() throws {
        for isInverted in [false, true] {
            var sketch = PolicySketch()
            sketch.rule(.deny) { $0.interfaces = Criterion(["eth*", "wg0"], isInverted: isInverted) }
            let policy = try sketch.policy()
            for (name, isNamed) in [("eth0", true), ("eth", true), ("wg0", true), ("wg1", false), ("veth0", false)] {
                let subject = RuleSubject.tcp(to: 80).changed {
                    $0.interfacePatterns = policy.traits(ofInterface: name).patterns
                }
                #expect(policy.classify(subject).outcome == (isNamed != isInverted ? .deny : .noMatch), "\(name)")
            }
            let nowhere = RuleSubject.tcp(to: 80).changed { $0.hasInterface = false }
            #expect(policy.classify(nowhere).outcome == .noMatch)
        }
    }
}

@Suite("ICMPv6")
struct ICMPv6RuleTests {
    @Test("is exempt from the implicit deny; ICMP over IPv4 and protocol 58 over IPv4 are not")
    func implicitDeny() throws {
        var sketch = PolicySketch()
        sketch.rule(.allow) { $0.protocols = Criterion(.number(IPProtocol.tcp)) }
        #expect(try sketch.outcome(.icmpv6(type: 128)) == .noMatch)
        #expect(try sketch.outcome(.icmp(type: 8)) == .implicitDeny)
        #expect(try sketch.outcome(.ip(IPProtocol.icmpv6)) == .implicitDeny)
        #expect(try sketch.outcome(.udp(to: 53).overIPv6) == .implicitDeny)
    }

    @Test(
        "Neighbour discovery and MLD pass every Deny rule that does not name icmpv6",
        arguments: [130, 131, 132, 133, 134, 135, 136, 143] as [UInt8])
    func neighbourDiscovery(type: UInt8) throws {
        let others: [Criterion<ProtocolMatch>?] = [
            nil, Criterion(.number(IPProtocol.tcp), isInverted: true),
            Criterion(.number(IPProtocol.icmpv6), isInverted: true),
        ]
        for protocols in others {
            var sketch = PolicySketch()
            sketch.rule(.deny, priority: 4) { $0.protocols = protocols }
            #expect(try sketch.outcome(.icmpv6(type: type)) == .noMatch)
        }
        var sketch = PolicySketch()
        sketch.rule(.deny) { $0.protocols = Criterion(.number(IPProtocol.icmpv6)) }
        #expect(try sketch.outcome(.icmpv6(type: type)) == .deny)
    }

    @Test(
        "Any other ICMPv6 type is stopped by a Deny of any protocol",
        arguments: [1, 128, 129, 137, 138, 142, 144] as [UInt8])
    func otherTypes(type: UInt8) throws {
        var sketch = PolicySketch()
        sketch.rule(.deny)
        #expect(try sketch.outcome(.icmpv6(type: type)) == .deny)
    }

    @Test("So does IGMP of IPv4, of which only a Deny that names it stops any")
    func groupMembership() throws {
        for protocols in [
            nil, Criterion(.number(IPProtocol.icmpv6)), Criterion(.number(IPProtocol.igmp), isInverted: true),
        ]
            as [Criterion<ProtocolMatch>?]
        {
            var sketch = PolicySketch()
            sketch.rule(.allow) { $0.protocols = Criterion(.number(IPProtocol.tcp)) }
            sketch.rule(.deny, priority: 4) { $0.protocols = protocols }
            #expect(try sketch.outcome(.ip(IPProtocol.igmp)) == .noMatch)
            #expect(try sketch.outcome(.ip(IPProtocol.igmp).laterFragment) == .noMatch)
            let other = try sketch.outcome(.ip(IPProtocol.igmp).overIPv6)
            #expect(other == .deny || other == .implicitDeny)
        }
        var sketch = PolicySketch()
        sketch.rule(.deny) { $0.protocols = Criterion(.number(IPProtocol.igmp)) }
        #expect(try sketch.outcome(.ip(IPProtocol.igmp)) == .deny)
    }

    @Test("The numbers 130 to 136 of ICMP over IPv4 have no privilege")
    func icmpv4() throws {
        var sketch = PolicySketch()
        sketch.rule(.deny)
        #expect(try sketch.outcome(.icmp(type: 135)) == .deny)
    }
}
