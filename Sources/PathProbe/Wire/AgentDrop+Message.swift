// SPDX-License-Identifier: GPL-3.0-or-later

internal import AgentControl
internal import FirewallEngine

extension AgentDrop {
    /// As the reflector tells the scan: always of its own host.
    var json: JSONValue {
        [
            "protocol": .text(transport.rawValue), "source": .text("\(source)"),
            "destination": .text("\(destination)"), "direction": .text(direction), "action": .text(action),
            "reason": .text(reason.row.slug), "rule": .optional(rule), "place": .optional(place),
            "count": .count(count),
        ]
    }

    init(_ json: JSONValue) throws(MessageFault) {
        guard let transport = json["protocol"]?.asText.flatMap(Transport.init(rawValue:)),
            let source = json["source"]?.asText.flatMap(Endpoint.init(parsing:)),
            let destination = json["destination"]?.asText.flatMap(Endpoint.init(parsing:)),
            let direction = json["direction"]?.asText, let action = json["action"]?.asText,
            let reason = json["reason"]?.asText.flatMap(DropReason.init(slug:)),
            let count = json["count"]?.asInteger
        else { throw MessageFault("an agent's event of another form") }
        self.init(
            .there, transport, from: source, to: destination, direction: direction, action: action, reason: reason,
            rule: json["rule"]?.asText, place: json["place"]?.asText, count: Int(clamping: count))
    }
}
