// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import PacketWire

/// `source` and `destination` of a rule.
extension PolicyDraft {
    mutating func endpoint(_ node: YAMLNode, _ sink: inout DiagnosticSink) -> EndpointCriteria {
        var criteria = EndpointCriteria()
        if node.text == "any" { return criteria }
        guard case .mapping(let entries) = node.content else {
            sink.mismatch(
                node, expected: "a mapping with some of the keys addresses, ports and macs",
                suggestion: node.text.map { "write { addresses: \(yamlText($0)) }" })
            return criteria
        }
        for entry in entries {
            switch ListKind(rawValue: entry.key) {
            case .addresses: criteria.addresses = listCriterion(entry.value, .addresses, &sink)
            case .ports: criteria.ports = listCriterion(entry.value, .ports, &sink)
            case .macs: criteria.macs = listCriterion(entry.value, .macs, &sink)
            case nil:
                sink.unknownKey(
                    entry, in: "an endpoint", known: ["addresses", "ports", "macs"],
                    advice: entry.key == "not" ? "\"not\" stands inside one of them" : nil)
            }
        }
        return criteria
    }

    /// A list by name, a value, or a sequence of both. What is not one named list becomes an unnamed one.
    mutating func listCriterion<Value>(
        _ node: YAMLNode, _ form: ListForm<Value>, _ sink: inout DiagnosticSink
    ) -> Criterion<Int>? {
        guard let operand = operand(node, &sink) else { return nil }
        let items: [YAMLNode]
        switch operand.node.content {
        case .sequence(let nodes): items = nodes
        case .scalar where !operand.node.isNothing: items = [operand.node]
        default: items = []
        }
        guard !items.isEmpty else {
            sink.mismatch(
                operand.node, expected: form.kind.expected,
                suggestion: operand.node.isNothing ? nil : "an empty sequence matches nothing")
            return nil
        }
        let errors = sink.errorCount
        let index = listIndex(items, form, at: operand.node.place, &sink)
        guard let index, sink.errorCount == errors else { return nil }
        if form.kind == .ports, operand.isInverted,
            document.portLists[index].values == [PortRange(first: 0, last: .max)]
        {
            sink.error(at: operand.node.place, found: "not all ports, which nothing matches", expected: "a criterion")
        }
        return Criterion(index, isInverted: operand.isInverted)
    }

    private mutating func listIndex<Value>(
        _ items: [YAMLNode], _ form: ListForm<Value>, at place: SourcePlace, _ sink: inout DiagnosticSink
    ) -> Int? {
        if items.count == 1, let name = items[0].text, takesForName(name, form.kind),
            lists[name] != nil || form.service(serviceNames, name) == nil
        {
            return namedList(items[0], name, form.kind, &sink)
        }
        var parts = ListParts<Value>()
        for item in items where sink.hasRoom { add(item, to: &parts, form, &sink) }
        let list = parts.list(name: nil, at: sink.position(of: place), normalize: form.normalize)
        document[keyPath: form.lists].append(list)
        return document[keyPath: form.lists].count - 1
    }

    /// One item of a sequence.
    private mutating func add<Value>(
        _ item: YAMLNode, to parts: inout ListParts<Value>, _ form: ListForm<Value>, _ sink: inout DiagnosticSink
    ) {
        guard let text = item.text else { return sink.mismatch(item, expected: form.kind.expected) }
        guard text != "any" else {
            return sink.error(at: item.place, found: "any among others", expected: "any alone, or what is meant")
        }
        guard takesForName(text, form.kind) else {
            if let value = sink.value(of: item, { () throws(ScalarFault) in try form.parse(text) }) {
                parts.literals.append(value)
            }
            return
        }
        guard !parts.names.contains(text), let values = values(named: text, by: item, form, &sink) else { return }
        parts.names.append(text)
        parts.named += values
    }
}

extension ListKind {
    var expected: String { "any, the name of a list, \(literal), or a sequence of these" }

    /// What may stand in a list in place of another list's name.
    var literal: String {
        switch self {
        case .addresses: AddressSyntax.expected
        case .ports: PortSyntax.expected
        case .macs: MACSyntax.expected
        }
    }

    var noun: String { self == .macs ? "MAC addresses" : rawValue }
}
