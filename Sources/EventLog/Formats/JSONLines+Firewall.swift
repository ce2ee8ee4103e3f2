// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire

extension Line {
    /// The object that says what the firewall did, and why.
    func appendFirewall(to json: inout JSONText) {
        let row = event.reason.row
        let rule = shares(.rule) ? format.policies.rule(event.rule, epoch: event.policyEpoch) : nil
        json.beginObject("firewall")
        json.field("reason", row.slug)
        json.field("id", row.number)
        json.field("name", row.setting == "rule" ? rule?.name ?? row.name : row.name)
        json.field("action", event.action.text)
        if hasDirection { json.field("direction", metadata.direction == .incoming ? "incoming" : "outgoing") }
        json.field("stage", row.stage.letter)
        if let rule {
            json.field("rule", rule.name)
            json.field("priority", rule.priority)
        }
        json.field("note", ifPresent: note)
        json.field("count", summary.count)
        json.field("first", calendar(summary.first))
        json.field("last", calendar(summary.last))
        appendCircumstances(to: &json)
        json.field("explain", ifPresent: explanation(row, rule))
        json.endObject()
    }

    private func appendCircumstances(to json: inout JSONText) {
        if shares(.policy), let mode = format.policies[event.policyEpoch]?.mode {
            json.field("mode", mode == .tap ? "tap" : "inline")
        }
        if shares(.delivery) {
            json.field("hook", ifPresent: metadata.hook.text)
            if metadata.hook != .none || event.reason == .internalDriverError { json.field("queue", metadata.queue) }
        }
        if shares(.policy) { json.field("policy_epoch", event.policyEpoch) }
        guard shares(.packet) else { return }
        if metadata.arrival != 0 { json.field("arrived", CalendarTime(unixNanoseconds: metadata.arrival)) }
        if metadata.senderUID != .max { json.field("uid", metadata.senderUID) }
        if metadata.senderGID != .max { json.field("gid", metadata.senderGID) }
    }

    /// What the agent reports of itself has none.
    private var hasDirection: Bool {
        headers.network != .none || headers.etherType != 0 || event.reason.row.stage != .agent
    }

    private var note: String? {
        if let detail = record.detail { return detail }
        if !shares(.source) { return "many sources" }
        return shares(.note) ? event.note.text : nil
    }

    /// The rule or setting that would change the outcome.
    private func explanation(_ row: ReasonRow, _ rule: RuleName?) -> String? {
        guard row.setting == "rule" else { return row.setting }
        guard let rule else { return nil }
        let position = rule.position
        return position.file.isEmpty ? "rule \(rule.name)" : "rule \(rule.name) (\(position.file):\(position.line))"
    }
}

extension EventAction {
    /// As events say it.
    package var text: String {
        switch self {
        case .deny: "deny"
        case .logOnly: "log-only"
        case .notice: "notice"
        case .observed: "observed"
        case .tapDeny: "tap:deny"
        case .failOpen: "fail-open"
        }
    }
}

extension EventNote {
    /// As events say it; `nil` for none.
    package var text: String? {
        switch self {
        case .none: nil
        case .refusedConnection: "refused connection"
        case .prevFull: "prev-full"
        case .prevPart: "prev-part"
        case .nextFull: "next-full"
        case .nextPart: "next-part"
        case .posture: "anti-evasion"
        case .condemnedDatagram: "condemned datagram"
        }
    }
}

extension Hook {
    /// As events say it; `nil` where the packet came from no hook.
    package var text: String? {
        switch self {
        case .prerouting: "prerouting"
        case .input: "input"
        case .forward: "forward"
        case .output: "output"
        case .postrouting: "postrouting"
        case .unknown: "unknown"
        case .none: nil
        }
    }
}
