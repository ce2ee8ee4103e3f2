// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl

/// What the table and the filters need of one line of the events file.
struct EventRecord {
    let time: WallTime
    /// Of a folded record's last packet.
    let lastTime: WallTime
    let id: Int64
    let reason: String
    let action: String
    let direction: String?
    let rule: String?
    let note: String?
    let count: Int64
    let protocolName: String?
    let source: String?
    let sourcePort: Int64?
    let destination: String?
    let destinationPort: Int64?
    let interface: String?

    /// Nil for what is no firewall event.
    init?(_ line: [UInt8]) {
        guard let json = try? JSONValue(parsing: line), let firewall = json["firewall"],
            let time = json["timestamp"]?.asText.flatMap({ WallTime(parsing: $0) }), let id = firewall["id"]?.asInteger,
            let reason = firewall["reason"]?.asText
        else { return nil }
        self.time = time
        self.id = id
        self.reason = reason
        lastTime = firewall["last"]?.asText.flatMap { WallTime(parsing: $0) } ?? time
        action = firewall["action"]?.asText ?? ""
        direction = firewall["direction"]?.asText
        rule = firewall["rule"]?.asText
        note = firewall["note"]?.asText
        count = firewall["count"]?.asInteger ?? 1
        protocolName = json["proto"]?.asText
        source = json["src_ip"]?.asText
        sourcePort = json["src_port"]?.asInteger
        destination = json["dest_ip"]?.asText
        destinationPort = json["dest_port"]?.asInteger
        interface = json["in_iface"]?.asText ?? json["out_iface"]?.asText
    }
}

/// The columns of the table of events. Their widths are fixed, because events come one by one.
enum EventTable {
    private static let widths = [19, 5, 8, 28, 9, 6, 10, 24, 24]

    static let title = line([
        "TIME", "COUNT", "ACTION", "REASON", "DIRECTION", "PROTO", "INTERFACE", "SOURCE", "DESTINATION", "RULE OR NOTE",
    ])

    static func line(_ event: EventRecord) -> String {
        line([
            event.time.text, "\(event.count)", event.action, event.reason, event.direction ?? "",
            event.protocolName ?? "", event.interface ?? "", endpoint(event.source, event.sourcePort),
            endpoint(event.destination, event.destinationPort),
            [event.rule, event.note].compactMap(\.self).joined(separator: "; "),
        ])
    }

    private static func line(_ cells: [String]) -> String {
        let padded = cells.enumerated().map { index, cell in
            index < widths.count ? cell.harmless.padded(to: widths[index]) : cell.harmless
        }
        return String(padded.joined(separator: " ").reversed().drop { $0 == " " }.reversed())
    }

    private static func endpoint(_ address: String?, _ port: Int64?) -> String {
        guard let address else { return "-" }
        guard let port else { return address }
        return address.contains(":") ? "[\(address)]:\(port)" : "\(address):\(port)"
    }
}
