// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import PacketWire

/// Records as JSON lines: one object each, with the keys of Suricata's EVE log where it has them, so that what reads EVE reads
/// these. What is this firewall's alone stands in the object `portreeve`.
///
/// What is not known, or not true of all events of a record, is left out. The same fields give the same bytes.
/// `JSONLines.schema` says the same as a JSON Schema: a key added here belongs there too.
package enum JSONLines {
    package static func append(_ fields: RecordFields, at place: RecordPlace, to text: inout [UInt8]) {
        let first = CalendarTime(unixNanoseconds: fields.first).text
        var json = JSONText()
        json.exchange(&text)
        json.beginObject()
        appendHeading(fields, first, to: &json)
        appendFlow(fields, to: &json)
        if fields.kind == .drop { appendDrop(fields, to: &json) }
        if let account = fields.account { appendAccount(account, to: &json) }
        appendPortreeve(fields, at: place, first, to: &json)
        appendFrame(fields, to: &json)
        appendTCP(fields, to: &json)
        if !fields.packetData.isEmpty { json.field("packet", base64: fields.packetData) }
        json.endObject()
        json.endLine()
        json.exchange(&text)
    }

    private static func appendHeading(_ fields: RecordFields, _ first: CalendarTime.Text, to json: inout JSONText) {
        json.field("timestamp", first)
        json.field("host", ifPresent: fields.host)
        json.field("event_type", fields.kind.rawValue)
        json.field("in_iface", ifPresent: fields.inInterface)
        json.field("out_iface", ifPresent: fields.outInterface)
        json.field("phys_in_iface", ifPresent: fields.physicalInInterface)
        json.field("phys_out_iface", ifPresent: fields.physicalOutInterface)
        if let packet = fields.packet, packet.vlan != PacketHeaders.noVLAN { json.field("vlan", list: packet.vlan) }
    }

    /// Who speaks to whom, and by which identifiers records of one flow are found.
    private static func appendFlow(_ fields: RecordFields, to json: inout JSONText) {
        let isIPv6 = fields.isIPv6
        if let source = fields.source { json.field("src_ip", source, isIPv6: isIPv6) }
        json.field("src_port", ifPresent: fields.sourcePort)
        if let destination = fields.destination { json.field("dest_ip", destination, isIPv6: isIPv6) }
        json.field("dest_port", ifPresent: fields.destinationPort)
        if let number = fields.protocolNumber { json.field("proto", protocolName(number)) }
        if let icmp = fields.icmp {
            json.field("icmp_type", icmp.type)
            json.field("icmp_code", icmp.code)
        }
        json.field("flow_id", ifPresent: fields.flowID)
        if let communityID = fields.communityID { json.field("community_id", communityID) }
        appendEther(fields.packet, to: &json)
    }

    private static func appendEther(_ packet: PacketHeaders?, to json: inout JSONText) {
        guard let packet, packet.sourceMAC != .none || packet.destinationMAC != .none else { return }
        json.beginObject("ether")
        appendMACs(packet, to: &json)
        json.endObject()
    }

    private static func appendMACs(_ packet: PacketHeaders, to json: inout JSONText) {
        if packet.sourceMAC != .none { json.field("src_mac", packet.sourceMAC) }
        if packet.destinationMAC != .none { json.field("dest_mac", packet.destinationMAC) }
    }

    private static func appendFrame(_ fields: RecordFields, to json: inout JSONText) {
        guard fields.account == nil else { return }
        let packet = fields.packet
        guard fields.frameType != nil || fields.frameNumber != nil || (packet != nil && fields.isIP) else { return }
        json.beginObject("frame")
        json.field("number", ifPresent: fields.frameNumber)
        json.field("type", ifPresent: fields.frameType)
        if let packet {
            appendMACs(packet, to: &json)
            json.field("length", ifPresent: fields.length)
            if packet.isIP { appendFragment(packet, to: &json) }
        }
        json.endObject()
    }

    private static func appendFragment(_ packet: PacketHeaders, to json: inout JSONText) {
        json.field("fragment", ifPresent: packet.fragment.bitNames)
        if packet.fragment.isFragment {
            json.field("fragment_offset", packet.fragment.offset)
            json.field("fragment_id", packet.fragment.identification)
        }
        json.field("ttl", packet.timeToLive)
    }

    private static func appendTCP(_ fields: RecordFields, to json: inout JSONText) {
        guard let tcp = fields.tcp else { return }
        json.beginObject("tcp")
        json.field("flags", tcp.flags.letters)
        json.field("seq", tcp.sequence)
        json.field("ack", tcp.acknowledgement)
        json.field("window", tcp.window)
        json.endObject()
    }
}
