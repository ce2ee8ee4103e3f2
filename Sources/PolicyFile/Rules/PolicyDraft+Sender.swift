// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy

/// `sender` of a rule.
extension PolicyDraft {
    static let senderKeys = ["users", "groups", "units"]

    mutating func sender(_ node: YAMLNode, _ sink: inout DiagnosticSink) -> SenderCriteria {
        var criteria = SenderCriteria()
        if node.text == "any" { return criteria }
        guard case .mapping(let entries) = node.content else {
            sink.mismatch(
                node, expected: "a mapping with some of the keys users, groups and units",
                suggestion: node.text.map { "write { users: \(yamlText($0)) }" })
            return criteria
        }
        for entry in entries {
            switch entry.key {
            case "users": criteria.users = names(entry.value, .user(accounts), &sink)
            case "groups": criteria.groups = names(entry.value, .group(accounts), &sink)
            case "units": criteria.units = names(entry.value, .unit, &sink)
            default: sink.unknownKey(entry, in: "a sender", known: Self.senderKeys, advice: Self.advice(for: entry.key))
            }
        }
        return criteria
    }

    private static func advice(for key: String) -> String? {
        switch key {
        case "not": "\"not\" stands inside one of them"
        case "user", "uid", "uids": "write users: […]"
        case "group", "gid", "gids": "write groups: […]"
        case "unit", "service", "services", "cgroup": "write units: [nginx.service]"
        case "program", "process", "command", "exe": "a program is known by its user, or by the unit that runs it"
        default: nil
        }
    }

    private func names<Name>(
        _ node: YAMLNode, _ form: ValueForm<Name>, _ sink: inout DiagnosticSink
    ) -> Criterion<[Name]>? {
        guard let operand = operand(node, &sink) else { return nil }
        let several = ValueForm.oneOrSeveral(form, expected: "any, \(form.expected), or a sequence of these")
        guard let names = several.read(operand.node, &sink) else { return nil }
        guard !names.isEmpty else {
            sink.error(
                at: operand.node.place, found: "an empty sequence, which nothing matches", expected: form.expected)
            return nil
        }
        return Criterion(names, isInverted: operand.isInverted)
    }

    /// A rule's sender, beside what else the rule says.
    func checkSender(_ draft: RuleDraft, _ sink: inout DiagnosticSink) {
        let rule = draft.rule
        guard !rule.sender.isEmpty, !draft.faulty.contains(.sender) else { return }
        let place = draft.place(of: .sender)
        if rule.direction != .outgoing, !draft.faulty.contains(.direction) {
            sink.error(
                at: place, found: "a sender in an incoming rule",
                expected: "an outgoing one: who has sent what comes in, this host does not know")
        }
        if rule.action == .bypass, !draft.faulty.contains(.action) {
            sink.error(
                at: place, found: "a sender in a rule with action: bypass",
                expected:
                    "allow, force-allow, deny or log-only: what the kernel sends in a connection's place has no sender, and "
                    + "would not be let by with the rest",
                suggestion: "force-allow lets whole connections pass")
        }
        if use == .queue, document.queue.family == .bridge {
            sink.error(
                at: place, found: "a sender beside queue.family: bridge",
                expected: "none: what passes through a bridge comes from no process of this host")
        }
    }

    /// As many units as there are bits for them.
    func checkUnits(_ sink: inout DiagnosticSink) {
        let (units, bits) = (document.units, MarkLayout(mask: document.queue.markMask).units.count)
        guard units.count > bits else { return }
        let name = units[bits]
        guard let rule = document.rules.first(where: { $0.isEnabled && $0.sender.units?.value.contains(name) == true }),
            let place = unitPlaces[name]
        else { return }
        sink.error(
            at: place,
            found: "the unit \(quoted(name)) of the rule \(quoted(rule.name)), one of \(units.count) that rules name",
            expected: "at most \(bits): each takes a bit of queue.mark-mask, four of which have other uses",
            suggestion: "name a slice that has several of them, or give queue.mark-mask more bits")
    }
}

extension ValueForm where Value == SenderName {
    private static let numberSchema = SchemaText.number(0...UInt64(UInt32.max - 1))
    private static let nameSchema = SchemaText.anyOf(SchemaText.name("[A-Za-z_][A-Za-z0-9_.@-]*[$]?"), numberSchema)

    static func user(_ accounts: HostAccounts?) -> ValueForm {
        name(
            "a user of this host or a number, 0 to \(UInt32.max - 1)",
            more:
                "users of a directory service, and those that systemd makes up (DynamicUser=), are written as a number or by their unit",
            numbers: { accounts?.users ?? [:] })
    }

    static func group(_ accounts: HostAccounts?) -> ValueForm {
        name(
            "a group of this host or a number, 0 to \(UInt32.max - 1)",
            more: "groups of a directory service are written as a number", numbers: { accounts?.groups ?? [:] })
    }

    /// `numbers` is asked only where a name is to be looked up.
    private static func name(
        _ expected: String, more: String, numbers: @escaping @Sendable () -> [String: UInt32]
    ) -> ValueForm {
        .scalar(
            expected, schema: nameSchema, print: { yamlText($0.text) },
            parse: { scalar throws(ScalarFault) in
                if let first = scalar.text.utf8.first, UInt8(ascii: "0")...UInt8(ascii: "9") ~= first {
                    let number = try decimal(scalar.text, in: 0...UInt32.max - 1, expected: expected)
                    return SenderName(scalar.text, number: number)
                }
                let known = numbers()
                guard let number = known[scalar.text] else {
                    throw ScalarFault(expected, suggestion: meant(scalar.text, among: known.keys.sorted()) ?? more)
                }
                return SenderName(scalar.text, number: number)
            })
    }
}

extension ValueForm where Value == String {
    /// A unit of systemd that has processes: its name is that of its control group.
    static let unit = ValueForm.scalar(
        "the full name of a unit, such as nginx.service (a service, a slice or a scope)",
        schema: SchemaText.text("[A-Za-z0-9:_.@\\\\-]{1,240}\\.(?:service|slice|scope)"), print: { yamlText($0) },
        parse: { scalar throws(ScalarFault) in
            let expected = "the full name of a unit, such as nginx.service (a service, a slice or a scope)"
            let text = scalar.text
            let kinds = [".service", ".slice", ".scope"]
            guard let kind = kinds.first(where: text.hasSuffix) else {
                let isPlain = !text.contains(".") && !text.contains("/")
                throw ScalarFault(expected, suggestion: isPlain ? "write \(text).service" : nil)
            }
            let stem = text.dropLast(kind.count)
            let isName = stem.utf8.allSatisfy { byte in
                UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte || UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte
                    || UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte || ":_.@\\-".utf8.contains(byte)
            }
            guard isName, 1...240 ~= stem.utf8.count else { throw ScalarFault(expected) }
            return text
        })
}
