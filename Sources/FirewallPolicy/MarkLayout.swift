// SPDX-License-Identifier: GPL-3.0-or-later

/// What the bits of `queue.mark-mask` mean in packet and connection marks: the lowest is the agent's own traffic, the next
/// two are offloaded flows by direction, the rest is the policy epoch of an offload. The agent sets them, the rules that
/// `portreeve iptables` makes test them.
public struct MarkLayout: Hashable, Sendable, BitwiseCopyable {
    /// All bits that may be used.
    public let mask: UInt32
    /// Set on every packet of the agent's own sockets (SO_MARK); 0 where the mask has no bit.
    public let ownTraffic: UInt32
    public let incomingOffload: UInt32
    public let outgoingOffload: UInt32
    public let epochMask: UInt32

    public init(mask: UInt32) {
        self.mask = mask
        ownTraffic = mask.lowestBit
        incomingOffload = (mask & ~ownTraffic).lowestBit
        outgoingOffload = (mask & ~(ownTraffic | incomingOffload)).lowestBit
        epochMask = mask & ~(ownTraffic | incomingOffload | outgoingOffload)
    }
}

extension UInt32 {
    fileprivate var lowestBit: UInt32 { self & (~self &+ 1) }
}
