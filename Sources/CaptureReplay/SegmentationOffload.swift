// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// Packets captured before a device cut them into segments, and so late that their length field was cleared already: drivers
/// that fill it in per segment, and Linux's BIG TCP, whose packets are longer than the field can say.
enum SegmentationOffload {
    /// What an Ethernet frame holds from its network header on: 1,500 bytes, and the check sequence where it was captured.
    private static let longestOfOneFrame = 1_504
    private static let longestTagStack = 8
    private static let ethernetHeader = 14

    /// Whether a packet says a length of 0 and is too long for one frame. On a link with longer frames it may be one frame
    /// all the same, whose receiver would discard it; to judge the bytes that are there is the lesser mistake. Without an
    /// EtherType the packet is an Ethernet frame.
    static func shows(in packet: RawSpan, fullLength: UInt32, etherType: UInt16?) -> Bool {
        guard var type = etherType ?? typeOfFrame(packet) else { return false }
        var start = etherType == nil ? ethernetHeader : 0
        for _ in 0..<longestTagStack where EtherType.isVLAN(type) {
            guard packet.byteCount >= start + 4 else { return false }
            type = packet.bigEndian16(at: start + 2)
            start += 4
        }
        guard Int(fullLength) - start > longestOfOneFrame, packet.byteCount >= start + 8 else { return false }
        return hasNoLength(packet, at: start, type)
    }

    private static func typeOfFrame(_ frame: RawSpan) -> UInt16? {
        frame.byteCount >= ethernetHeader ? frame.bigEndian16(at: ethernetHeader - 2) : nil
    }

    /// A jumbogram has its length in a hop-by-hop option (RFC 2675).
    private static func hasNoLength(_ packet: RawSpan, at start: Int, _ type: UInt16) -> Bool {
        switch (packet.byte(at: start) >> 4, type) {
        case (4, EtherType.ipv4), (4, EtherType.unknown): packet.bigEndian16(at: start + 2) == 0
        case (6, EtherType.ipv6), (6, EtherType.unknown):
            packet.bigEndian16(at: start + 4) == 0 && packet.byte(at: start + 6) != IPProtocol.hopByHop
        default: false
        }
    }
}
