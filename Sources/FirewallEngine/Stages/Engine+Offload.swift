// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire

extension Engine {
    /// The verdict of a packet that nothing refuses: one that a Bypass rule with `offload` let pass speaks for the rest of
    /// its flow in this direction.
    ///
    /// The program of the fast path takes what it can; for the rest the worker marks the packet's connection. An ICMP error is of the
    /// connection that it quotes, for the kernel's tracking, and not of a flow that the rule has seen; a fragment is of no connection
    /// at all. A packet to a group has to be seen on its way out, to be known when it loops back.
    mutating func passed(_ p: inout Inspection) -> Decision {
        guard p.ruling.outcome == .bypass, p.ruling.rule >= 0, policy.rules[Int(p.ruling.rule)].offload,
            !p.headers.icmp.isError, !p.headers.fragment.isFragment, !hostAddresses.isToGroup(&p.headers)
        else { return .pass }
        var decision = Decision(verdict: .pass, rule: p.ruling.rule)
        if !table.fastPath.isOn || !isLeftToProgram(&p) { decision.offloads = p.direction }
        return decision
    }

    /// Whether the program passes what follows of this flow, or will once more of it was seen.
    private mutating func isLeftToProgram(_ p: inout Inspection) -> Bool {
        guard !p.leavesNoTrace, isForProgram(&p), let packet = ConnectionKey.make(p.headers) else { return false }
        if p.headers.transport == .tcp, !p.headers.tcp.isPlain {
            let flags = p.headers.tcp.flags
            if !flags.isDisjoint(with: .fin | .rst) {
                table.noteEndOfBypass(packet.key, isOver: flags.contains(.rst), at: p.now)
            }
            return true
        }
        var decision = CachedRuleDecision()
        decision.generation = generation
        decision.rule = p.ruling.rule
        decision.outcome = p.ruling.outcome.rawValue
        decision.direction = p.direction
        decision.interface = p.interface
        return table.openBypass(packet, interface: interfaceForProgram(&p), decision: decision, at: p.now) != .noRoom
    }

    /// Whether the program sees all that the policy wants seen of a packet of this kind, whatever its flow.
    private mutating func isForProgram(_ p: inout Inspection) -> Bool {
        guard !p.isLoopback, !p.isOwnTraffic, !hot.examinesOrigin, !hot.hidesFromProgram[p.direction],
            p.ruling.logOnlyRule < 0
        else { return false }
        switch p.headers.transport {
        case .tcp: return !hot.verifiesChecksum && hot.posture.checksum == .allow
        case .udp: return true
        default: return false
        }
    }
}
