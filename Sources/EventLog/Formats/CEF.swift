// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire

/// Records in ArcSight's Common Event Format, version 0: one line each, whose signature is the number of the reason. Keys are those
/// that Deep Security's agent uses, so that what reads it reads this; what CEF has no key for is called `portreeve…`.
///
/// CEF's `src` and `dst` are IPv4 addresses: those of IPv6 stand in `c6a2` and `c6a3`, as its dictionary has them.
enum CEF {
    static func append(_ fields: RecordFields, at place: RecordPlace, to text: inout [UInt8]) {
        var cef = AttributeText(.cef)
        cef.exchange(&text)
        cef.begin("CEF:0|Portreeve|Portreeve|")
        cef.header(Release.version)
        cef.header(fields.event.reason.row.number)
        cef.header(fields.name)
        cef.header(fields.severity)
        appendEvent(fields, to: &cef)
        appendAddresses(fields, to: &cef)
        if let account = fields.account { appendAccount(account, fields, to: &cef) }
        cef.appendPacket(fields)
        appendDecision(fields, at: place, to: &cef)
        cef.endLine()
        cef.exchange(&text)
    }

    private static func appendEvent(_ fields: RecordFields, to cef: inout AttributeText) {
        cef.field("rt", fields.lastMilliseconds)
        cef.field("start", fields.startMilliseconds)
        cef.field("end", fields.endMilliseconds)
        cef.field("dvchost", ifPresent: fields.host)
        cef.field("cat", "Firewall")
        cef.field("act", fields.event.action.syslogText)
        cef.field("cnt", fields.summary.count)
        if let direction = fields.direction { cef.field("deviceDirection", direction == .incoming ? UInt8(0) : 1) }
        cef.field("deviceInboundInterface", ifPresent: fields.inInterface)
        cef.field("deviceOutboundInterface", ifPresent: fields.outInterface)
    }

    private static func appendAddresses(_ fields: RecordFields, to cef: inout AttributeText) {
        if let packet = fields.packet {
            cef.field("smac", packet.sourceMAC)
            cef.field("dmac", packet.destinationMAC)
        }
        if fields.isIPv6 {
            cef.field("c6a2", fields.source?.description(isIPv6: true), label: "c6a2Label", "Source IPv6 Address")
            cef.field(
                "c6a3", fields.destination?.description(isIPv6: true), label: "c6a3Label", "Destination IPv6 Address")
        } else {
            if let source = fields.source { cef.field("src", source, isIPv6: false) }
            if let destination = fields.destination { cef.field("dst", destination, isIPv6: false) }
        }
        cef.field("spt", ifPresent: fields.sourcePort)
        cef.field("dpt", ifPresent: fields.destinationPort)
        if let number = fields.protocolNumber { cef.field("proto", protocolName(number)) }
    }

    /// `in` is what came in and `out` what went out, as of packets.
    private static func appendAccount(_ account: FlowAccount, _ fields: RecordFields, to cef: inout AttributeText) {
        let isIncoming = fields.direction != .outgoing
        let (came, went) =
            isIncoming
            ? (account.ofOriginator, account.ofResponder) : (account.ofResponder, account.ofOriginator)
        cef.field("in", came.bytes)
        cef.field("out", went.bytes)
        cef.field("portreevePacketsIn", came.packets)
        cef.field("portreevePacketsOut", went.packets)
        cef.appendEnding(account)
    }

    private static func appendDecision(
        _ fields: RecordFields, at place: RecordPlace, to cef: inout AttributeText
    ) {
        cef.field("reason", fields.event.reason.row.slug)
        cef.field("cs1", fields.cause?.slug, label: "cs1Label", "Cause")
        cef.field("cs5", fields.rule?.name, label: "cs5Label", "Rule")
        cef.field("cs6", fields.rule?.placeText, label: "cs6Label", "Policy Line")
        cef.appendCircumstances(fields, at: place)
    }
}
