// SPDX-License-Identifier: GPL-3.0-or-later

package import ConnectionTracking
package import PacketWire

/// What the kernel, or a capture, says about a packet beside its bytes.
package struct PacketMetadata: Sendable, BitwiseCopyable {
    package var direction = Direction.incoming
    package var hook = Hook.prerouting
    /// Number of the queue, for the event.
    package var queue: UInt16 = 0
    /// Kernel interface indices; 0 where there is none.
    package var inInterface: UInt32 = 0
    package var outInterface: UInt32 = 0
    package var physicalInInterface: UInt32 = 0
    package var physicalOutInterface: UInt32 = 0
    package var mark: UInt32 = 0
    /// Bytes of the packet at the hook; more than were copied where the copy range or a snap length cut it.
    package var fullLength: UInt32 = 0
    /// EtherType; 0 where unknown.
    package var etherType: UInt16 = 0
    package var sourceMAC = MACAddress.none
    package var destinationMAC = MACAddress.none
    package var vlan: UInt16 = PacketHeaders.noVLAN
    /// A segmentation-offload packet: many segments in one, its length field may legally be 0 or too small.
    package var isSegmentationOffload = false
    /// The transport checksum is not filled in yet (offload on the way out, or a local sender).
    package var checksumNotReady = false
    /// `UInt32.max` where the kernel names no sender.
    package var senderUID = UInt32.max
    package var senderGID = UInt32.max
    /// Number of the frame in its capture, 1-based; 0 on a live queue.
    package var frameNumber: UInt64 = 0

    package init() {}
}

/// Netfilter's hooks as NFQUEUE numbers them (NF_INET_PRE_ROUTING … NF_INET_POST_ROUTING).
package enum Hook: UInt8, Sendable, BitwiseCopyable {
    case prerouting = 0, input, forward, output, postrouting
    /// A hook that the kernel names and nobody here knows.
    case unknown = 254
    /// Not from a hook: a capture, or the frame guard.
    case none = 255

    /// One of Netfilter's five.
    var isKnown: Bool { rawValue <= Hook.postrouting.rawValue }
}
