// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire

/// For which of its packets a rule is there. A Deny, Bypass or Force Allow applies to each packet; an Allow admits a connection by the
/// packet that opens it, where connections are tracked, and unsolicited datagrams only where a setting says so; ICMPv6 and IGMP need none
/// (POLICY, rule semantics).
struct Purpose {
    private let rule: Rule
    private let stateful: StatefulSettings

    init(_ rule: Rule, _ policy: Policy) {
        self.rule = rule
        stateful = policy.document.stateful
    }

    /// SYN without ACK, RST and FIN.
    static let openings = NumberSet(members: (0..<64).filter { $0 & 0b01_0111 == 0b00_0010 })

    /// What the implicit deny covers of the protocols over IPv4 without a kind of their own.
    private static let notExempt = NumberSet(0...255).subtracting(
        NumberSet(members: [IPProtocol.icmp, IPProtocol.igmp, IPProtocol.tcp, IPProtocol.udp].map { Int($0) }))

    /// The part of a region for which the rule is there; nil where there is none.
    func narrowed(_ region: Region) -> Region? {
        guard rule.action == .allow else { return region }
        if isUnsolicited(region.kind) || region.kind == .icmp6 || region.kind == .discovery6 { return nil }
        var narrowed = region
        if region.kind.isTCP, stateful.tcpEnabled { narrowed.narrow(.flags, to: Self.openings) }
        if region.kind == .other4 { narrowed.narrow(.protocolNumber, to: Self.notExempt) }
        return narrowed.isEmpty ? nil : narrowed
    }

    private func isUnsolicited(_ kind: PacketKind) -> Bool {
        guard rule.direction == .incoming else { return false }
        if kind.isUDP { return stateful.udpEnabled && stateful.udpAdmit == .forceAllow }
        return kind == .icmp4 && stateful.icmpEnabled && stateful.icmpAdmit == .forceAllow
    }

    /// Why it is there for nothing, where it is.
    var futility: RuleVerdict.Futility {
        guard let protocols = rule.protocols, !protocols.isInverted else { return .noOpening }
        switch protocols.value {
        case .number(1): return .datagrams("stateful.icmp.admit")
        case .number(IPProtocol.igmp), .number(IPProtocol.icmpv6): return .exempt
        case .number(17): return .datagrams("stateful.udp.admit")
        default: return .noOpening
        }
    }
}
