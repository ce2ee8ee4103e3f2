// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire

/// Records as JSON lines of the Open Cybersecurity Schema Framework 1.5: of packets, events of the class Network Activity with the
/// profiles Security Control and Host; of the agent itself, events of the Base Event class. What is this firewall's alone stands in
/// `unmapped.portreeve`, the same as in `JSONLines`.
enum OCSF {
    private static let version = "1.5.0"

    /// A class, and what the event is in it.
    private struct Kind {
        let category: (number: UInt8, name: String)
        let ofClass: (number: UInt32, name: String)
        let activity: (number: UInt8, name: String)

        init(_ fields: RecordFields) {
            guard fields.direction != nil else {
                (category, ofClass, activity) = ((0, "Uncategorized"), (0, "Base Event"), (99, "Other"))
                return
            }
            category = (4, "Network Activity")
            ofClass = (4001, "Network Activity")
            activity =
                switch fields.event.reason {
                case .newConnection: (1, "Open")
                case .connectionClosed: fields.account?.ending?.isReset == true ? (3, "Reset") : (2, "Close")
                default: (6, "Traffic")
                }
        }
    }

    static func append(_ fields: RecordFields, at place: RecordPlace, to text: inout [UInt8]) {
        let first = CalendarTime(unixNanoseconds: fields.first).text
        var json = JSONText()
        json.exchange(&text)
        json.beginObject()
        appendClass(Kind(fields), to: &json)
        appendEvent(fields, to: &json)
        appendMetadata(fields, at: place, to: &json)
        if fields.direction != nil {
            appendEndpoint(
                "src_endpoint", fields.source, fields.sourcePort, fields.packet?.sourceMAC, fields.inInterface, fields,
                to: &json)
            appendEndpoint(
                "dst_endpoint", fields.destination, fields.destinationPort, fields.packet?.destinationMAC,
                fields.outInterface, fields, to: &json)
            appendConnection(fields, to: &json)
            appendControl(fields, to: &json)
        }
        appendDevice(fields, to: &json)
        json.beginObject("unmapped")
        JSONLines.appendPortreeve(fields, at: place, first, to: &json)
        json.endObject()
        if !fields.packetData.isEmpty { json.field("raw_data", base64: fields.packetData) }
        json.endObject()
        json.endLine()
        json.exchange(&text)
    }

    private static func appendClass(_ kind: Kind, to json: inout JSONText) {
        json.field("category_uid", kind.category.number)
        json.field("category_name", kind.category.name)
        json.field("class_uid", kind.ofClass.number)
        json.field("class_name", kind.ofClass.name)
        json.field("activity_id", kind.activity.number)
        json.field("activity_name", kind.activity.name)
        json.field("type_uid", kind.ofClass.number * 100 + UInt32(kind.activity.number))
        json.field("type_name", "\(kind.ofClass.name): \(kind.activity.name)")
    }

    private static func appendEvent(_ fields: RecordFields, to json: inout JSONText) {
        let row = fields.event.reason.row
        json.field("time", fields.firstMilliseconds)
        json.field("start_time", fields.startMilliseconds)
        json.field("end_time", fields.endMilliseconds)
        json.field("duration", ifPresent: fields.account?.durationMilliseconds)
        json.field("count", fields.summary.count)
        switch fields.severity {
        case 0: appendPair("severity_id", 1, "severity", "Informational", to: &json)
        case 5: appendPair("severity_id", 3, "severity", "Medium", to: &json)
        default: appendPair("severity_id", 2, "severity", "Low", to: &json)
        }
        if fields.kind == .drop, fields.event.action.isDrop {
            appendPair("status_id", 2, "status", "Failure", to: &json)
        } else {
            appendPair("status_id", 1, "status", "Success", to: &json)
        }
        json.field("status_code", String(row.number))
        json.field("status_detail", row.slug)
        json.field("message", fields.message)
    }

    private static func appendPair(
        _ key: StaticString, _ number: UInt8, _ nameKey: StaticString, _ name: String, to json: inout JSONText
    ) {
        json.field(key, number)
        json.field(nameKey, name)
    }

    private static func appendMetadata(_ fields: RecordFields, at place: RecordPlace, to json: inout JSONText) {
        json.beginObject("metadata")
        json.field("version", version)
        json.beginObject("product")
        json.field("name", "Portreeve")
        json.field("vendor_name", "Portreeve")
        json.field("version", Release.version)
        json.endObject()
        var profiles = fields.direction == nil ? [] : ["security_control"]
        if fields.host != nil { profiles.append("host") }
        json.field("profiles", list: profiles)
        json.field("event_code", String(fields.event.reason.row.number))
        json.field("log_name", "portreeve.firewall")
        json.field("sequence", place.sequence)
        json.endObject()
    }

