// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire

extension ConnectionReport {
    /// As the control socket and `connections --json` show it.
    package var json: JSONValue {
        var members: [JSONValue.Member] = [
            .init("protocol", .count(protocolNumber)), .init("ipv6", .bool(isIPv6)),
            .init("src_ip", .text(source.description(isIPv6: isIPv6))),
            .init("src_port", .count(sourcePortOrIdentifier)),
            .init("dest_ip", .text(destination.description(isIPv6: isIPv6))),
            .init("dest_port", .count(destinationPort)),
            .init("direction", .text(direction.word)), .init("state", .text(state)),
            .init("age_ms", .count(age.nanoseconds / 1_000_000)),
            .init("idle_ms", .count(idle.nanoseconds / 1_000_000)), .init("packets", .count(packets)),
            .init("interface", .text(interface)), .init("queue", queue.map { .count($0) } ?? .null),
        ]
        if let refusal { members.append(.init("refusal", .text(refusal.row.slug))) }
        if let rule { members += rule.members }
        if let fastPath { members.append(.init("fast_path", .text(fastPath))) }
        return .object(members)
    }

    init(_ reader: MessageReader) throws(ControlFailure) {
        protocolNumber = try reader.integer("protocol")
        isIPv6 = try reader.bool("ipv6")
        source = try reader.word("src_ip") { IPAddress(parsing: $0) }
        sourcePortOrIdentifier = try reader.integer("src_port")
        destination = try reader.word("dest_ip") { IPAddress(parsing: $0) }
        destinationPort = try reader.integer("dest_port")
        direction = try reader.word("direction", Direction.init(word:))
        state = try reader.text("state")
        age = try reader.milliseconds("age_ms")
        idle = try reader.milliseconds("idle_ms")
        packets = try reader.integer("packets")
        interface = try reader.text("interface")
        queue = try reader.optional("queue") { name throws(ControlFailure) in try reader.integer(name) }
        refusal = try reader.optional("refusal") { name throws(ControlFailure) in
            try reader.word(name, DropReason.init(slug:))
        }
        rule = try DecidingRule(reader)
        fastPath = try reader.optional("fast_path", reader.text)
    }
}

extension DecidingRule {
    fileprivate var members: [JSONValue.Member] {
        var members = [JSONValue.Member("rule", .optional(name))]
        if let place { members.append(.init("rule_place", .text(place))) }
        if let epoch { members.append(.init("rule_epoch", .count(epoch))) }
        return members + [.init("rule_standing", .text(standing.rawValue))]
    }

    fileprivate init?(_ reader: MessageReader) throws(ControlFailure) {
        let standing = try reader.optional("rule_standing") { name throws(ControlFailure) in
            try reader.word(name, Standing.init(rawValue:))
        }
        guard let standing else { return nil }
        self.standing = standing
        name = try reader.optional("rule", reader.text)
        place = try reader.optional("rule_place", reader.text)
        epoch = try reader.optional("rule_epoch") { name throws(ControlFailure) in try reader.integer(name) }
    }
}

extension MessageReader {
    fileprivate func milliseconds(_ name: String) throws(ControlFailure) -> Instant.Span {
        let milliseconds: Int64 = try integer(name)
        return Instant.Span(nanoseconds: milliseconds.multipliedReportingOverflow(by: 1_000_000).partialValue)
    }
}

extension ConnectionPage {
    var members: [JSONValue.Member] {
        [.init("rows", .list(rows.map(\.json))), .init("next", next.map { .count($0) } ?? .null)]
    }

    init(_ reader: MessageReader) throws(ControlFailure) {
        rows = try reader.list("rows", ConnectionReport.init)
        next = try reader.optional("next") { name throws(ControlFailure) in try reader.integer(name) }
    }
}

extension ConnectionQuery {
    var members: [JSONValue.Member] {
        var members: [JSONValue.Member] = [.init("after", .count(after)), .init("limit", .count(limit))]
        if let number = filter.protocolNumber { members.append(.init("protocol", .count(number))) }
        if let range = filter.addresses {
            members.append(.init("first", .text(range.first.description)))
            members.append(.init("last", .text(range.last.description)))
        }
        if let port = filter.port { members.append(.init("port", .count(port))) }
        if let state = filter.state { members.append(.init("state", .text(state))) }
        if let direction = filter.direction { members.append(.init("direction", .text(direction.word))) }
        if filter.refusedOnly { members.append(.init("refused", .bool(true))) }
        return members
    }

    /// Every member may be left out, for people who write requests by hand.
    init(_ reader: MessageReader) throws(ControlFailure) {
        after = try reader.optional("after") { name throws(ControlFailure) in try reader.integer(name) } ?? 0
        let wanted: Int? = try reader.optional("limit") { name throws(ControlFailure) in try reader.integer(name) }
        limit = min(max(wanted ?? ControlProtocol.rowLimit, 1), ControlProtocol.rowLimit)
        filter.protocolNumber = try reader.optional("protocol") { name throws(ControlFailure) in
            try reader.integer(name)
        }
        let first = try reader.optional("first") { name throws(ControlFailure) in
            try reader.word(name) { IPAddress(parsing: $0) }
        }
        if let first {
            filter.addresses = AddressRange(first: first, last: try reader.word("last") { IPAddress(parsing: $0) })
        }
        filter.port = try reader.optional("port") { name throws(ControlFailure) in try reader.integer(name) }
        filter.state = try reader.optional("state", reader.text)
        filter.direction = try reader.optional("direction") { name throws(ControlFailure) in
            try reader.word(name, Direction.init(word:))
        }
        filter.refusedOnly = try reader.optional("refused", reader.bool) ?? false
    }
}
