// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import PacketWire

/// What names inside lists and criteria stand for: lists by their names, and ports by those of services. A list's own name
/// comes before a service's.
extension PolicyDraft {
    /// Whether the text is a name and no value of this kind.
    func takesForName(_ text: String, _ kind: ListKind) -> Bool {
        switch kind {
        case .addresses: isName(text)
        case .macs: isName(text) && MACAddress(parsing: text) == nil
        case .ports: isName(text) || text.contains(where: \.isLetter) && serviceNames.ports(of: text) != nil
        }
    }

    /// The values of a list or a service; nil after reporting that there is none of this name.
    mutating func values<Value>(
        named name: String, by node: YAMLNode, _ form: ListForm<Value>, _ sink: inout DiagnosticSink
    ) -> [Value]? {
        if lists[name] == nil, let values = form.service(serviceNames, name) { return values }
        guard let index = namedList(node, name, form.kind, &sink) else { return nil }
        let values = document[keyPath: form.lists][index].values
        return takeCopy(of: values.count, at: node, &sink) ? values : nil
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

    /// The index of a list in the document.
    func namedList(_ node: YAMLNode, _ name: String, _ kind: ListKind, _ sink: inout DiagnosticSink) -> Int? {
        if let entry = lists[name] {
            if entry.kind == kind { return entry.index }
            sink.error(
                at: node.place, found: "the list \(quoted(name)), which holds \(entry.kind.noun)",
                expected: "a list of \(kind.noun)")
            return nil
        }
        if isIncomplete { return nil }
        var known = sink.hasRoom ? document.listNames(of: kind) : []
        var hint = kind == .addresses && name.contains(".") ? "host names are not looked up" : nil
        if kind == .ports {
            known += sink.hasRoom ? serviceNames.names.sorted() : []
            if serviceNames.isEmpty { hint = "names of services are those of /etc/services, which this host has not" }
        }
        sink.error(
            at: node.place, found: "the undefined list\(kind == .ports ? " or service" : "") \(quoted(name))",
            expected: "a name under lists\(kind == .ports ? " or in /etc/services" : ""), or \(kind.literal)",
            suggestion: meant(name, among: known) ?? hint)
        return nil
    }
}

extension PolicyDocument {
    /// Names to compare a misspelt one with; no more than that takes a moment. Named lists stand before values.
    fileprivate func listNames(of kind: ListKind) -> [String] {
        switch kind {
        case .addresses: addressLists.prefix(1_000).compactMap(\.name)
        case .ports: portLists.prefix(1_000).compactMap(\.name)
        case .macs: macLists.prefix(1_000).compactMap(\.name)
        }
    }
}
