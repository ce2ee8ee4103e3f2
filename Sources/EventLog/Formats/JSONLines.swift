// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import FirewallPolicy
package import PacketWire

/// Writes event records as JSON lines: one object per record, with the keys of Suricata's EVE log where it has them.
///
/// What is not known, or not true of all events of a record, is left out. The same record gives the same bytes.
package struct JSONLines: Sendable {
    /// Name of this host; left out where `nil`.
    package var host: String?
    package var policies = PolicyHistory()
    package var interfaces = InterfaceNames()

    package init(host: String?) { self.host = host }

    /// Appends one line.
    ///
    /// - Parameters:
    ///   - record: the record.
    ///   - clockOffset: what has to be added to the record's instants to have Unix time; zero where they are Unix time.
    ///   - text: a buffer that the caller keeps.
    package func append(_ record: EventRecord, clockOffset: Instant.Span, to text: inout [UInt8]) {
        var json = JSONText()
        json.exchange(&text)
        let line = Line(record: record, format: self, clockOffset: clockOffset)
        json.beginObject()
        line.appendHeading(to: &json)
        line.appendEndpoints(to: &json)
        line.appendFirewall(to: &json)
        line.appendFrame(to: &json)
        line.appendTCP(to: &json)
        if !record.packet.isEmpty { json.field("packet", base64: record.packet) }
        json.endObject()
        json.endLine()
        json.exchange(&text)
    }
}

/// One record on its way into text.
struct Line {
    let record: EventRecord
    let format: JSONLines
    let clockOffset: Instant.Span

    var summary: EventSummary { record.summary }
    var event: Event { record.summary.event }
    var headers: PacketHeaders { record.summary.event.headers }
    var metadata: PacketMetadata { record.summary.event.metadata }

    func shares(_ fields: SharedFields) -> Bool { record.summary.shared.contains(fields) }

    func calendar(_ instant: Instant) -> CalendarTime {
        CalendarTime(unixNanoseconds: instant.nanoseconds &+ clockOffset.nanoseconds)
    }

    func appendHeading(to json: inout JSONText) {
        json.field("timestamp", calendar(summary.first))
        json.field("host", ifPresent: format.host)
        json.field("event_type", "firewall")
        guard shares(.interfaces) else { return }
        json.field("in_iface", ifPresent: format.interfaces[metadata.inInterface])
        json.field("out_iface", ifPresent: format.interfaces[metadata.outInterface])
        if shares(.packet) {
            json.field("phys_in_iface", ifPresent: format.interfaces[metadata.physicalInInterface])
            json.field("phys_out_iface", ifPresent: format.interfaces[metadata.physicalOutInterface])
            if headers.vlan != PacketHeaders.noVLAN { json.field("vlan", list: headers.vlan) }
        }
    }

    func appendEndpoints(to json: inout JSONText) {
        guard headers.isIP || (headers.network == .arp && headers.source != .zero) else { return }
        let isIPv6 = headers.network == .ipv6
        let hasPorts = headers.hasPorts
        if shares(.source) { json.field("src_ip", headers.source, isIPv6: isIPv6) }
        if shares(.packet) && hasPorts { json.field("src_port", headers.sourcePort) }
        if shares(.destination) { json.field("dest_ip", headers.destination, isIPv6: isIPv6) }
        if shares(.destinationPort) && hasPorts { json.field("dest_port", headers.destinationPort) }
        if shares(.transport) && headers.isIP { json.field("proto", protocolName(headers.protocolNumber)) }
        if shares(.packet) && (headers.transport == .icmp || headers.transport == .icmpv6) {
            json.field("icmp_type", headers.icmp.type)
            json.field("icmp_code", headers.icmp.code)
        }
    }

    func appendFrame(to json: inout JSONText) {
        guard headers.etherType != 0 || headers.isIP || metadata.frameNumber != 0 else { return }
        json.beginObject("frame")
        if metadata.frameNumber != 0 { json.field("number", metadata.frameNumber) }
        if shares(.transport) { json.field("type", ifPresent: headers.frameTypeName) }
        if shares(.packet) { appendPacketFields(to: &json) }
        json.endObject()
    }

    private func appendPacketFields(to json: inout JSONText) {
        if headers.sourceMAC != .none { json.field("src_mac", headers.sourceMAC) }
        if headers.destinationMAC != .none { json.field("dest_mac", headers.destinationMAC) }
        let length = headers.length != 0 ? headers.length : metadata.fullLength
        if length != 0 { json.field("length", length) }
        guard headers.isIP else { return }
        json.field("fragment", ifPresent: headers.fragment.bitNames)
        if headers.fragment.isFragment {
            json.field("fragment_offset", headers.fragment.offset)
            json.field("fragment_id", headers.fragment.identification)
        }
        json.field("ttl", headers.timeToLive)
    }

    func appendTCP(to json: inout JSONText) {
        guard headers.isIP, headers.hasTCPFields, shares(.packet) else { return }
        json.beginObject("tcp")
        json.field("flags", headers.tcp.flags.letters)
        json.field("seq", headers.tcp.sequence)
        json.field("ack", headers.tcp.acknowledgement)
        json.field("window", headers.tcp.window)
        json.endObject()
    }
}
