// SPDX-License-Identifier: GPL-3.0-or-later

package import AgentControl
import EventLog
package import FirewallEngine
package import PacketWire

/// One record of an events file, read back: what filters and tables look at, and the whole of it as `json`.
package struct LoggedEvent: Sendable {
    /// Microseconds since 1970.
    package var time: Int64
    package var first: Int64
    package var last: Int64
    package var reason: DropReason
    package var action = ""
    /// "incoming" or "outgoing"; empty where the record has none.
    package var direction = ""
    package var rule: String?
    package var note: String?
    package var count: Int64 = 1
    /// As in EVE: "TCP", "IPv6-ICMP"; empty where the record has none.
    package var protocolName = ""
    package var source: Endpoint?
    package var destination: Endpoint?
    package var icmpType: Int64?
    package var icmpCode: Int64?
    package var json: JSONValue

    /// An address and, where the record has it, a port.
    package struct Endpoint: Hashable, Sendable {
        package var address: IPAddress
        package var isIPv6: Bool
        package var port: Int64?

        /// "192.0.2.1:80", "[2001:db8::1]:80", or the address alone.
        package var text: String {
            let text = address.description(isIPv6: isIPv6)
            guard let port else { return text }
            return isIPv6 ? "[\(text)]:\(port)" : "\(text):\(port)"
        }
    }

    /// `nil` where the line is no event record of ours: torn, foreign, or without time or reason. Rotated files may hold records
    /// of the form that came first, whose object was called `firewall` and had the same keys.
    package init?(line: [UInt8]) {
        guard let json = try? JSONValue(parsing: line),
            let facts = json["event_type"]?.asText == "firewall" ? json["firewall"] : json["portreeve"],
            let reason = facts["reason"]?.asText.flatMap(DropReason.init(slug:)), let time = json.moment("timestamp")
        else { return nil }
        self.json = json
        self.reason = reason
        self.time = time
        first = facts.moment("first") ?? time
        last = facts.moment("last") ?? time
        count = facts["count"]?.asInteger ?? 1
        action = facts["action"]?.asText ?? ""
        direction = facts["direction"]?.asText ?? ""
        rule = facts["rule"]?.asText
        note = facts["note"]?.asText
        readPacket()
    }

    private mutating func readPacket() {
        protocolName = json["proto"]?.asText ?? ""
        source = json.endpoint(address: "src_ip", port: "src_port")
        destination = json.endpoint(address: "dest_ip", port: "dest_port")
        icmpType = json["icmp_type"]?.asInteger
        icmpCode = json["icmp_code"]?.asInteger
    }
}

extension JSONValue {
    fileprivate func moment(_ name: String) -> Int64? {
        self[name]?.asText.flatMap(CalendarTime.unixMicroseconds(parsing:))
    }

    fileprivate func endpoint(address: String, port: String) -> LoggedEvent.Endpoint? {
        guard let text = self[address]?.asText, let value = IPAddress(parsing: text) else { return nil }
        return LoggedEvent.Endpoint(address: value, isIPv6: text.contains(":"), port: self[port]?.asInteger)
    }
}
