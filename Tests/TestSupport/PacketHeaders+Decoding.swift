// SPDX-License-Identifier: GPL-3.0-or-later

package import PacketWire

extension PacketHeaders {
    /// The headers of a packet's bytes. `fullLength` says how long it was before it was cut; as long as it is unless set.
    package init(
        decoding bytes: [UInt8], etherType: UInt16 = 0, fullLength: Int? = nil, isSegmentationOffload: Bool = false
    ) throws(DecodeError) {
        self.init()
        let traits = PacketTraits(
            fullLength: UInt32(fullLength ?? bytes.count), isSegmentationOffload: isSegmentationOffload)
        try unsafe decodePacket(bytes.span.bytes, etherType: etherType, traits)
    }

    /// The headers of an Ethernet frame's bytes.
    package init(
        decodingFrame bytes: [UInt8], fullLength: Int? = nil, isSegmentationOffload: Bool = false
    ) throws(DecodeError) {
        self.init()
        let traits = PacketTraits(
            fullLength: UInt32(fullLength ?? bytes.count), isSegmentationOffload: isSegmentationOffload)
        try unsafe decodeFrame(bytes.span.bytes, traits)
    }
}

extension PacketBuilder {
    /// The packet as the decoder sees it, with or without its frame. For tests of what comes after decoding: a packet that
    /// cannot be decoded ends the test run.
    package var headers: PacketHeaders {
        do throws(DecodeError) {
            return try link == nil
                ? PacketHeaders(decoding: bytes, etherType: etherType) : PacketHeaders(decodingFrame: bytes)
        } catch {
            preconditionFailure("the packet cannot be decoded: \(error)")
        }
    }
}
