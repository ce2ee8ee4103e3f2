// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy

extension PolicyDraft {
    /// Reads one rule and appends it to the document if nothing is wrong with it.
    mutating func readRule(_ node: YAMLNode, _ sink: inout DiagnosticSink) {
        guard case .mapping(let entries) = node.content else {
            sink.mismatch(node, expected: "a rule: a mapping with at least name, action and direction")
            return
        }
        let position = sink.position(of: node.place)
        var draft = RuleDraft(
            rule: Rule(name: "", action: .deny, priority: 0, direction: .incoming, position: position),
            place: node.place)
        let values = ruleValues(entries, &sink)
        let errorsBefore = sink.errorCount
        for key in RuleKey.allCases {
            guard let value = values[key] else { continue }
            draft.places[key] = value.place
            let errors = sink.errorCount
            read(key, value, into: &draft, &sink)
            if sink.errorCount > errors { draft.faulty.insert(key) }
        }
        requireKeys(&draft, values, &sink)
        if sink.errorCount == errorsBefore { settleEnd(of: &draft, &sink) }
        check(draft, &sink)
        guard sink.errorCount == errorsBefore else { return }
        document.rules.append(draft.rule)
        for unit in draft.rule.sender.units?.value ?? [] where unitPlaces[unit] == nil {
            unitPlaces[unit] = draft.place(of: .sender)
        }
        if draft.rule.offload, draft.rule.isEnabled { offloads.append((draft.rule, draft.place(of: .offload))) }
    }

    private func ruleValues(_ entries: [YAMLEntry], _ sink: inout DiagnosticSink) -> [RuleKey: YAMLNode] {
        var values: [RuleKey: YAMLNode] = [:]
        for entry in entries where sink.hasRoom {
            if let key = RuleKey(rawValue: entry.key) {
                values[key] = entry.value
            } else {
                sink.unknownKey(
                    entry, in: "a rule", known: RuleKey.names, advice: RuleKey.advice(for: entry.key))
            }
        }
        return values
    }

    private func requireKeys(_ draft: inout RuleDraft, _ values: [RuleKey: YAMLNode], _ sink: inout DiagnosticSink) {
        for key in [RuleKey.name, .action, .direction] where values[key] == nil {
            draft.faulty.insert(key)
            let expected =
                switch key {
                case .name: "name: and a text that no other rule has"
                case .action: "action: \(alternatives(RuleAction.words.map(\.key)))"
                default: "direction: incoming or outgoing"
                }
            sink.error(at: draft.place, found: "a rule without \(key.rawValue)", expected: expected)
        }
    }

    private mutating func read(
        _ key: RuleKey, _ node: YAMLNode, into draft: inout RuleDraft, _ sink: inout DiagnosticSink
    ) {
        switch key {
        case .name: readName(node, into: &draft, &sink)
        case .action:
            guard let action = RuleAction.form.read(node, &sink) else { return }
            draft.rule.action = action
            draft.rule.log = action.logs
            draft.rule.priority = action == .logOnly ? 4 : 0
        case .priority:
            let form = ValueForm<UInt32>.number(0...4, "a priority, 0 (lowest) to 4 (highest)")
            if let priority = form.read(node, &sink) { draft.rule.priority = UInt8(priority) }
        case .direction: if let direction = Direction.form.read(node, &sink) { draft.rule.direction = direction }
        case .frame: if let frame = frame(node, &sink) { draft.rule.frame = frame }
        case .protocols: draft.rule.protocols = protocols(node, &sink)
        case .source: draft.rule.source = endpoint(node, &sink)
        case .destination: draft.rule.destination = endpoint(node, &sink)
        case .sender: draft.rule.sender = sender(node, &sink)
        case .flags: draft.rule.flags = flags(node, &sink)
        case .icmp: draft.rule.icmp = icmp(node, of: draft, &sink)
        case .interfaces: draft.rule.interfaces = interfaces(node, &sink)
        case .schedule: draft.rule.schedule = schedule(node, &sink)
        case .isEnabled: if let isOn = ValueForm.flag.read(node, &sink) { draft.rule.isEnabled = isOn }
        case .comment:
            draft.rule.comment = node.text
            if node.text == nil { sink.mismatch(node, expected: "a text") }
        case .log: if let log = ValueForm.flag.read(node, &sink) { draft.rule.log = log }
        case .rate: draft.rule.rate = OpeningRate.form.read(node, &sink)
        case .until: draft.end = RuleEnd.form.read(node, &sink)
        case .reply: if let reply = Reply.form.read(node, &sink) { draft.rule.reply = reply }
        case .packetData: if let data = ValueForm.flag.read(node, &sink) { draft.rule.packetData = data }
        case .offload: if let offload = ValueForm.flag.read(node, &sink) { draft.rule.offload = offload }
        }
    }

    private mutating func readName(_ node: YAMLNode, into draft: inout RuleDraft, _ sink: inout DiagnosticSink) {
        guard let name = node.text, !name.isEmpty,
            name.unicodeScalars.allSatisfy({ $0.properties.generalCategory != .control })
        else {
            sink.mismatch(node, expected: "a name: one line of text")
            return
        }
        draft.rule.name = name
        guard let first = ruleNames.updateValue(node.place, forKey: name) else { return }
        ruleNames[name] = first
        let position = sink.position(of: first)
        sink.error(
            at: node.place,
            found: "the rule name \(quoted(name)) a second time (first at \(position.file):\(position.line))",
            expected: "a name that no other rule has")
    }

    private func schedule(_ node: YAMLNode, _ sink: inout DiagnosticSink) -> Int? {
        guard let name = node.text else {
            sink.mismatch(node, expected: "the name of a schedule")
            return nil
        }
        if let index = schedules.firstIndex(where: { $0.name == name }) { return index }
        if isIncomplete { return nil }
        sink.error(
            at: node.place, found: "the undefined schedule \(quoted(name))", expected: "the name of a schedule",
            suggestion: meant(name, among: schedules.map(\.name)))
        return nil
    }
}

extension Direction {
    static let form = ValueForm<Direction>.words(
        ["incoming": .incoming, "outgoing": .outgoing],
        advice: [
            "in": "write incoming", "inbound": "write incoming", "input": "write incoming",
            "ingress": "write incoming", "out": "write outgoing", "outbound": "write outgoing",
            "output": "write outgoing", "egress": "write outgoing", "both": "each direction takes a rule of its own",
            "any": "each direction takes a rule of its own", "forward": "forwarded traffic is incoming or outgoing too",
        ])
}
