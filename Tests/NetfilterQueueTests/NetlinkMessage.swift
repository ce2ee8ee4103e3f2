// SPDX-License-Identifier: GPL-3.0-or-later

import CQueueShim

@testable import NetfilterQueue

/// A netlink message of the queue subsystem, byte by byte: headers in host order, values in network order.
struct NetlinkMessage {
    static let packetType: UInt16 = 3 << 8
    static let errorType: UInt16 = 2

    /// Attribute types of linux/netfilter/nfnetlink_queue.h.
    enum Attribute: UInt16 {
        case packetHeader = 1
        case mark = 3
        case timestamp, inInterface, outInterface, physicalInInterface, physicalOutInterface, hardwareAddress, payload
        case fullLength = 13
        case skbInfo = 14
        case uid = 16
        case gid = 17
        case vlan = 19
        case linkHeader = 20
    }

    private var type: UInt16
    private var body: [UInt8]
    /// What the header claims; the truth unless a test says otherwise.
    var claimedLength: UInt32?

    /// A packet message with its netfilter header.
    init(family: UInt8 = 2) {
        type = Self.packetType
        body = [family, 0, 0, 7]
    }

    init(type: UInt16, body: [UInt8]) {
        self.type = type
        self.body = body
    }

    mutating func add(_ attribute: Attribute, _ value: [UInt8], claiming length: UInt16? = nil, flags: UInt16 = 0) {
        body += Self.attribute(attribute.rawValue | flags, value, claiming: length)
    }

    mutating func add(_ attribute: Attribute, _ value: UInt32) { add(attribute, Self.bigEndian(value)) }

    /// Id, EtherType and hook.
    mutating func addPacketHeader(id: UInt32, etherType: UInt16 = 0x0800, hook: UInt8 = 0) {
        add(.packetHeader, Self.bigEndian(id) + [UInt8(etherType >> 8), UInt8(etherType & 0xff), hook])
    }

    var bytes: [UInt8] {
        let length = claimedLength ?? UInt32(16 + body.count)
        return Self.hostOrder(length) + Self.hostOrder(type) + Self.hostOrder(UInt16(0))
            + Self.hostOrder(UInt32(0)) + Self.hostOrder(UInt32(0)) + body
    }

    static func attribute(_ type: UInt16, _ value: [UInt8], claiming length: UInt16? = nil) -> [UInt8] {
        let padding = [UInt8](repeating: 0, count: (4 - value.count % 4) % 4)
        return hostOrder(length ?? UInt16(4 + value.count)) + hostOrder(type) + value + padding
    }

    static func bigEndian(_ value: some FixedWidthInteger) -> [UInt8] {
        (0..<value.bitWidth / 8).reversed().map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
    }

    static func hostOrder(_ value: some FixedWidthInteger) -> [UInt8] { bigEndian(value.bigEndian).map { $0 } }
}

/// What the shim made of a message.
struct ParsedMessage {
    enum Kind { case packet, reply, other, malformed }

    let kind: Kind
    let error: Int32
    /// As the binding hands it on; of meaning only for a packet.
    let attributes: PacketAttributes
    /// The bytes that the shim points to.
    let payload: [UInt8]

    /// Parses an exact copy on the heap, so that the address sanitizer sees any read beyond it.
    init(_ bytes: [UInt8]) {
        let copy = UnsafeMutablePointer<UInt8>.allocate(capacity: bytes.count)
        unsafe copy.initialize(from: bytes, count: bytes.count)
        defer { unsafe copy.deallocate() }
        var packet = unsafe prq_packet()
        var error: Int32 = 0
        switch unsafe prq_parse(copy, bytes.count, &packet, &error) {
        case PRQ_MESSAGE_PACKET: kind = .packet
        case PRQ_MESSAGE_REPLY: kind = .reply
        case PRQ_MESSAGE_OTHER: kind = .other
        default: kind = .malformed
        }
        self.error = error
        attributes = unsafe PacketAttributes(packet)
        payload = unsafe Array(UnsafeBufferPointer(start: packet.payload, count: Int(packet.payload_length)))
    }
}
