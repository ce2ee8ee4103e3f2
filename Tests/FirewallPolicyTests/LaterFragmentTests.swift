// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire
import Testing

@Suite("Later fragments, whose ports and flags are elsewhere")
struct LaterFragmentTests {
    @Test("are settled by a rule about addresses alone")
    func settled() throws {
        var sketch = PolicySketch()
        let office = sketch.addresses([.prefix(.v4(198, 51, 100, 0), 24)])
        let deny = sketch.rule(.deny) { $0.source.addresses = Criterion(office) }
        let web = sketch.ports(80...80)
        sketch.rule(.allow) { $0.destination.ports = Criterion(web) }
        #expect(try sketch.decide(.udp(to: 80).laterFragment) == RuleDecision(outcome: .deny, rule: deny))
    }

    @Test("stay open where a rule about ports comes first")
    func undetermined() throws {
        var sketch = PolicySketch()
        let web = sketch.ports(80...80)
        sketch.rule(.allow) { $0.destination.ports = Criterion(web) }
        #expect(try sketch.outcome(.udp(to: 80).laterFragment) == .undetermined)
        #expect(try sketch.outcome(.tcp(to: 80).laterFragment) == .undetermined)
        #expect(try sketch.outcome(.icmp(type: 8).laterFragment) == .implicitDeny)
    }

    @Test("are settled where every rule that may come first says the same")
    func sameOutcome() throws {
        var sketch = PolicySketch()
        let web = sketch.ports(80...80)
        sketch.rule(.deny, priority: 2) { $0.destination.ports = Criterion(web) }
        let all = sketch.rule(.deny)
        #expect(try sketch.decide(.udp(to: 80).laterFragment) == RuleDecision(outcome: .deny, rule: all))
        sketch.rule(.forceAllow, priority: 1) { $0.destination.ports = Criterion(web) }
        #expect(try sketch.outcome(.udp(to: 80).laterFragment) == .undetermined)
    }

    @Test("ask nothing about flags of UDP or ports of ICMP")
    func impossibleFields() throws {
        var sketch = PolicySketch()
        sketch.rule(.forceAllow) { $0.flags = Criterion(FlagMatch(tested: .ruleFlags, set: .syn)) }
        sketch.rule(.forceAllow) { $0.icmp = Criterion(ICMPMatch(type: 8)) }
        sketch.rule(.deny)
        #expect(try sketch.outcome(.udp(to: 80).laterFragment) == .deny)
        #expect(try sketch.outcome(.tcp(to: 80).laterFragment) == .undetermined)
        #expect(try sketch.outcome(.icmp(type: 8).laterFragment) == .undetermined)
    }

    @Test("of ICMPv6 may be neighbour discovery, which a Deny of any protocol does not stop")
    func neighbourDiscovery() throws {
        var sketch = PolicySketch()
        sketch.rule(.deny)
        #expect(try sketch.outcome(.icmpv6(type: 128).laterFragment) == .undetermined)
        sketch.rule(.deny) { $0.protocols = Criterion(.number(IPProtocol.icmpv6)) }
        #expect(try sketch.outcome(.icmpv6(type: 128).laterFragment) == .deny)
    }

    @Test("of IPv6 may hide the protocol behind more extension headers")
    func hiddenProtocol() throws {
        let destinationOptions: UInt8 = 60
        let fragment = RuleSubject.ip(destinationOptions).overIPv6.laterFragment
        var sketch = PolicySketch()
        sketch.rule(.deny) { $0.protocols = Criterion(.number(IPProtocol.udp)) }
        #expect(try sketch.outcome(fragment) == .undetermined)
        #expect(try sketch.outcome(.ip(destinationOptions).laterFragment) == .noMatch)
        sketch = PolicySketch()
        sketch.rule(.allow) { $0.frame = Criterion(.ipv4) }
        #expect(try sketch.outcome(fragment) == .undetermined, "it may be ICMPv6, which the implicit deny spares")
        sketch.rule(.bypass)
        #expect(try sketch.outcome(fragment) == .bypass)
    }
}
