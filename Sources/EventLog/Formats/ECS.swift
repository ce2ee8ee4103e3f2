// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire

/// Records as JSON lines with the fields of the Elastic Common Schema. What is this firewall's alone stands in the object
/// `portreeve`, the same as in `JSONLines`.
enum ECS {
    /// The release of the schema whose fields these are; all of them are older.
    private static let version = "8.11.0"

    static func append(_ fields: RecordFields, at place: RecordPlace, to text: inout [UInt8]) {
        let first = CalendarTime(unixNanoseconds: fields.first).text
        var json = JSONText()
        json.exchange(&text)
        json.beginObject()
        json.field("@timestamp", first)
        json.beginObject("ecs")
        json.field("version", version)
        json.endObject()
        json.field("message", fields.message)
        appendEvent(fields, at: place, first, to: &json)
        appendEndpoint(
            "source", fields.source, fields.sourcePort, fields.packet?.sourceMAC, fields.account?.ofOriginator, fields,
            to: &json)
        appendEndpoint(
            "destination", fields.destination, fields.destinationPort, fields.packet?.destinationMAC,
            fields.account?.ofResponder, fields, to: &json)
        appendNetwork(fields, to: &json)
        appendRule(fields, to: &json)
        appendObserver(fields, to: &json)
        appendSender(fields, to: &json)
        json.beginObject("labels")
        json.field("count", String(fields.summary.count))
        json.endObject()
        JSONLines.appendPortreeve(fields, at: place, first, to: &json)
        json.endObject()
        json.endLine()
        json.exchange(&text)
    }

    private static func appendEvent(
        _ fields: RecordFields, at place: RecordPlace, _ first: CalendarTime.Text, to json: inout JSONText
    ) {
        let row = fields.event.reason.row
        json.beginObject("event")
        json.field("kind", "event")
        json.field("category", list: [fields.direction == nil ? "host" : "network"])
        json.field("type", list: types(fields))
        json.field("action", "portreeve-\(fields.event.action.ecsText)")
        json.field("code", String(row.number))
        json.field("reason", row.slug)
        json.field("provider", "portreeve")
        json.field("module", "portreeve")
        json.field("dataset", "portreeve.firewall")
        json.field("severity", fields.severity)
        json.field("sequence", place.sequence)
        if let times = fields.account?.times {
            json.field("start", CalendarTime(unixNanoseconds: times.opened).text)
            json.field("end", CalendarTime(unixNanoseconds: times.lastPacket).text)
            json.field("duration", UInt64(max(0, fields.account?.duration ?? 0)))
        } else {
            json.field("start", first)
            json.field("end", CalendarTime(unixNanoseconds: fields.last).text)
        }
        if !fields.packetData.isEmpty { json.field("original", base64: fields.packetData) }
        json.endObject()
    }

    private static func types(_ fields: RecordFields) -> [String] {
        guard fields.direction != nil else { return ["info"] }
        switch fields.kind {
        case .flow: return ["connection", "end"]
        case .drop: return fields.event.action.isDrop ? ["connection", "denied"] : ["connection", "allowed", "info"]
        case .portreeve:
            return fields.event.reason == .newConnection ? ["connection", "start", "allowed"] : ["info"]
        }
    }

    private static func appendEndpoint(
        _ key: StaticString, _ address: IPAddress?, _ port: UInt16?, _ mac: MACAddress?, _ sent: Traffic?,
        _ fields: RecordFields, to json: inout JSONText
    ) {
        let mac = mac == MACAddress.none ? nil : mac
        guard address != nil || port != nil || mac != nil || sent != nil else { return }
        json.beginObject(key)
        if let address {
            json.field("address", address, isIPv6: fields.isIPv6)
            json.field("ip", address, isIPv6: fields.isIPv6)
        }
        json.field("port", ifPresent: port)
        if let mac { json.field("mac", mac.hyphenText) }
        if let sent {
            json.field("bytes", sent.bytes)
            json.field("packets", sent.packets)
        }
        json.endObject()
    }

    private static func appendNetwork(_ fields: RecordFields, to json: inout JSONText) {
        guard fields.direction != nil else { return }
        json.beginObject("network")
        if let direction = fields.direction { json.field("direction", direction == .incoming ? "ingress" : "egress") }
        if fields.isIP { json.field("type", fields.isIPv6 ? "ipv6" : "ipv4") }
        if let number = fields.protocolNumber {
            json.field("iana_number", String(number))
            json.field("transport", protocolName(number).lowercased())
        }
        if let identifier = fields.communityID { json.field("community_id", identifier) }
        json.field("bytes", ifPresent: fields.account?.bytes ?? fields.length.map { UInt64($0) })
        json.field("packets", ifPresent: fields.account?.packets)
        if let packet = fields.packet, packet.vlan != PacketHeaders.noVLAN {
            json.beginObject("vlan")
            json.field("id", String(packet.vlan))
            json.endObject()
        }
        json.endObject()
    }

    private static func appendRule(_ fields: RecordFields, to json: inout JSONText) {
        guard let rule = fields.rule else { return }
        json.beginObject("rule")
        json.field("name", rule.name)
        json.field("category", rule.action.text)
        json.field("id", ifPresent: rule.placeText)
        if !rule.position.file.isEmpty { json.field("ruleset", rule.position.file) }
        if let epoch = fields.policyEpoch { json.field("version", String(epoch)) }
        json.endObject()
    }

    private static func appendObserver(_ fields: RecordFields, to json: inout JSONText) {
        json.beginObject("observer")
        json.field("vendor", "Portreeve")
        json.field("product", "Portreeve")
        json.field("type", "firewall")
        json.field("version", Release.version)
        json.field("hostname", ifPresent: fields.host)
        appendInterface("ingress", fields.inInterface, to: &json)
        appendInterface("egress", fields.outInterface, to: &json)
        json.endObject()
        guard let host = fields.host else { return }
        json.beginObject("host")
        json.field("hostname", host)
        json.endObject()
    }

    private static func appendInterface(_ key: StaticString, _ name: String?, to json: inout JSONText) {
        guard let name else { return }
        json.beginObject(key)
        json.beginObject("interface")
        json.field("name", name)
        json.endObject()
        json.endObject()
    }

    private static func appendSender(_ fields: RecordFields, to json: inout JSONText) {
        guard let user = fields.senderUID else { return }
        json.beginObject("user")
        json.field("id", String(user))
        json.field("name", ifPresent: fields.senderUser)
        if let group = fields.senderGID {
            json.beginObject("group")
            json.field("id", String(group))
            json.endObject()
        }
        json.endObject()
    }
}

extension EventAction {
    /// Behind "portreeve-" in `event.action`.
    fileprivate var ecsText: String {
        switch self {
        case .deny, .observed: "drop"
        case .tapDeny: "tap"
        case .failOpen: "fail-open"
        case .logOnly: "log"
        case .notice: "notice"
        }
    }
}

extension MACAddress {
    /// As ECS has it (RFC 7042 section 2.1): upper case, with hyphens.
    fileprivate var hyphenText: String {
        let digits = Array("0123456789ABCDEF")
        return (0..<6).map { place in
            let byte = Int(truncatingIfNeeded: bits >> UInt64(40 - 8 * place) & 0xff)
            return String([digits[byte >> 4], digits[byte & 15]])
        }.joined(separator: "-")
    }
}
