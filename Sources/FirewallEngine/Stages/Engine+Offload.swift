// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import PacketWire

extension Engine {
    /// The verdict of a packet that nothing refuses: one that a Bypass rule with `offload` let pass speaks for the rest of
    /// its flow in this direction.
    ///
    /// An ICMP error is of the connection that it quotes, for the kernel's tracking, and not of a flow that the rule has
    /// seen; a fragment is of no connection at all. A packet to a group has to be seen on its way out, to be known when it
    /// loops back.
    mutating func passed(_ p: inout Inspection) -> Decision {
        guard p.ruling.outcome == .bypass, p.ruling.rule >= 0, policy.rules[Int(p.ruling.rule)].offload,
            !p.headers.icmp.isError, !p.headers.fragment.isFragment, !hostAddresses.isToGroup(&p.headers)
        else { return .pass }
        var decision = Decision(verdict: .pass, rule: p.ruling.rule)
        decision.offloads = p.direction
        return decision
    }
}
