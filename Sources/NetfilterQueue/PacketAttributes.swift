// SPDX-License-Identifier: GPL-3.0-or-later

/// What the kernel says about a queued packet beside its bytes (the NFQA attributes), in host byte order.
package struct PacketAttributes: Sendable, BitwiseCopyable {
    /// Serial number within the queue.
    package var id: UInt32
    /// `NF_INET_PRE_ROUTING` (0) … `NF_INET_POST_ROUTING` (4).
    package var hook: UInt8
    /// Address family of the hook: `AF_INET` 2, `AF_INET6` 10, `AF_BRIDGE` 7.
    package var family: UInt8
    package var etherType: UInt16
    /// Interface indices, 0 where there is none; the physical ones are ports of a bridge.
    package var inInterface: UInt32
    package var outInterface: UInt32
    package var physicalInInterface: UInt32
    package var physicalOutInterface: UInt32
    package var mark: UInt32
    /// Owner of the sending socket, `UInt32.max` where the kernel names none; in the numbers of the host's initial user
    /// namespace, wherever sender and agent live.
    package var senderUID: UInt32
    package var senderGID: UInt32
    /// Source hardware address in the low 48 bits, first byte highest; `UInt64.max` without one (this host's own
    /// packets, loopback, links that do not have six bytes of address).
    package var sourceMAC: UInt64
    /// Destination hardware address likewise; frames of a bridge only.
    package var destinationMAC: UInt64
    /// EtherType and tag control information of a VLAN tag that the device took off; both 0 without one.
    package var vlanProtocol: UInt16
    package var vlanControl: UInt16
    /// Kernel time of arrival in nanoseconds since 1970, 0 where it took none: it does so only while some socket on the
    /// host asks for time stamps.
    package var timestamp: Int64
    /// Bytes of the packet at the hook, and how many of them were copied.
    package var fullLength: UInt32
    package var copiedLength: UInt32
    /// The transport checksum is left for a device to fill in: the packet's own bytes do not verify, and are right.
    package var checksumNotReady: Bool
    /// No device verified the checksum.
    package var checksumNotVerified: Bool
    /// Several segments in one packet, to be cut by a device; one verdict is for all of them.
    package var isSegmentationOffload: Bool
}

extension PacketAttributes {
    /// Where the packet entered this host: for a frame of a bridge its port, since both ways lead through the bridge.
    @inlinable package var entrance: UInt32 {
        isBridged && physicalInInterface != 0 ? physicalInInterface : inInterface
    }

    /// Where it leaves, likewise.
    @inlinable package var exit: UInt32 {
        isBridged && physicalOutInterface != 0 ? physicalOutInterface : outInterface
    }

    /// AF_BRIDGE.
    @inlinable package var isBridged: Bool { family == 7 }
}
