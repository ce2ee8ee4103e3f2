// SPDX-License-Identifier: GPL-3.0-or-later

/// What the bits of `queue.mark-mask` mean in packet and connection marks: the lowest is the agent's own traffic, the next
/// two are offloaded flows by direction. The agent sets them; the rules that `portreeve iptables` makes test those of offloaded
/// flows, and the engine that of its own traffic: whoever may set marks could otherwise skip the queue. The fourth says of a packet
/// that its destination was translated: the rules set it, the agent looks at it. Those that are left stand for units, of which this host's
/// own packets may come: the rules clear and set them, whatever a program has set.
///
/// No bits say by which policy a flow was offloaded: the rules would have to change at every reload, which the agent has no
/// right to do. At a reload it clears the two bits of all connections instead, which costs a flow that is still to be
/// offloaded one more packet.
public struct MarkLayout: Hashable, Sendable, BitwiseCopyable {
    /// All bits that may be used.
    public let mask: UInt32
    /// Set on every packet of the agent's own sockets (SO_MARK); 0 where the mask has no bit. It means nothing on a packet of
    /// another user's.
    public let ownTraffic: UInt32
    public let incomingOffload: UInt32
    public let outgoingOffload: UInt32
    /// Of a packet that this host sends: its destination is not the one by which the kernel chose the interface that the
    /// queue names.
    public let translated: UInt32
    /// What is left: a bit for each unit that rules may name (`SenderCriteria.units`), the lowest first.
    public var units: [UInt32] {
        var rest = mask & ~(ownTraffic | incomingOffload | outgoingOffload | translated)
        var bits: [UInt32] = []
        while rest != 0 {
            bits.append(rest.lowestBit)
            rest &= rest &- 1
        }
        return bits
    }

    /// Both bits of offloaded flows.
    public var offload: UInt32 { incomingOffload | outgoingOffload }

    public init(mask: UInt32) {
        self.mask = mask
        ownTraffic = mask.lowestBit
        incomingOffload = (mask & ~ownTraffic).lowestBit
        outgoingOffload = (mask & ~(ownTraffic | incomingOffload)).lowestBit
        translated = (mask & ~(ownTraffic | incomingOffload | outgoingOffload)).lowestBit
    }
}

extension UInt32 {
    fileprivate var lowestBit: UInt32 { self & (~self &+ 1) }
}
