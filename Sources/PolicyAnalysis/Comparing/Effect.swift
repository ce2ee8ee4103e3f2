// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire

/// What a decision of the rules comes to, with the settings of its policy: two rules may decide differently and do the same. The
/// greater passes more.
package enum Effect: Int, Comparable, Sendable {
    /// Every such packet is dropped.
    case drop
    /// None opens a connection or an exchange; those of known ones pass.
    case refuse
    /// So many openings of one source in a time, as a rule's rate says.
    case ration
    case admit
    /// Nothing else is asked, and no state is kept.
    case bypass

    package static func < (a: Effect, b: Effect) -> Bool { a.rawValue < b.rawValue }

    package var text: String {
        switch self {
        case .drop: "drop"
        case .refuse: "refuse"
        case .ration: "admit at a rate"
        case .admit: "admit"
        case .bypass: "bypass"
        }
    }
}

/// The settings that turn outcomes of the rules into effects.
struct EffectSettings: Hashable {
    private let tcp: Bool
    private let udp: Bool
    private let icmp: Bool
    private let udpAdmits: Bool
    private let icmpAdmits: Bool

    init(_ document: PolicyDocument) {
        tcp = document.stateful.tcpEnabled
        udp = document.stateful.udpEnabled
        icmp = document.stateful.icmpEnabled
        udpAdmits = document.stateful.udpAdmit == .allow
        icmpAdmits = document.stateful.icmpAdmit == .allow
    }

    /// Whether packets of a kind that open nothing fare by their connection.
    func separatesOpenings(_ kind: PacketKind) -> Bool { kind.isTCP && tcp }

    /// `opens`: of TCP, the packet is a SYN that opens a connection. `isRated`: the rule that decides has a rate.
    func effect(
        of outcome: RuleOutcome, _ kind: PacketKind, _ direction: Direction, opens: Bool, isRated: Bool
    ) -> Effect {
        let effect = effect(of: outcome, kind, direction, opens: opens)
        guard isRated, effect == .admit else { return effect }
        let counts = kind.isTCP ? tcp && opens : kind.isUDP ? udp : kind == .icmp4 && icmp
        return counts ? .ration : effect
    }

    private func effect(of outcome: RuleOutcome, _ kind: PacketKind, _ direction: Direction, opens: Bool) -> Effect {
        switch outcome {
        case .deny: return .drop
        case .bypass: return .bypass
        default: break
        }
        let isRefused = outcome == .implicitDeny
        if kind.isTCP { return tcp ? (opens && isRefused ? .refuse : .admit) : isRefused ? .drop : .admit }
        let (isStateful, admits) = kind.isUDP ? (udp, udpAdmits) : kind == .icmp4 ? (icmp, icmpAdmits) : (false, true)
        guard isStateful else { return isRefused ? .drop : .admit }
        let needsForce = direction == .incoming && !admits
        return isRefused || (needsForce && outcome != .forceAllow) ? .refuse : .admit
    }
}
