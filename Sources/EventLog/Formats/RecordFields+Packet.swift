// SPDX-License-Identifier: GPL-3.0-or-later

package import ConnectionTracking
package import FirewallEngine
import FirewallPolicy
package import PacketWire

/// What a record says of its packet, or of all its packets.
extension RecordFields {
    private var headers: PacketHeaders { record.summary.event.headers }
    private var metadata: PacketMetadata { record.summary.event.metadata }

    func shares(_ fields: SharedFields) -> Bool { record.summary.shared.contains(fields) }

    /// The fields that only one packet has: everything but addresses, destination port and protocol. They are those of the first
    /// one where several were folded.
    package var packet: PacketHeaders? { shares(.packet) ? headers : nil }

    package var isIPv6: Bool { headers.network == .ipv6 }
    package var isIP: Bool { headers.isIP }

    /// IP's, or ARP's for IPv4 over Ethernet.
    private var hasAddresses: Bool { headers.isIP || (headers.network == .arp && headers.source != .zero) }
    package var source: IPAddress? { hasAddresses && shares(.source) ? headers.source : nil }
    package var destination: IPAddress? { hasAddresses && shares(.destination) ? headers.destination : nil }
    package var sourcePort: UInt16? { headers.hasPorts && shares(.packet) ? headers.sourcePort : nil }
    package var destinationPort: UInt16? {
        headers.hasPorts && shares(.destinationPort) ? headers.destinationPort : nil
    }
    /// IANA number of the transport protocol.
    package var protocolNumber: UInt8? { headers.isIP && shares(.transport) ? headers.protocolNumber : nil }
    package var icmp: ICMPFields? {
        let isICMP = headers.transport == .icmp || headers.transport == .icmpv6
        return isICMP && shares(.packet) ? headers.icmp : nil
    }
    /// A request or reply with an identifier and a sequence number.
    package var icmpQuery: ICMPFields? {
        guard let icmp, account == nil else { return nil }
        let isQuery =
            headers.transport == .icmp
            ? ICMPQuery(type: icmp.type) != nil
            : icmp.type == ICMPv6Type.echoRequest || icmp.type == ICMPv6Type.echoReply
        return isQuery ? icmp : nil
    }
    package var tcp: TCPFields? {
        headers.isIP && headers.hasTCPFields && shares(.packet) && account == nil ? headers.tcp : nil
    }
    package var frameType: String? { shares(.transport) ? headers.frameTypeName : nil }
    /// Bytes of the IP packet, or of whatever else it was.
    package var length: UInt32? {
        guard shares(.packet), account == nil else { return nil }
        let length = headers.length != 0 ? headers.length : metadata.fullLength
        return length == 0 ? nil : length
    }

    /// How who sent it was told.
    package var reply: String? {
        guard shares(.reply) else { return nil }
        return switch event.reply {
        case .none: nil
        case .reset: "reset"
        case .unreachable: "unreachable"
        case .prohibited: "prohibited"
        }
    }

    /// The packet's bytes, where its rule wants them in the event.
    package var packetData: [UInt8] { event.packetIsForCapture ? [] : record.packet }

    /// `nil` for what the agent reports of itself.
    package var direction: Direction? {
        let isOfPacket = headers.network != .none || headers.etherType != 0 || event.reason.row.stage != .agent
        return isOfPacket ? metadata.direction : nil
    }
    package var hook: Hook? { shares(.delivery) && metadata.hook != .none ? metadata.hook : nil }
    package var queue: UInt16? {
        guard shares(.delivery), metadata.hook != .none || event.reason == .internalDriverError else { return nil }
        return metadata.queue
    }
    package var policyEpoch: UInt32? { shares(.policy) ? event.policyEpoch : nil }
    /// Number of the frame in its capture; where several were folded, the first one's.
    package var frameNumber: UInt64? { metadata.frameNumber == 0 ? nil : metadata.frameNumber }
    /// When the kernel took the packet in, in nanoseconds since 1970.
    package var arrival: Int64? { shares(.packet) && metadata.arrival != 0 ? metadata.arrival : nil }
    /// Who sent it, for this host's own packets.
    package var senderUID: UInt32? { shares(.packet) && metadata.senderUID != .max ? metadata.senderUID : nil }
    package var senderUnit: String? { shares(.packet) ? record.unit : nil }
    package var senderGID: UInt32? { shares(.packet) && metadata.senderGID != .max ? metadata.senderGID : nil }
}

extension EventAction {
    /// The packet was dropped or ought to have been.
    package var isRefusal: Bool {
        switch self {
        case .deny, .observed, .tapDeny, .failOpen: true
        case .logOnly, .notice: false
        }
    }

    /// The packet got no further.
    package var isDrop: Bool { self == .deny || self == .observed }
}
