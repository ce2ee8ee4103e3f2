// SPDX-License-Identifier: GPL-3.0-or-later

/// Offsets of ICMP (RFC 792) and ICMPv6 messages (RFC 4443 section 2.1).
enum ICMPField {
    static let type = 0
    static let code = 1
    /// Queries only.
    static let identifier = 4
    static let sequence = 6
    /// Every message that has a number has at least eight bytes. In errors the quoted packet follows.
    static let headerLength = 8
}

/// ICMP types that the code names.
public enum ICMPType {
    public static let echoReply: UInt8 = 0
    public static let destinationUnreachable: UInt8 = 3
    public static let sourceQuench: UInt8 = 4
    public static let redirect: UInt8 = 5
    public static let echoRequest: UInt8 = 8
    public static let timeExceeded: UInt8 = 11
    public static let parameterProblem: UInt8 = 12
    public static let timestampRequest: UInt8 = 13
    public static let timestampReply: UInt8 = 14
    public static let informationRequest: UInt8 = 15
    public static let informationReply: UInt8 = 16
    public static let maskRequest: UInt8 = 17
    public static let maskReply: UInt8 = 18
}

/// ICMPv6 types that the code names.
public enum ICMPv6Type {
    public static let destinationUnreachable: UInt8 = 1
    public static let packetTooBig: UInt8 = 2
    public static let timeExceeded: UInt8 = 3
    public static let parameterProblem: UInt8 = 4
    public static let echoRequest: UInt8 = 128
    public static let echoReply: UInt8 = 129
    /// Of neighbour discovery (RFC 4861 section 4.5).
    public static let redirect: UInt8 = 137
}

extension PacketHeaders {
    /// Decodes an ICMP message at `start` and the packet that it quotes.
    ///
    /// Deliberately not handled: extended echo (RFC 8335) and extension objects after the quote (RFC 4884).
    mutating func decodeICMP(_ bytes: RawSpan, at start: Int, _ packet: PacketExtent) throws(DecodeError) {
        guard try reachesTransport(start + ICMPField.headerLength, packet) else { return }
        transport = .icmp
        icmp = ICMPFields(bytes, at: start, .icmp)
        if icmp.isError { decodeQuotedIPv4(bytes, at: start + ICMPField.headerLength, packet) }
    }

    /// Decodes an ICMPv6 message at `start` and the packet that it quotes.
    ///
    /// Deliberately not handled: the contents of multicast listener messages and of neighbour discovery but for what a redirect
    /// quotes, and errors of types that RFC 4443 leaves unassigned.
    mutating func decodeICMPv6(_ bytes: RawSpan, at start: Int, _ packet: PacketExtent) throws(DecodeError) {
        guard try reachesTransport(start + ICMPField.headerLength, packet) else { return }
        transport = .icmpv6
        icmp = ICMPFields(bytes, at: start, .icmpv6)
        guard icmp.isError else { return }
        if icmp.type == ICMPv6Type.redirect {
            decodeRedirected(bytes, at: start, packet)
        } else {
            decodeQuotedIPv6(bytes, at: start + ICMPField.headerLength, packet)
        }
    }
}

extension ICMPFields {
    /// The eight bytes at `start`.
    init(_ bytes: RawSpan, at start: Int, _ version: TransportProtocol) {
        type = bytes.byte(at: start + ICMPField.type)
        code = bytes.byte(at: start + ICMPField.code)
        isError = version == .icmp ? Self.isError(type) : Self.isErrorV6(type)
        guard Self.isQuery(type, version) else { return }
        identifier = bytes.bigEndian16(at: start + ICMPField.identifier)
        sequence = bytes.bigEndian16(at: start + ICMPField.sequence)
    }

    /// Requests and replies that carry an identifier and a sequence number.
    static func isQuery(_ type: UInt8, _ version: TransportProtocol) -> Bool {
        if version == .icmpv6 { return type == ICMPv6Type.echoRequest || type == ICMPv6Type.echoReply }
        switch type {
        case ICMPType.echoReply, ICMPType.echoRequest, ICMPType.timestampRequest...ICMPType.maskReply: return true
        default: return false
        }
    }

    private static func isError(_ type: UInt8) -> Bool {
        switch type {
        case ICMPType.destinationUnreachable...ICMPType.redirect, ICMPType.timeExceeded, ICMPType.parameterProblem: true
        default: false
        }
    }

    private static func isErrorV6(_ type: UInt8) -> Bool {
        (ICMPv6Type.destinationUnreachable...ICMPv6Type.parameterProblem).contains(type) || type == ICMPv6Type.redirect
    }
}
