// SPDX-License-Identifier: GPL-3.0-or-later

package import ConnectionTracking
package import FirewallPolicy

/// One rule of the policy in force, and how often it has decided.
package struct RuleReport: Hashable, Sendable {
    package var name: String
    /// "policy.yaml:12"; nil for a built-in rule.
    package var place: String?
    package var action: RuleAction
    package var priority: UInt8
    package var direction: Direction
    package var isEnabled: Bool
    /// When it ends, as the policy says it, and whether that is past.
    package var until: String?
    package var isOver = false
    package var packets: UInt64 = 0
    /// Of IP.
    package var bytes: UInt64 = 0
    /// Microseconds since 1970; nil while there was none.
    package var first: Int64?
    package var last: Int64?
    /// Since when it is counted: over restarts, and reloads that did not change it.
    package var since: Int64

    package init(
        name: String, place: String?, action: RuleAction, priority: UInt8, direction: Direction, isEnabled: Bool,
        since: Int64
    ) {
        self.name = name
        self.place = place
        self.action = action
        self.priority = priority
        self.direction = direction
        self.isEnabled = isEnabled
        self.since = since
    }
}

/// Which rules to list, from where on.
package struct RuleQuery: Hashable, Sendable {
    /// `RulePage.next` of the page before; 0 begins.
    package var after: UInt32 = 0
    /// Rows wanted at most, 1 … `ControlProtocol.rowLimit`.
    package var limit = ControlProtocol.rowLimit

    package init() {}
}

/// A part of the list, in the order of the policy.
package struct RulePage: Hashable, Sendable {
    /// Of the policy whose rules they are; the next page may be of another.
    package var epoch: UInt32
    package var rows: [RuleReport]
    /// Where the next page begins; nil at the end.
    package var next: UInt32?

    package init(epoch: UInt32, rows: [RuleReport], next: UInt32?) {
        self.epoch = epoch
        self.rows = rows
        self.next = next
    }
}

extension RuleReport {
    /// As the control socket and `rules --json` show it.
    package var json: JSONValue {
        var members: [JSONValue.Member] = [.init("rule", .text(name))]
        if let place { members.append(.init("place", .text(place))) }
        members += [
            .init("action", .text(action.listWord)), .init("priority", .count(priority)),
            .init("direction", .text(direction.word)), .init("enabled", .bool(isEnabled)),
            .init("packets", .count(packets)), .init("bytes", .count(bytes)),
        ]
        if let until { members += [.init("until", .text(until)), .init("over", .bool(isOver))] }
        if let first { members.append(.init("first_us", .count(first))) }
        if let last { members.append(.init("last_us", .count(last))) }
        return .object(members + [.init("since_us", .count(since))])
    }

    init(_ reader: MessageReader) throws(ControlFailure) {
        self.init(
            name: try reader.text("rule"), place: try reader.optional("place", reader.text),
            action: try reader.word("action", RuleAction.init(listWord:)), priority: try reader.integer("priority"),
            direction: try reader.word("direction", Direction.init(word:)), isEnabled: try reader.bool("enabled"),
            since: try reader.integer("since_us"))
        until = try reader.optional("until", reader.text)
        isOver = try reader.optional("over", reader.bool) ?? false
        packets = try reader.integer("packets")
        bytes = try reader.integer("bytes")
        first = try reader.optional("first_us") { name throws(ControlFailure) in try reader.integer(name) }
        last = try reader.optional("last_us") { name throws(ControlFailure) in try reader.integer(name) }
    }
}

extension RuleQuery {
    var members: [JSONValue.Member] { [.init("after", .count(after)), .init("limit", .count(limit))] }

    /// Every member may be left out, for people who write requests by hand.
    init(_ reader: MessageReader) throws(ControlFailure) {
        after = try reader.optional("after") { name throws(ControlFailure) in try reader.integer(name) } ?? 0
        let wanted: Int? = try reader.optional("limit") { name throws(ControlFailure) in try reader.integer(name) }
        limit = min(max(wanted ?? ControlProtocol.rowLimit, 1), ControlProtocol.rowLimit)
    }
}

extension RulePage {
    var members: [JSONValue.Member] {
        [
            .init("epoch", .count(epoch)), .init("rules", .list(rows.map(\.json))),
            .init("next", next.map { .count($0) } ?? .null),
        ]
    }

    init(_ reader: MessageReader) throws(ControlFailure) {
        epoch = try reader.integer("epoch")
        rows = try reader.list("rules", RuleReport.init)
        next = try reader.optional("next") { name throws(ControlFailure) in try reader.integer(name) }
    }
}

extension RuleAction {
    /// As policies say it.
    package var listWord: String {
        switch self {
        case .bypass: "bypass"
        case .logOnly: "log-only"
        case .forceAllow: "force-allow"
        case .deny: "deny"
        case .allow: "allow"
        }
    }

    fileprivate init?(listWord: String) {
        guard let action = RuleAction.allCases.first(where: { $0.listWord == listWord }) else { return nil }
        self = action
    }
}
