// SPDX-License-Identifier: GPL-3.0-or-later

package import PacketWire

/// Community ID 1.0 (Corelight's specification) with the default seed 0: the same for both directions of a flow, and the same in
/// the records of Suricata, Zeek and everything else that writes it, so that these can be joined.
package struct CommunityID: Hashable, Sendable, BitwiseCopyable {
    private let digest: SHA1Digest

    /// Of the flow that a packet belongs to.
    ///
    /// `nil` where the tuple is not known whole: no IP, a later fragment, a transport header that could not be read, and SCTP,
    /// whose ports are not decoded.
    package init?(_ headers: PacketHeaders) {
        guard headers.isIP, headers.fragment.offset == 0 else { return nil }
        var ports: (source: UInt16, destination: UInt16)?
        var isOneWay = false
        switch headers.protocolNumber {
        case IPProtocol.tcp, IPProtocol.udp:
            guard headers.hasPorts else { return nil }
            ports = (headers.sourcePort, headers.destinationPort)
        case IPProtocol.icmp, IPProtocol.icmpv6:
            guard headers.transport == .icmp || headers.transport == .icmpv6 else { return nil }
            let counterpart = CommunityID.counterpart(of: headers.icmp.type, isV6: headers.transport == .icmpv6)
            isOneWay = counterpart == nil
            ports = (UInt16(headers.icmp.type), UInt16(counterpart ?? headers.icmp.code))
        case CommunityID.sctp: return nil
        default: guard headers.transport == .other else { return nil }
        }
        let isSwapped =
            !isOneWay
            && (headers.source == headers.destination
                ? ports.map { $0.source >= $0.destination } ?? false : headers.destination < headers.source)
        let isIPv6 = headers.network == .ipv6
        var hash = ShortSHA1()
        hash.absorb(CommunityID.seed)
        hash.absorb(isSwapped ? headers.destination : headers.source, isIPv6: isIPv6)
        hash.absorb(isSwapped ? headers.source : headers.destination, isIPv6: isIPv6)
        hash.absorb(UInt16(headers.protocolNumber) << 8)
        if let ports {
            hash.absorb(isSwapped ? ports.destination : ports.source)
            hash.absorb(isSwapped ? ports.source : ports.destination)
        }
        digest = hash.finish()
    }

    /// `1:LQU9qZlK+B5F3KDmev6m5PMibrg=`.
    package var text: String {
        var buffer = TextBuffer()
        append(to: &buffer)
        var text: [UInt8] = []
        buffer.exchange(&text)
        return String(decoding: text, as: UTF8.self)
    }

    func append(to text: inout TextBuffer) {
        text.append("1:")
        text.append(base64: digest.bytes.span)
    }

    private static let seed: UInt16 = 0
    private static let sctp: UInt8 = 132

    /// The type of the message that answers one of this type, or that it answers; `nil` for a message that stands alone, whose
    /// identifier has a direction.
    private static func counterpart(of type: UInt8, isV6: Bool) -> UInt8? {
        if isV6 {
            // Echo, listener query, router and neighbour solicitation, node information, home agent discovery.
            switch type {
            case 128, 130, 133, 135, 139, 144: return type + 1
            case 129, 131, 134, 136, 140, 145: return type - 1
            default: return nil
            }
        }
        switch type {
        case ICMPType.echoReply: return ICMPType.echoRequest
        case ICMPType.echoRequest: return ICMPType.echoReply
        // Router advertisement and solicitation.
        case 9: return 10
        case 10: return 9
        case ICMPType.timestampRequest, ICMPType.informationRequest, ICMPType.maskRequest: return type + 1
        case ICMPType.timestampReply, ICMPType.informationReply, ICMPType.maskReply: return type - 1
        default: return nil
        }
    }
}

extension ShortSHA1 {
    fileprivate mutating func absorb(_ address: IPAddress, isIPv6: Bool) {
        if isIPv6 {
            for shift in [48, 32, 16, 0] { absorb(UInt16(truncatingIfNeeded: address.high >> UInt64(shift))) }
        }
        if isIPv6 { for shift in [48, 32] { absorb(UInt16(truncatingIfNeeded: address.low >> UInt64(shift))) } }
        absorb(UInt16(truncatingIfNeeded: address.low >> 16))
        absorb(UInt16(truncatingIfNeeded: address.low))
    }
}
