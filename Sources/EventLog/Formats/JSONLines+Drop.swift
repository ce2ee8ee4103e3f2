// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import PacketWire

extension JSONLines {
    /// EVE's object of a drop: the packet's headers under its keys, and why; then EVE's word for what became of it, which tells
    /// a drop from what would have been one.
    static func appendDrop(_ fields: RecordFields, to json: inout JSONText) {
        json.beginObject("drop")
        if let packet = fields.packet, packet.isIP { appendNetwork(packet, to: &json) }
        if let tcp = fields.tcp { appendTCPHeader(tcp, to: &json) }
        if let packet = fields.packet, packet.udpLength != 0 { json.field("udplen", packet.udpLength) }
        if let query = fields.icmpQuery {
            json.field("icmp_id", query.identifier)
            json.field("icmp_seq", query.sequence)
        }
        json.field("reason", fields.event.reason.row.slug)
        json.endObject()
        json.beginObject("verdict")
        json.field("action", fields.event.action.isDrop ? "drop" : "pass")
        json.endObject()
    }

    /// `len` is that of the whole packet for IPv4 and of what follows the fixed header for IPv6, as their length fields are.
    private static func appendNetwork(_ packet: PacketHeaders, to json: inout JSONText) {
        if packet.network == .ipv4 {
            json.field("len", packet.length)
            json.field("ttl", packet.timeToLive)
            json.field("ipid", packet.fragment.identification)
        } else {
            json.field("len", packet.length - min(packet.length, ipv6HeaderLength))
            json.field("hoplimit", packet.timeToLive)
        }
    }

    private static let ipv6HeaderLength: UInt32 = 40

    private static func appendTCPHeader(_ tcp: TCPFields, to json: inout JSONText) {
        json.field("tcpseq", tcp.sequence)
        json.field("tcpack", tcp.acknowledgement)
        json.field("tcpwin", tcp.window)
        json.field("tcpflags", tcp.flags.letters)
        json.field("syn", tcp.flags.contains(.syn))
        json.field("ack", tcp.flags.contains(.ack))
        json.field("psh", tcp.flags.contains(.psh))
        json.field("rst", tcp.flags.contains(.rst))
        json.field("urg", tcp.flags.contains(.urg))
        json.field("fin", tcp.flags.contains(.fin))
        json.field("tcpurgp", tcp.urgentPointer)
    }
}