    private static func appendEndpoint(
        _ key: StaticString, _ address: IPAddress?, _ port: UInt16?, _ mac: MACAddress?, _ interface: String?,
        _ fields: RecordFields, to json: inout JSONText
    ) {
        let mac = mac == MACAddress.none ? nil : mac
        guard address != nil || port != nil || mac != nil || interface != nil else { return }
        json.beginObject(key)
        if let address { json.field("ip", address, isIPv6: fields.isIPv6) }
        json.field("port", ifPresent: port)
        if let mac { json.field("mac", mac) }
        json.field("interface_name", ifPresent: interface)
        if let packet = fields.packet, packet.vlan != PacketHeaders.noVLAN {
            json.field("vlan_uid", String(packet.vlan))
        }
        json.endObject()
    }

    private static func appendConnection(_ fields: RecordFields, to json: inout JSONText) {
        json.beginObject("connection_info")
        if fields.direction == .outgoing {
            appendPair("direction_id", 2, "direction", "Outbound", to: &json)
        } else {
            appendPair("direction_id", 1, "direction", "Inbound", to: &json)
        }
        if fields.isIP {
            if fields.isIPv6 {
                appendPair("protocol_ver_id", 6, "protocol_ver", "Internet Protocol version 6 (IPv6)", to: &json)
            } else {
                appendPair("protocol_ver_id", 4, "protocol_ver", "Internet Protocol version 4 (IPv4)", to: &json)
            }
        }
        if let number = fields.protocolNumber {
            json.field("protocol_num", number)
            json.field("protocol_name", protocolName(number).lowercased())
        }
        if let tcp = fields.tcp { json.field("tcp_flags", tcp.flags.rawValue) }
        if let flow = fields.flowID { json.field("uid", String(flow)) }
        if let identifier = fields.communityID { json.field("community_uid", identifier) }
        json.endObject()
        if let account = fields.account { return appendTraffic(account, to: &json) }
        guard let length = fields.length else { return }
        json.beginObject("traffic")
        json.field(fields.direction == .outgoing ? "bytes_out" : "bytes_in", length)
        json.field("bytes", length)
        json.endObject()
    }

    /// `out` is from the source to the destination.
    private static func appendTraffic(_ account: FlowAccount, to json: inout JSONText) {
        json.beginObject("traffic")
        json.field("bytes_in", account.ofResponder.bytes)
        json.field("bytes_out", account.ofOriginator.bytes)
        json.field("bytes", account.bytes)
        json.field("packets_in", account.ofResponder.packets)
        json.field("packets_out", account.ofOriginator.packets)
        json.field("packets", account.packets)
        json.endObject()
    }

    /// What the profile Security Control has: what was done, and by which rule.
    private static func appendControl(_ fields: RecordFields, to json: inout JSONText) {
        switch fields.event.action {
        case .deny, .observed:
            appendPair("action_id", 2, "action", "Denied", to: &json)
            appendPair("disposition_id", 6, "disposition", "Dropped", to: &json)
        case .tapDeny:
            appendPair("action_id", 3, "action", "Observed", to: &json)
            appendPair("disposition_id", 17, "disposition", "Logged", to: &json)
        case .failOpen:
            appendPair("action_id", 1, "action", "Allowed", to: &json)
            appendPair("disposition_id", 1, "disposition", "Allowed", to: &json)
        case .logOnly, .notice:
            appendPair("action_id", 1, "action", "Allowed", to: &json)
            appendPair("disposition_id", 17, "disposition", "Logged", to: &json)
        }
        guard let rule = fields.rule else { return }
        json.beginObject("firewall_rule")
        json.field("name", rule.name)
        json.field("uid", rule.placeText ?? rule.name)
        json.field("type", rule.action.text)
        json.endObject()
        guard let epoch = fields.policyEpoch else { return }
        json.beginObject("policy")
        json.field("name", rule.position.file.isEmpty ? "built-in" : rule.position.file)
        json.field("version", String(epoch))
        json.endObject()
    }

    private static func appendDevice(_ fields: RecordFields, to json: inout JSONText) {
        guard let host = fields.host else { return }
        json.beginObject("device")
        appendPair("type_id", 0, "type", "Unknown", to: &json)
        json.field("hostname", host)
        json.endObject()
        guard let user = fields.senderUID else { return }
        json.beginObject("actor")
        json.beginObject("user")
        json.field("uid", String(user))
        json.field("name", ifPresent: fields.senderUser)
        json.endObject()
        json.endObject()
    }
}
