// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import PacketWire

/// The agent's answers to what was refused (`Engine+Answer`) pass this host's own hooks like any packet. They are of no connection
/// that was let be, so that there is nothing to judge about them, and no event about one.
///
/// On their way out the mark and the socket's owner tell, as of all that the agent sends. An answer to a program of this host comes
/// in again by the loopback interface, where nothing names an owner any more: only what this engine has let out there comes in
/// unjudged.
extension Engine {
    /// Whether this is such an answer, going out, or coming in by the loopback interface.
    mutating func isOwnAnswer(_ p: inout Inspection, _ bytes: RawSpan) -> Bool {
        guard isShapedAsAnswer(&p) else { return false }
        if p.isOwnTraffic {
            guard !isOfOwnConnection(&p) else { return false }
            if p.isLoopback { ownGroupPackets.note(digest(&p, bytes), amount: 1, at: p.now) }
            return true
        }
        guard p.isLoopback, p.direction == .incoming, p.metadata.hook != .forward else { return false }
        return ownGroupPackets.take(digest(&p, bytes), 1, at: p.now) != nil
    }

    private mutating func isShapedAsAnswer(_ p: inout Inspection) -> Bool {
        switch p.headers.transport {
        case .tcp: p.headers.tcp.flags.contains(.rst)
        case .icmp: p.headers.icmp.type == ICMPType.destinationUnreachable
        case .icmpv6: p.headers.icmp.type == ICMPv6Type.destinationUnreachable
        default: false
        }
    }

    /// A reset by which the kernel ends a connection of the agent's own ends its entry, too.
    private mutating func isOfOwnConnection(_ p: inout Inspection) -> Bool {
        guard p.headers.transport == .tcp, let packet = ConnectionKey.make(p.headers),
            let i = connection(packet.key, at: p.now)
        else { return false }
        return table[i].isOwnTraffic
    }
}
