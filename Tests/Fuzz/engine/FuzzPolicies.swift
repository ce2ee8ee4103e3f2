// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire
import TestSupport

/// Policies with every kind of rule, and tables so small that everything is full soon.
enum FuzzPolicies {
    static let position = SourcePosition(file: "fuzz", line: 1, column: 1)

    /// Two policies that differ in everything that a reload may change.
    static let both: [Policy] = [make(0), make(1)]

    static func make(_ variant: Int) -> Policy {
        var d = PolicyDocument()
        d.interfaces.inside = ["eth1"]
        d.engine.limits.tcp = 6
        d.engine.limits.udp = 4
        d.engine.limits.icmp = 2
        d.engine.limits.fragmentedDatagrams = 4
        d.stateful.limits.incoming = variant == 0 ? 3 : nil
        d.stateful.limits.halfOpen = 2
        d.engine.sanity.verifyTCPChecksum = variant == 1
        d.engine.sanity.minimumFragmentSize = variant == 0 ? 120 : 0
        d.engine.sanity.minimumFragmentOffset = variant == 0 ? 60 : 0
        d.engine.sanity.denySmallFragments = variant == 0
        d.engine.antiEvasion = variant == 0 ? .normal : .strict
        d.engine.antiEvasion.fragments = .log
        d.engine.antiEvasion.urgentFlags = .denySilent
        d.engine.antiEvasion.synFin = variant == 0 ? .allow : .log
        d.engine.antiEvasion.zeroFlags = variant == 0 ? .allow : .deny
        d.stateful.ackStorm.threshold = variant == 0 ? 3 : nil
        d.stateful.ackStorm.dropsConnection = true
        d.reconnaissance.block = variant == 0 ? .minutes(1) : nil
        d.unmatched.reply = variant == 0 ? .unreachable : .reset
        d.failure.sanity = variant == 0 ? .closed : .open
        d.failure.engine = variant == 0 ? .closed : .open
        d.addressLists.append(list([AddressRange(first: "198.18.0.0", last: "198.18.255.255")]))
        d.portLists.append(list([PortRange(first: 53, last: 80)]))
        d.macLists.append(list([MACAddress(bits: 1)]))
        d.rules = rules(variant)
        do { return try Policy(d, epoch: UInt32(variant) + 1) } catch { fatalError("\(error)") }
    }

    private static func list<Values: Sendable>(_ values: Values) -> NamedList<Values> {
        NamedList(name: nil, values: values, position: position)
    }

    private static func rules(_ variant: Int) -> [Rule] {
        var rules: [Rule] = []
        func add(_ action: RuleAction, _ priority: UInt8, _ direction: Direction, _ change: (inout Rule) -> Void) {
            var rule = Rule(
                name: "\(rules.count)", action: action, priority: priority, direction: direction, position: position)
            change(&rule)
            rules.append(rule)
        }
        add(.logOnly, 4, .incoming) { $0.protocols = Criterion(.number(IPProtocol.tcp)) }
        add(.allow, 0, .incoming) {
            $0.protocols = Criterion(.tcpAndUDP)
            $0.destination.ports = Criterion(0)
        }
        add(.forceAllow, 1, .incoming) { $0.protocols = Criterion(.number(IPProtocol.icmp)) }
        add(.forceAllow, 1, .incoming) {
            $0.protocols = Criterion(.number(IPProtocol.udp))
            $0.source.addresses = Criterion(0)
        }
        add(.deny, 3, .incoming) {
            $0.protocols = Criterion(.number(IPProtocol.tcp))
            $0.flags = Criterion(FlagMatch(tested: [.psh, .rst], set: [.psh, .rst]))
            $0.packetData = true
            $0.reply = .reset
        }
        add(.bypass, 2, variant == 0 ? .incoming : .outgoing) { $0.destination.addresses = Criterion(0) }
        add(.deny, 2, .outgoing) {
            $0.interfaces = Criterion(["eth0"], isInverted: true)
            $0.log = false
            $0.reply = .prohibited
        }
        if variant == 0 { add(.deny, 4, .incoming) { $0.source.macs = Criterion(0, isInverted: true) } }
        return rules
    }
}
