// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
package import FirewallEngine
import PacketWire

extension PacketWords {
    /// The packet from its network header on: IPv4 (RFC 791 section 3.1) or IPv6 (RFC 8200 section 3), then its transport header.
    /// Sums are left out, as those of what a host hands to its device.
    package var bytes: [UInt8] {
        let body = transportHeader + (0..<payload).map { UInt8($0 % 251) }
        if case .frame = transport { return [UInt8](repeating: 0, count: 46) }
        guard isIPv6 else {
            let length = UInt16(truncatingIfNeeded: 20 + body.count).inOrder
            let header: [UInt8] = [0x45, 0] + length + [0, 1, 0x40, 0, 64, protocolNumber, 0, 0]
            return header + source.v4.inOrder + destination.v4.inOrder + body
        }
        let header: [UInt8] = [0x60, 0, 0, 0] + UInt16(truncatingIfNeeded: body.count).inOrder + [protocolNumber, 64]
        return header + [source.high, source.low, destination.high, destination.low].flatMap(\.inOrder) + body
    }

    /// What the kernel would say about it, on an interface of this index.
    package func metadata(interface index: UInt32, other: UInt32 = 0) -> PacketMetadata {
        var metadata = PacketMetadata()
        metadata.direction = direction
        metadata.hook = direction == .incoming ? .prerouting : .output
        if otherInterface != nil { metadata.hook = .forward }
        metadata.inInterface = direction == .incoming ? index : other
        metadata.outInterface = direction == .incoming ? other : index
        metadata.checksumNotReady = true
        metadata.fullLength = UInt32(bytes.count)
        metadata.etherType = etherType
        metadata.sourceMAC = sourceMAC ?? .none
        metadata.destinationMAC = destinationMAC ?? .none
        if let sender { (metadata.senderUID, metadata.senderGID) = (sender.user, sender.group) }
        return metadata
    }

    /// Where an error about too large a packet says what fits (RFC 1191 section 4, RFC 8201 section 3).
    private static let smallestPathMTU: UInt32 = 1_280

    /// The datagram that the receiver has sent, and that this is an error about.
    var quoted: PacketWords? {
        guard quotesKnownExchange, case .icmp = transport else { return nil }
        var quoted = PacketWords(direction.opposite, .udp(source: 40_000, destination: 53))
        (quoted.source, quoted.destination, quoted.isIPv6) = (destination, source, isIPv6)
        return quoted
    }

    private var etherType: UInt16 {
        if case .frame(let number) = transport { return number }
        return isIPv6 ? EtherType.ipv6 : EtherType.ipv4
    }

    private var protocolNumber: UInt8 {
        switch transport {
        case .tcp: IPProtocol.tcp
        case .udp: IPProtocol.udp
        case .icmp: isIPv6 ? IPProtocol.icmpv6 : IPProtocol.icmp
        case .other(let number): number
        case .frame: 0
        }
    }

    private var transportHeader: [UInt8] {
        switch transport {
        case .tcp(let source, let destination, let flags):
            source.inOrder + destination.inOrder + sequence.inOrder + acknowledgement.inOrder
                + [0x50, flags.rawValue, 0xfa, 0xf0, 0, 0, 0, 0]
        case .udp(let source, let destination):
            source.inOrder + destination.inOrder + UInt16(truncatingIfNeeded: 8 + payload).inOrder + [0, 0]
        case .icmp(let type, let code):
            [type, code, 0, 0]
                + (quoted.map { Self.smallestPathMTU.inOrder + $0.bytes } ?? identifier.inOrder + [0, 1])
        // What follows an IP header is never nothing.
        case .other: [0, 0, 0, 0, 0, 0, 0, 0]
        case .frame: []
        }
    }
}

extension FixedWidthInteger {
    /// In network byte order.
    fileprivate var inOrder: [UInt8] {
        stride(from: bitWidth - 8, through: 0, by: -8).map { UInt8(truncatingIfNeeded: self >> Self($0)) }
    }
}
