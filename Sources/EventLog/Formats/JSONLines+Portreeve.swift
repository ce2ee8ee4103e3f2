// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire

extension JSONLines {
    /// The object that says what the firewall did, and why.
    static func appendPortreeve(
        _ fields: RecordFields, at place: RecordPlace, _ first: CalendarTime.Text, to json: inout JSONText
    ) {
        let row = fields.event.reason.row
        json.beginObject("portreeve")
        json.field("reason", row.slug)
        json.field("id", row.number)
        json.field("name", fields.name)
        json.field("action", fields.event.action.text)
        json.field("direction", ifPresent: fields.direction?.text)
        json.field("stage", row.stage.letter)
        json.field("cause", ifPresent: fields.cause?.slug)
        if let rule = fields.rule { appendRule(rule, to: &json) }
        json.field("reply", ifPresent: fields.reply)
        json.field("note", ifPresent: fields.note)
        if let account = fields.account { appendEnding(account, to: &json) }
        json.field("count", fields.summary.count)
        json.field("first", first)
        json.field("last", fields.last == fields.first ? first : CalendarTime(unixNanoseconds: fields.last).text)
        appendCircumstances(fields, to: &json)
        if let explain = fields.explain { json.field("explain", list: explain) }
        json.field("sequence", place.sequence)
        if place.lost > 0 { json.field("lost", place.lost) }
        json.endObject()
    }

    /// A built-in rule stands in no file.
    private static func appendRule(_ rule: RuleName, to json: inout JSONText) {
        json.field("rule", rule.name)
        json.field("priority", rule.priority)
        guard !rule.position.file.isEmpty else { return }
        json.field("rule_file", rule.position.file)
        json.field("rule_line", UInt(clamping: rule.position.line))
    }

    private static func appendCircumstances(_ fields: RecordFields, to json: inout JSONText) {
        if let mode = fields.mode { json.field("mode", mode == .tap ? "tap" : "inline") }
        json.field("hook", ifPresent: fields.hook?.text)
        json.field("queue", ifPresent: fields.queue)
        json.field("policy_epoch", ifPresent: fields.policyEpoch)
        if let arrival = fields.arrival { json.field("arrived", CalendarTime(unixNanoseconds: arrival).text) }
        json.field("uid", ifPresent: fields.senderUID)
        json.field("user", ifPresent: fields.senderUser)
        json.field("gid", ifPresent: fields.senderGID)
        json.field("unit", ifPresent: fields.senderUnit)
    }
}
