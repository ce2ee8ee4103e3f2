// SPDX-License-Identifier: GPL-3.0-or-later

public import ConnectionTracking
public import PacketWire

/// What the kernel, or a capture, says about a packet beside its bytes.
public struct PacketMetadata: Sendable, BitwiseCopyable {
    public var direction = Direction.incoming
    public var hook = Hook.prerouting
    /// Number of the queue, for the event.
    public var queue: UInt16 = 0
    /// Kernel interface indices; 0 where there is none.
    public var inInterface: UInt32 = 0
    public var outInterface: UInt32 = 0
    public var physicalInInterface: UInt32 = 0
    public var physicalOutInterface: UInt32 = 0
    public var mark: UInt32 = 0
    /// Bytes of the packet at the hook; more than were copied where the copy range or a snap length cut it.
    public var fullLength: UInt32 = 0
    /// EtherType; 0 where unknown.
    public var etherType: UInt16 = 0
    public var sourceMAC = MACAddress.none
    public var destinationMAC = MACAddress.none
    public var vlan: UInt16 = PacketHeaders.noVLAN
    /// A segmentation-offload packet: many segments in one, its length field may legally be 0 or too small.
    public var isSegmentationOffload = false
    /// The transport checksum is not filled in yet (offload on the way out, or a local sender).
    public var checksumNotReady = false
    /// Nobody has verified the transport checksum: the packet came from outside, by a device that does not.
    public var checksumNotVerified = false
    /// `UInt32.max` where the kernel names no sender.
    public var senderUID = UInt32.max
    public var senderGID = UInt32.max
    /// When the kernel took it in, in nanoseconds since 1970; 0 where it kept no time, as for this host's own packets.
    public var arrival: Int64 = 0
    /// Number of the frame in its capture, 1-based; 0 on a live queue.
    public var frameNumber: UInt64 = 0

    public init() {}
}

/// Netfilter's hooks as NFQUEUE numbers them (NF_INET_PRE_ROUTING … NF_INET_POST_ROUTING).
public enum Hook: UInt8, Sendable, BitwiseCopyable {
    case prerouting = 0, input, forward, output, postrouting
    /// A hook that the kernel names and nobody here knows.
    case unknown = 254
    /// Not from a hook: a capture, or the frame guard.
    case none = 255

    /// One of Netfilter's five.
    var isKnown: Bool { rawValue <= Hook.postrouting.rawValue }
}
