// SPDX-License-Identifier: GPL-3.0-or-later

package import PacketWire

extension PacketBuilder {
    /// Puts an Ethernet header in front; its type is the network header's unless set.
    package func ethernet(
        from source: MACAddress = "02:00:00:00:00:01", to destination: MACAddress = "02:00:00:00:00:02",
        etherType: UInt16? = nil
    ) -> PacketBuilder {
        with {
            $0.link = LinkHeader(source: source, destination: destination, etherType: etherType, tags: link?.tags ?? [])
        }
    }

    /// Adds a VLAN tag inside those added before; `type` 0x8100 (802.1Q) or 0x88a8 (802.1ad).
    package func vlan(_ identifier: UInt16, priority: UInt8 = 0, type: UInt16 = 0x8100) -> PacketBuilder {
        let tag = VLANTag(type: type, control: UInt16(priority) << 13 | identifier & 0x0fff)
        return (link == nil ? ethernet() : self).with { $0.link?.tags.append(tag) }
    }

    /// Zeros after the packet up to the shortest Ethernet frame, 60 bytes without its checksum.
    package func padded() -> PacketBuilder {
        trailer([UInt8](repeating: 0, count: Swift.max(0, 60 - linkBytes.count - networkPacket.count)))
    }

    var linkBytes: [UInt8] {
        guard let link else { return [] }
        var bytes: [UInt8] = []
        bytes.append(link.destination)
        bytes.append(link.source)
        for tag in link.tags {
            bytes.append(be: tag.type)
            bytes.append(be: tag.control)
        }
        bytes.append(be: link.etherType ?? etherType)
        return bytes
    }
}

struct LinkHeader: Sendable {
    var source: MACAddress
    var destination: MACAddress
    var etherType: UInt16?
    var tags: [VLANTag]
}

struct VLANTag: Sendable {
    var type: UInt16
    var control: UInt16
}
