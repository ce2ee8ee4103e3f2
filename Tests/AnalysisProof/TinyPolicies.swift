// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
package import FirewallPolicy
import PacketWire
package import PolicyAnalysis
import TestSupport

/// Random policies over a universe of so few packets that all of them can be asked: two bits of each field matter. Most are about IPv4,
/// some about IPv6, and some are of a bridge.
package struct TinyPolicies {
    private var random: SeededRandom
    private let world: TinyWorld

    package init(seed: UInt64) {
        random = SeededRandom(seed: seed)
        world = seed % 7 == 3 ? .ipv6 : seed % 7 == 5 ? .bridge : .ipv4
    }

    private static let nowhere = SourcePosition(file: "tiny.yaml", line: 1, column: 1)
    static let ports: [UInt16] = [0, 22, 23, 80]
    static let interfaces = ["eth0", "eth1", "wg0"]
    static let mac = MACAddress(bits: 0x5254_0000_0001)

    /// Before noon of the second day of 1970 the one schedule holds, and after it not; `policies`: how many are asked at once.
    package static func moments(_ policies: Int = 1) -> [PacketUniverse.Moment] {
        [
            PacketUniverse.Moment(unixTime: 86_400, activity: Array(repeating: 1, count: policies)),
            PacketUniverse.Moment(unixTime: 86_400 + 43_200, activity: Array(repeating: 0, count: policies)),
        ]
    }

    /// Of every other seed all lists are taken for long ones.
    static func longList(_ seed: UInt64) -> Int? { seed % 2 == 0 ? 0 : nil }

    static func check(_ policy: Policy, _ seed: UInt64) -> PolicyCheck {
        PolicyCheck(policy, moments: moments(), longList: longList(seed))
    }

    package mutating func document(rules: Int) -> PolicyDocument {
        var document = PolicyDocument()
        document.engine.dhcpAndDNS = .off
        document.engine.pathMTU = false
        if world == .bridge {
            document.queue.family = .bridge
            document.interfaces.inside = ["eth1"]
            document.engine.sanity.blockIPv6 = true
        }
        for _ in 0..<5 {
            document.addressLists.append(NamedList(name: nil, values: ranges(), position: Self.nowhere))
            document.portLists.append(NamedList(name: nil, values: portRanges(), position: Self.nowhere))
        }
        document.macLists = [NamedList(name: nil, values: [Self.mac], position: Self.nowhere)]
        let day = [0..<720]
        document.schedules = [
            Schedule(
                name: "mornings", timeZone: .named("UTC"), weekly: Array(repeating: day, count: 7),
                position: Self.nowhere)
        ]
        if random.next() % 3 == 0 { document.unmatched.incoming = random.next() % 2 == 0 ? .deny : .allow }
        if random.next() % 4 == 0 { document.stateful.udpAdmit = .allow }
        if random.next() % 6 == 0 { document.stateful.tcpEnabled = false }
        if random.next() % 8 == 0 {
            document.engine.dhcpAndDNS = .dnsOnly
            document.engine.pathMTU = true
        }
        document.rules = (0..<rules).map { rule($0) }
        return document
    }

    private mutating func pick<Value>(_ values: [Value]) -> Value { values[Int(random.next() % UInt64(values.count))] }

    private mutating func ranges() -> [AddressRange] {
        let bits = random.next() % 16
        return world.ranges.indices.filter { bits >> UInt64($0) & 1 == 1 }.map { world.ranges[$0] }
    }

    private mutating func portRanges() -> [PortRange] {
        let bits = random.next() % 16
        return Self.ports.indices.filter { bits >> UInt64($0) & 1 == 1 }.map { index in
            PortRange(
                first: Self.ports[index], last: index == 3 ? .max : Self.ports[index + 1] - 1)
        }
    }

    private mutating func criterion<Value>(_ value: Value) -> Criterion<Value> {
        Criterion(value, isInverted: random.next() % 5 == 0)
    }

    package mutating func rule(_ number: Int) -> Rule {
        let action = pick([RuleAction.allow, .allow, .deny, .deny, .forceAllow, .bypass, .logOnly])
        let priority: UInt8 = action == .logOnly ? 4 : action == .allow ? 0 : pick([0, 0, 1, 2])
        var rule = Rule(
            name: "r\(number)", action: action, priority: priority, direction: pick([.incoming, .incoming, .outgoing]),
            position: SourcePosition(file: "tiny.yaml", line: number + 1, column: 3))
        rule.frame = Criterion(world == .ipv6 ? .ipv6 : .ipv4)
        if world == .bridge {
            rule.frame = pick([
                Criterion(.ipv4), Criterion(.ipv4), Criterion(.any), Criterion(.arp), Criterion(.etherType(0x88cc)),
                Criterion(.ip, isInverted: true),
            ])
            if random.next() % 6 == 0 { rule.destination.macs = criterion(0) }
        }
        if random.next() % 3 != 0 {
            let other: [UInt8] = world == .ipv6 ? [58, 47] : [1, 2]
            rule.protocols = criterion(pick([.number(6), .number(17), .tcpAndUDP] + other.map { .number($0) }))
        }
        if random.next() % 2 == 0 { rule.source.addresses = criterion(Int(random.next() % 5)) }
        if random.next() % 3 == 0 { rule.destination.addresses = criterion(Int(random.next() % 5)) }
        if random.next() % 2 == 0 { rule.destination.ports = criterion(Int(random.next() % 5)) }
        if random.next() % 5 == 0 { rule.source.ports = criterion(Int(random.next() % 5)) }
        if random.next() % 6 == 0 {
            rule.flags = criterion(
                pick([FlagMatch(tested: .ruleFlags, set: .syn), FlagMatch(tested: .ack, set: .ack)]))
        }
        if random.next() % 8 == 0 { rule.icmp = criterion(pick(world.messages)) }
        if random.next() % 6 == 0 { rule.interfaces = criterion(pick([["eth0"], ["eth*"], ["wg0", "eth1"]])) }
        if random.next() % 10 == 0 { rule.source.macs = criterion(0) }
        if random.next() % 10 == 0 { rule.schedule = 0 }
        rule.isEnabled = random.next() % 12 != 0
        return rule
    }
}
