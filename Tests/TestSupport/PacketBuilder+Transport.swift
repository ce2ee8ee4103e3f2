// SPDX-License-Identifier: GPL-3.0-or-later

package import PacketWire

extension PacketBuilder {
    /// A TCP segment (RFC 9293 section 3.1).
    package func tcp(
        _ source: UInt16, _ destination: UInt16, _ flags: TCPFlags, seq: UInt32 = 0, ack: UInt32 = 0,
        window: UInt16 = 65_535, urgent: UInt16 = 0, options: [TCPOption] = []
    ) -> PacketBuilder {
        let segment = TCPSegment(
            source: source, destination: destination, flags: flags, sequence: seq, acknowledgement: ack,
            window: window, urgent: urgent, options: options)
        return with { $0.transport = .tcp(segment) }
    }

    /// A UDP datagram (RFC 768).
    package func udp(_ source: UInt16, _ destination: UInt16) -> PacketBuilder {
        with { $0.transport = .udp(source, destination) }
    }

    /// Any other protocol: the payload follows the IP header.
    package func upperLayer(_ number: UInt8) -> PacketBuilder { with { $0.transport = .opaque(number) } }

    // MARK: Overrides

    /// The data offset field of TCP in words, wrong.
    package func dataOffset(words: UInt8) -> PacketBuilder { with { $0.transportOverrides.dataOffset = words } }

    /// The length field of UDP, wrong.
    package func udpLength(_ bytes: UInt16) -> PacketBuilder { with { $0.transportOverrides.udpLength = bytes } }

    /// The TCP, UDP or ICMP checksum, wrong; 0 for a UDP datagram without one.
    package func transportChecksum(_ value: UInt16) -> PacketBuilder {
        with { $0.transportOverrides.checksum = value }
    }

    // MARK: Bytes

    /// The protocol number that belongs to the transport header.
    var upperProtocol: UInt8 {
        switch transport {
        case .none: 253  // For experimentation and testing (RFC 3692).
        case .tcp: IPProtocol.tcp
        case .udp: IPProtocol.udp
        case .icmp: network.isIPv6 ? IPProtocol.icmpv6 : IPProtocol.icmp
        case .opaque(let number): number
        }
    }

    /// Transport header and data of the whole datagram.
    var upperLayer: [UInt8] {
        let header: [UInt8]
        let checksumOffset: Int
        switch transport {
        case .none, .opaque: return data
        case .tcp(let segment):
            (header, checksumOffset) = (segment.header(dataOffset: transportOverrides.dataOffset), 16)
        case .udp(let source, let destination): (header, checksumOffset) = (udpHeader(source, destination), 6)
        case .icmp(let message): (header, checksumOffset) = (message.header, 2)
        }
        var bytes = header + data
        bytes.set(be: transportOverrides.checksum ?? checksum(of: bytes), at: checksumOffset)
        return bytes
    }

    private func udpHeader(_ source: UInt16, _ destination: UInt16) -> [UInt8] {
        var header: [UInt8] = []
        header.append(be: source)
        header.append(be: destination)
        header.append(be: transportOverrides.udpLength ?? UInt16(truncatingIfNeeded: 8 + data.count))
        header.append(be: UInt16(0))
        return header
    }

    /// Over the pseudo header (RFC 9293 section 3.1, RFC 8200 section 8.1) except for ICMP over IPv4. A UDP sum of 0 is sent
    /// as 0xffff.
    private func checksum(of bytes: [UInt8]) -> UInt16 {
        if case .icmp = transport, !network.isIPv6 { return bytes.internetChecksum }
        var covered: [UInt8] = []
        covered.append(network.source, isIPv6: network.isIPv6)
        covered.append(network.destination, isIPv6: network.isIPv6)
        covered.append(be: UInt32(bytes.count))
        covered.append(be: UInt32(upperProtocol))
        let sum = (covered + bytes).internetChecksum
        if case .udp = transport, sum == 0 { return 0xffff }
        return sum
    }
}

/// What stands at the transport layer.
enum TransportHeader: Sendable {
    case none
    case tcp(TCPSegment)
    case udp(UInt16, UInt16)
    case icmp(ICMPMessage)
    case opaque(UInt8)
}

struct TransportOverrides: Sendable {
    var dataOffset: UInt8?
    var udpLength: UInt16?
    var checksum: UInt16?
}

struct TCPSegment: Sendable {
    var source: UInt16
    var destination: UInt16
    var flags: TCPFlags
    var sequence: UInt32
    var acknowledgement: UInt32
    var window: UInt16
    var urgent: UInt16
    var options: [TCPOption]

    func header(dataOffset: UInt8?) -> [UInt8] {
        var list = options.flatMap(\.bytes)
        list.append(contentsOf: [UInt8](repeating: 0, count: -list.count & 3))
        var header: [UInt8] = []
        header.append(be: source)
        header.append(be: destination)
        header.append(be: sequence)
        header.append(be: acknowledgement)
        header.append((dataOffset ?? UInt8(5 + list.count / 4)) << 4)
        header.append(flags.rawValue)
        header.append(be: window)
        header.append(be: UInt16(0))
        header.append(be: urgent)
        return header + list
    }
}

/// A TCP option; the list is padded with zeros to whole words.
package enum TCPOption: Sendable {
    case endOfList
    case noOperation
    case mss(UInt16)
    case windowScale(UInt8)
    case sackPermitted
    /// Blocks of left and right edge.
    case sack([(UInt32, UInt32)])
    case timestamps(UInt32, echo: UInt32)
    /// Kind 34; an empty cookie asks for one.
    case fastOpen(cookie: [UInt8])
    /// Kind 254 with its magic number (RFC 7413 section 4.1.1).
    case experimentalFastOpen(cookie: [UInt8])
    /// Anything else, or anything wrong: these bytes.
    case bytes([UInt8])

    var bytes: [UInt8] {
        switch self {
        case .endOfList: return [0]
        case .noOperation: return [1]
        case .mss(let size): return [2, 4, UInt8(size >> 8), UInt8(truncatingIfNeeded: size)]
        case .windowScale(let shift): return [3, 3, shift]
        case .sackPermitted: return [4, 2]
        case .sack(let blocks): return sackBytes(blocks)
        case .timestamps(let value, let echo):
            var bytes: [UInt8] = [8, 10]
            bytes.append(be: value)
            bytes.append(be: echo)
            return bytes
        case .fastOpen(let cookie): return [34, UInt8(2 + cookie.count)] + cookie
        case .experimentalFastOpen(let cookie): return [254, UInt8(4 + cookie.count), 0xf9, 0x89] + cookie
        case .bytes(let bytes): return bytes
        }
    }

    private func sackBytes(_ blocks: [(UInt32, UInt32)]) -> [UInt8] {
        var bytes: [UInt8] = [5, UInt8(2 + 8 * blocks.count)]
        for (left, right) in blocks {
            bytes.append(be: left)
            bytes.append(be: right)
        }
        return bytes
    }
}
