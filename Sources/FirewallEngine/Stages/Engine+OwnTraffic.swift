// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire

/// The agent's own traffic passes whatever the rules say, and the answers to it: a policy that stops the events on their way to
/// who reads them would hide its own mistake. It is tracked like all other, and stages V, F, T and C hold for it.
///
/// Its sockets set a bit of the packet mark. That alone proves nothing: programs with CAP_NET_RAW set any mark for whoever may run
/// them. So the socket's owner must be the agent's own user, too, whom the kernel names for every packet whose socket a process
/// still holds.
extension Engine {
    mutating func isSentByAgent(_ p: inout Inspection) -> Bool {
        p.metadata.mark & hot.ownTrafficMark != 0 && ownUser != nil && p.metadata.senderUID == ownUser
    }

    /// Whether a packet of a known connection needs no rule: the agent sent it, or has opened the connection. What another user
    /// sends in the agent's place does not belong to it, and a SYN that opens the connection anew, or from the other side, is an
    /// opening of its own. Nobody owns what the kernel sends after the agent has closed its socket.
    mutating func isOfAgent(_ p: inout Inspection, _ i: ConnectionIndex, _ side: Side) -> Bool {
        if p.isOwnTraffic { return true }
        guard table[i].isOwnTraffic else { return false }
        if side == table[i].opener, p.metadata.senderUID != .max, p.metadata.senderUID != ownUser { return false }
        return
            !(p.headers.transport == .tcp && TCPTracker.isOpening(p.headers.tcp)
            && TCPTracker.needsAdmission(table[i].tcp, p.headers.tcp, from: side))
    }

    /// A packet of the agent's makes the connection its own, whoever had the ports before. One that the other side opened to a
    /// port of the agent's stays what the rules made of it.
    mutating func takeOver(_ p: inout Inspection, _ i: ConnectionIndex, _ side: Side) {
        guard p.isOwnTraffic, !p.leavesNoTrace, side == table[i].opener || p.headers.transport != .tcp else { return }
        table[i].isOwnTraffic = true
        table[i].refusal = .none
    }
}
