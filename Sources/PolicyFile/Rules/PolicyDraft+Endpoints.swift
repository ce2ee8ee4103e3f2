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

    /// A list by name, a literal, or a sequence of both. What is not one named list becomes an unnamed one.
    private mutating func listCriterion(
        _ node: YAMLNode, _ kind: ListKind, _ sink: inout DiagnosticSink
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
                operand.node, expected: kind.expected,
                suggestion: operand.node.isNothing ? nil : "an empty sequence matches nothing")
            return nil
        }
        let errors = sink.errorCount
        let index = listIndex(items, kind, at: operand.node.place, &sink)
        guard let index, sink.errorCount == errors else { return nil }
        if kind == .ports, operand.isInverted, document.portLists[index].values == [PortRange(first: 0, last: .max)] {
            sink.error(at: operand.node.place, found: "not all ports, which nothing matches", expected: "a criterion")
        }
        return Criterion(index, isInverted: operand.isInverted)
    }

    private mutating func listIndex(
        _ items: [YAMLNode], _ kind: ListKind, at place: SourcePlace, _ sink: inout DiagnosticSink
    ) -> Int? {
        if items.count == 1, let name = items[0].text, kind.takesForName(name) {
            return namedList(items[0], name, kind, &sink)
        }
        let position = sink.position(of: place)
        switch kind {
        case .addresses:
            var set = AddressRangeSet()
            for item in items {
                guard sink.hasRoom else { break }
                for range in values(of: item, kind, in: document.addressLists, &sink, literal: addressRange) {
                    set.insert(range)
                }
            }
            document.addressLists.append(NamedList(name: nil, values: set.takeRanges(), position: position))
            return document.addressLists.count - 1
        case .ports:
            let values = items.flatMap {
                self.values(of: $0, kind, in: document.portLists, &sink, literal: PortSyntax.range)
            }
            document.portLists.append(NamedList(name: nil, values: PortSyntax.joined(values), position: position))
            return document.portLists.count - 1
        case .macs:
            let values = items.flatMap {
                self.values(of: $0, kind, in: document.macLists, &sink, literal: MACSyntax.address)
            }
            document.macLists.append(NamedList(name: nil, values: values.sortedSet(), position: position))
            return document.macLists.count - 1
        }
    }

    /// The values that one item of a sequence stands for.
    private mutating func values<Value>(
        of item: YAMLNode, _ kind: ListKind, in lists: [NamedList<[Value]>], _ sink: inout DiagnosticSink,
        literal: (String) throws(ScalarFault) -> Value
    ) -> [Value] {
        guard let text = item.text else {
            sink.mismatch(item, expected: kind.expected)
            return []
        }
        guard text != "any" else {
            sink.error(at: item.place, found: "any among others", expected: "any alone, or what is meant")
            return []
        }
        if kind.takesForName(text) {
            guard let index = namedList(item, text, kind, &sink) else { return [] }
            guard takeCopy(of: lists[index].values.count, at: item, &sink) else { return [] }
            return lists[index].values
        }
        return sink.value(of: item) { () throws(ScalarFault) in try literal(text) }.map { [$0] } ?? []
    }

    /// Every mixture has its own copy of the lists in it; a great one belongs in a list of its own.
    private mutating func takeCopy(of count: Int, at node: YAMLNode, _ sink: inout DiagnosticSink) -> Bool {
        copiedValues += count
        guard copiedValues > PolicyDraft.maximumCopiedValues else { return true }
        sink.error(
            at: node.place, found: "more than \(PolicyDraft.maximumCopiedValues) values of lists in mixtures",
            expected: "the list alone", suggestion: "write a rule for each list")
        return false
    }

    private func namedList(
        _ node: YAMLNode, _ name: String, _ kind: ListKind, _ sink: inout DiagnosticSink
    ) -> Int? {
        if let entry = lists[name] {
            if entry.kind == kind { return entry.index }
            sink.error(
                at: node.place, found: "the list \(quoted(name)), which holds \(entry.kind.noun)",
                expected: "a list of \(kind.noun)")
            return nil
        }
        if isIncomplete { return nil }
        let known = sink.hasRoom ? document.listNames(of: kind) : []
        let hint = kind == .addresses && name.contains(".") ? "host names are not looked up" : nil
        sink.error(
            at: node.place, found: "the undefined list \(quoted(name))",
            expected: "a name under lists, or \(kind.literal)",
            suggestion: meant(name, among: known) ?? hint)
        return nil
    }
}

extension PolicyDocument {
    /// Names to compare a misspelt one with; no more than that takes a moment. Named lists stand before literals.
    fileprivate func listNames(of kind: ListKind) -> [String] {
        switch kind {
        case .addresses: addressLists.prefix(1_000).compactMap(\.name)
        case .ports: portLists.prefix(1_000).compactMap(\.name)
        case .macs: macLists.prefix(1_000).compactMap(\.name)
        }
    }
}

extension ListKind {
    fileprivate var expected: String { "any, the name of a list, \(literal), or a sequence of these" }

    fileprivate var literal: String {
        switch self {
        case .addresses: AddressSyntax.expected
        case .ports: PortSyntax.expected
        case .macs: MACSyntax.expected
        }
    }

    fileprivate var noun: String { self == .macs ? "MAC addresses" : rawValue }

    /// Whether the text names a list and is no literal of this kind.
    fileprivate func takesForName(_ text: String) -> Bool {
        isName(text) && (self != .macs || MACAddress(parsing: text) == nil)
    }
}
