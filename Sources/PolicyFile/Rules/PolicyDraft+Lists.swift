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
    /// Items that name other lists, or services; settled once all lists are known.
    var references: [YAMLNode] = []
    var state = State.read

    enum State: Hashable {
        case read
        /// Its references are being followed.
        case open
        /// Has its values. Lists of lists are one level higher than the highest list in them.
        case settled(levels: Int)
    }
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
        switch part.key {
        case "ports": define(entry, part.value, .ports, &sink)
        case "macs": define(entry, part.value, .macs, &sink)
        case "addresses-file":
            let (file, ranges) = readAddressFile(part.value, &sink)
            lists[entry.key] = ListEntry(kind: .addresses, index: document.addressLists.count, place: entry.keyPlace)
            let position = sink.position(of: entry.keyPlace)
            document.addressLists.append(NamedList(name: entry.key, values: ranges, file: file, position: position))
        default: define(entry, part.value, .addresses, &sink)
        }
    }

    private mutating func define<Value>(
        _ entry: YAMLEntry, _ node: YAMLNode, _ form: ListForm<Value>, _ sink: inout DiagnosticSink
    ) {
        var list = ListEntry(kind: form.kind, index: document[keyPath: form.lists].count, place: entry.keyPlace)
        var parts = ListParts<Value>()
        for item in items(of: node, form.kind, &sink) where sink.hasRoom {
            guard let text = item.text else {
                sink.mismatch(item, expected: form.kind.literal)
                continue
            }
            guard text != "any" else {
                sink.error(
                    at: item.place, found: "any in a list", expected: "values",
                    suggestion: "a rule without the criterion matches any")
                continue
            }
            guard takesForName(text, form.kind) else {
                if let value = sink.value(of: item, { () throws(ScalarFault) in try form.parse(text) }) {
                    parts.literals.append(value)
                }
                continue
            }
            if !parts.names.contains(text) {
                parts.names.append(text)
                list.references.append(item)
            }
        }
        lists[entry.key] = list
        let position = sink.position(of: entry.keyPlace)
        document[keyPath: form.lists].append(parts.list(name: entry.key, at: position, normalize: form.normalize))
    }

    /// The items of one scalar or of a sequence of them.
    private func items(of node: YAMLNode, _ kind: ListKind, _ sink: inout DiagnosticSink) -> [YAMLNode] {
        switch node.content {
        case .sequence(let items): return items
        case .scalar where !node.isNothing: return [node]
        default:
            sink.mismatch(node, expected: kind.literal, suggestion: node.isNothing ? "[] is none" : nil)
            return []
        }
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
