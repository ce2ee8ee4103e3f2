// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy

extension RuleEnd {
    private static let expected =
        "a date and time such as 2027-01-31T18:00, in the zone of this host, or with Z or an offset such as +01:00"

    static let form = ValueForm<RuleEnd>.scalar(
        expected, schema: SchemaText.text(SchemaPattern.moment), print: { $0.text },
        parse: { scalar throws(ScalarFault) in
            guard let end = RuleEnd(text: scalar.text) else {
                let isDate = RuleEnd(text: scalar.text + "T00:00") != nil
                throw ScalarFault(
                    expected, suggestion: isDate ? "\(scalar.text)T00:00 is the beginning of that day" : nil)
            }
            return end
        })
}

extension PolicyDraft {
    /// Has a rule with `until` hold as its schedule says, if it has one, and no longer: by a schedule that it shares with rules of the same
    /// schedule and end.
    mutating func settleEnd(of draft: inout RuleDraft, _ sink: inout DiagnosticSink) {
        guard let end = draft.end else { return }
        let hours = draft.rule.schedule.map { document.schedules[$0] }
        if let known = document.schedules.firstIndex(where: { $0.end == end && $0.hoursOf == hours?.name }) {
            return draft.rule.schedule = known
        }
        guard document.schedules.count < Policy.scheduleLimit else {
            return sink.error(
                at: draft.place(of: .until),
                found: "until beside \(document.schedules.count) schedules and other times of until",
                expected: "at most \(Policy.scheduleLimit) of both", suggestion: "several rules can share one")
        }
        var schedule = Schedule(
            name: "until \(end.text)", timeZone: hours?.timeZone ?? .local, weekly: hours?.weekly ?? [],
            position: draft.rule.position)
        (schedule.end, schedule.hoursOf) = (end, hours?.name)
        draft.rule.schedule = document.schedules.count
        document.schedules.append(schedule)
    }
}
