// SPDX-License-Identifier: GPL-3.0-or-later

/// ICMP over IPv4 (RFC 792), ICMPv6 over IPv6 (RFC 4443): the same words, the numbers of the family.
extension PacketBuilder {
    /// Any message: type, code and the four bytes after the checksum. Its body is the payload.
    package func icmp(_ type: UInt8, code: UInt8 = 0, rest: UInt32 = 0) -> PacketBuilder {
        with { $0.transport = .icmp(ICMPMessage(type: type, code: code, rest: rest)) }
    }

    package func echoRequest(id: UInt16, seq: UInt16) -> PacketBuilder {
        icmpQuery(network.isIPv6 ? 128 : 8, id: id, seq: seq)
    }

    package func echoReply(id: UInt16, seq: UInt16) -> PacketBuilder {
        icmpQuery(network.isIPv6 ? 129 : 0, id: id, seq: seq)
    }

    /// A query or reply of another type: time stamp 13 and 14, information 15 and 16, mask 17 and 18.
    package func icmpQuery(_ type: UInt8, id: UInt16, seq: UInt16) -> PacketBuilder {
        icmp(type, rest: UInt32(id) << 16 | UInt32(seq))
    }

    /// Destination unreachable; `code` 3 (IPv4) or 4 (IPv6) is a closed port.
    package func unreachable(code: UInt8, quoting packet: PacketBuilder, bytes: Int? = nil) -> PacketBuilder {
        icmpError(network.isIPv6 ? 1 : 3, code: code, quoting: packet, bytes: bytes)
    }

    /// Fragmentation needed, or Packet Too Big.
    package func packetTooBig(mtu: UInt32, quoting packet: PacketBuilder, bytes: Int? = nil) -> PacketBuilder {
        icmpError(network.isIPv6 ? 2 : 3, code: network.isIPv6 ? 0 : 4, rest: mtu, quoting: packet, bytes: bytes)
    }

    /// TTL or hop limit exceeded in transit.
    package func timeExceeded(quoting packet: PacketBuilder, bytes: Int? = nil) -> PacketBuilder {
        icmpError(network.isIPv6 ? 3 : 11, quoting: packet, bytes: bytes)
    }

    /// A redirect of IPv6 to another router (RFC 4861 section 4.5), with the Redirected Header option where something is quoted.
    package func redirect(quoting packet: PacketBuilder?) -> PacketBuilder {
        var body = [UInt8](repeating: 0, count: 32)
        body[0...1] = [0xfe, 0x80]
        if let whole = packet?.networkPacket {
            let quoted = whole + [UInt8](repeating: 0, count: (8 - whole.count % 8) % 8)
            body += [2, 1, 2, 0, 0, 0, 0, 9] + [4, UInt8(quoted.count / 8 + 1), 0, 0, 0, 0, 0, 0] + quoted
        }
        return icmp(137).payload(body)
    }

    /// Any error that quotes another packet. `bytes` is how much of it is quoted; by default an IPv4 error quotes the
    /// header and eight bytes, an ICMPv6 error as much as fits into 1,280.
    package func icmpError(
        _ type: UInt8, code: UInt8 = 0, rest: UInt32 = 0, quoting packet: PacketBuilder, bytes: Int? = nil
    ) -> PacketBuilder {
        let whole = packet.networkPacket
        let usual = network.isIPv6 ? 1_232 : 28 + packet.network.options.count
        return icmp(type, code: code, rest: rest).payload(Array(whole.prefix(bytes ?? usual)))
    }
}

struct ICMPMessage: Sendable {
    var type: UInt8
    var code: UInt8
    var rest: UInt32

    var header: [UInt8] {
        var header: [UInt8] = [type, code, 0, 0]
        header.append(be: rest)
        return header
    }
}
