// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire

/// Records in QRadar's Log Event Extended Format 2.0: one line each, attributes set apart by tabs, as the header says. Keys are those
/// of its published list, and else those that Deep Security's agent uses; what neither has is called `portreeve…`.
enum LEEF {
    static func append(_ fields: RecordFields, at place: RecordPlace, to text: inout [UInt8]) {
        var leef = AttributeText(.leef)
        leef.exchange(&text)
        leef.begin("LEEF:2.0|Portreeve|Portreeve|")
        leef.header(Release.version)
        leef.header(fields.event.reason.row.number)
        leef.header("x09")
        appendEvent(fields, to: &leef)
        appendPacket(fields, to: &leef)
        appendDecision(fields, at: place, to: &leef)
        leef.endLine()
        leef.exchange(&text)
    }

    private static func appendEvent(_ fields: RecordFields, to leef: inout AttributeText) {
        leef.field("cat", "Firewall")
        leef.field("name", fields.name)
        leef.field("desc", fields.event.reason.row.name)
        leef.field("sev", fields.severity)
        // Milliseconds since 1970: what a time is that names no format.
        leef.field("devTime", fields.lastMilliseconds)
        leef.field("start", fields.startMilliseconds)
        leef.field("dvchost", ifPresent: fields.host)
        leef.field("act", fields.event.action.syslogText)
        leef.field("cnt", fields.summary.count)
        leef.field("direction", ifPresent: fields.direction?.text)
        leef.field("deviceInboundInterface", ifPresent: fields.inInterface)
        leef.field("deviceOutboundInterface", ifPresent: fields.outInterface)
    }

    private static func appendPacket(_ fields: RecordFields, to leef: inout AttributeText) {
        if let packet = fields.packet {
            leef.field("srcMAC", packet.sourceMAC)
            leef.field("dstMAC", packet.destinationMAC)
        }
        if let source = fields.source { leef.field("src", source, isIPv6: fields.isIPv6) }
        if let destination = fields.destination { leef.field("dst", destination, isIPv6: fields.isIPv6) }
        leef.field("srcPort", ifPresent: fields.sourcePort)
        leef.field("dstPort", ifPresent: fields.destinationPort)
        if let number = fields.protocolNumber { leef.field("proto", protocolName(number)) }
        if let account = fields.account {
            leef.field("end", fields.endMilliseconds)
            leef.field("srcBytes", account.ofOriginator.bytes)
            leef.field("dstBytes", account.ofResponder.bytes)
            leef.field("srcPackets", account.ofOriginator.packets)
            leef.field("dstPackets", account.ofResponder.packets)
            leef.appendEnding(account)
        }
        leef.appendPacket(fields)
    }

    private static func appendDecision(
        _ fields: RecordFields, at place: RecordPlace, to leef: inout AttributeText
    ) {
        leef.field("reason", fields.event.reason.row.slug)
        leef.field("portreeveCause", ifPresent: fields.cause?.slug)
        leef.field("policy", ifPresent: fields.rule?.name)
        leef.field("portreevePolicyLine", ifPresent: fields.rule?.placeText)
        leef.appendCircumstances(fields, at: place)
    }
}
