// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import PacketWire

/// What a list holds.
enum ListKind: String, Sendable { case addresses, ports, macs }

/// A list that a name stands for.
struct ListEntry: Sendable {
    var kind: ListKind
    /// Index into the document's lists of this kind.
    var index: Int
    var place: SourcePlace
}

extension PolicyDraft {
    static let listKeys = ["addresses", "addresses-file", "ports", "macs"]

    mutating func readLists(_ node: YAMLNode, _ sink: inout DiagnosticSink) {
        guard !node.isNothing else { return }
        guard case .mapping(let entries) = node.content else {
            sink.mismatch(node, expected: "a mapping of names to lists")
            return
        }
        for entry in entries where sink.hasRoom && checkListName(entry, &sink) { readList(entry, &sink) }
    }

    private func checkListName(_ entry: YAMLEntry, _ sink: inout DiagnosticSink) -> Bool {
        guard isName(entry.key), MACAddress(parsing: entry.key) == nil else {
            sink.error(
                at: entry.keyPlace, found: "the list name \(quoted(entry.key))",
                expected: "a letter, then letters, digits, '-', '_' and '.', and neither any nor not")
            return false
        }
        if let first = lists[entry.key] {
            let position = sink.position(of: first.place)
            sink.error(
                at: entry.keyPlace,
                found: "the list \(quoted(entry.key)) a second time (first at \(position.file):\(position.line))",
                expected: "each list once in all files")
            return false
        }
        return true
    }

    private mutating func readList(_ entry: YAMLEntry, _ sink: inout DiagnosticSink) {
        guard case .mapping(let parts) = entry.value.content else {
            sink.mismatch(entry.value, expected: "a mapping with one of the keys \(enumeration(PolicyDraft.listKeys))")
            return
        }
        for part in parts where sink.hasRoom && !PolicyDraft.listKeys.contains(part.key) {
            sink.unknownKey(part, in: "a list", known: PolicyDraft.listKeys)
        }
        let known = parts.filter { PolicyDraft.listKeys.contains($0.key) }
        if known.isEmpty, !parts.isEmpty { return }
        guard let part = known.first, known.count == 1 else {
            sink.error(
                at: known.dropFirst().first?.keyPlace ?? entry.value.place,
                found: known.isEmpty ? "a list of nothing" : "a second kind of values in one list",
                expected: "exactly one of the keys \(enumeration(PolicyDraft.listKeys))")
            return
        }
        define(entry, as: part, &sink)
    }

    private mutating func define(_ entry: YAMLEntry, as part: YAMLEntry, _ sink: inout DiagnosticSink) {
        let position = sink.position(of: entry.keyPlace)
        switch part.key {
        case "ports":
            let values = literals(part.value, PortSyntax.expected, &sink, PortSyntax.range)
            lists[entry.key] = ListEntry(kind: .ports, index: document.portLists.count, place: entry.keyPlace)
            document.portLists.append(
                NamedList(name: entry.key, values: PortSyntax.joined(values), position: position))
        case "macs":
            let values = literals(part.value, MACSyntax.expected, &sink, MACSyntax.address)
            lists[entry.key] = ListEntry(kind: .macs, index: document.macLists.count, place: entry.keyPlace)
            document.macLists.append(NamedList(name: entry.key, values: values.sortedSet(), position: position))
        case "addresses-file":
            let (file, ranges) = readAddressFile(part.value, &sink)
            lists[entry.key] = ListEntry(kind: .addresses, index: document.addressLists.count, place: entry.keyPlace)
            document.addressLists.append(NamedList(name: entry.key, values: ranges, file: file, position: position))
        default:
            let values = literals(part.value, AddressSyntax.expected, &sink, addressRange)
            var set = AddressRangeSet()
            for range in values { set.insert(range) }
            lists[entry.key] = ListEntry(kind: .addresses, index: document.addressLists.count, place: entry.keyPlace)
            document.addressLists.append(NamedList(name: entry.key, values: set.takeRanges(), position: position))
        }
    }

    /// The values of one scalar or of a sequence of them.
    private func literals<Value>(
        _ node: YAMLNode, _ expected: String, _ sink: inout DiagnosticSink,
        _ parse: (String) throws(ScalarFault) -> Value
    ) -> [Value] {
        let nodes: [YAMLNode]
        switch node.content {
        case .sequence(let items): nodes = items
        case .scalar where !node.isNothing: nodes = [node]
        default:
            sink.mismatch(node, expected: expected, suggestion: node.isNothing ? "[] is none" : nil)
            return []
        }
        var values: [Value] = []
        values.reserveCapacity(nodes.count)
        for node in nodes where sink.hasRoom {
            guard let text = node.text else {
                sink.mismatch(node, expected: expected)
                continue
            }
            let value = sink.value(of: node) { () throws(ScalarFault) in
                do throws(ScalarFault) {
                    return try parse(text)
                } catch {
                    guard isName(text), !text.contains(".") else { throw error }
                    throw ScalarFault(error.expected, suggestion: "names do not stand in a list: write the values")
                }
            }
            if let value { values.append(value) }
        }
        return values
    }

    private func readAddressFile(
        _ node: YAMLNode, _ sink: inout DiagnosticSink
    ) -> (file: String?, ranges: [AddressRange]) {
        guard let text = node.text, !text.isEmpty else {
            sink.mismatch(node, expected: "the path of a file of addresses")
            return (nil, [])
        }
        let path = resolved(text, besides: sink.sources[node.place.source].name)
        do throws(FileFault) {
            var file = AddressFile(name: path, bytes: try surroundings.read(path))
            for diagnostic in file.diagnostics { sink.add(diagnostic, after: node.place) }
            if file.surplus > 0 {
                sink.error(
                    at: node.place, found: "\(file.surplus) more wrong lines in \(quoted(path))",
                    expected: AddressSyntax.expected)
            }
            return (path, file.takeRanges())
        } catch {
            sink.error(
                at: node.place, found: "\(quoted(path)): \(error.reason)", expected: "a readable file of addresses")
            return (path, [])
        }
    }
}

/// A path as it stands in a policy file; a relative one begins at that file's directory.
private func resolved(_ path: String, besides file: String) -> String {
    guard !path.hasPrefix("/"), let slash = file.lastIndex(of: "/") else { return path }
    return file[...slash] + path
}

/// Reads a scalar of the policy as addresses.
func addressRange(_ text: String) throws(ScalarFault) -> AddressRange {
    let bytes = Array(text.utf8)
    return try AddressSyntax.range(bytes.span)
}

/// Whether the text can name a list. Nothing that is a name is also an address or a port.
func isName(_ text: String) -> Bool {
    guard let first = text.unicodeScalars.first, first == "_" || first.properties.isAlphabetic else { return false }
    guard text != "any", text != "not" else { return false }
    return text.unicodeScalars.allSatisfy { scalar in
        scalar.properties.isAlphabetic || scalar.properties.numericType != nil || "-_.".unicodeScalars.contains(scalar)
    }
}

extension [MACAddress] {
    /// Sorted, each once.
    func sortedSet() -> [MACAddress] { Set(self).sorted { $0.bits < $1.bits } }
}
