// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy

/// Lists may name other lists of their kind, of any file and in any order, and services.
extension PolicyDraft {
    /// Levels of lists inside lists.
    static let maximumListLevels = 32

    /// Gives each list the values of those that it names.
    mutating func settleLists(_ sink: inout DiagnosticSink) {
        for name in lists.filter({ !$0.value.references.isEmpty }).keys.sorted() where sink.hasRoom {
            _ = settle(name, level: 1, &sink)
        }
    }

    /// Returns how many levels the list has; nil after reporting that it has no end.
    private mutating func settle(_ name: String, level: Int, _ sink: inout DiagnosticSink) -> Int? {
        guard let entry = lists[name] else { return 0 }
        if case .settled(let levels) = entry.state { return levels }
        lists[name]?.state = .open
        defer { if lists[name]?.state == .open { lists[name]?.state = .settled(levels: 1) } }
        var levels = 1
        for node in entry.references {
            guard let inner = node.text, let other = lists[inner] else { continue }
            guard other.state != .open else {
                sink.error(
                    at: node.place, found: "the list \(quoted(inner)) inside itself",
                    expected: "lists whose names end in values")
                return nil
            }
            guard level < PolicyDraft.maximumListLevels, let below = settle(inner, level: level + 1, &sink) else {
                if level >= PolicyDraft.maximumListLevels { reportLevels(node, &sink) }
                return nil
            }
            levels = max(levels, below + 1)
        }
        guard levels <= PolicyDraft.maximumListLevels else {
            reportLevels(entry.references[0], &sink)
            return nil
        }
        switch entry.kind {
        case .addresses: fill(entry, .addresses, &sink)
        case .ports: fill(entry, .ports, &sink)
        case .macs: fill(entry, .macs, &sink)
        }
        lists[name]?.state = .settled(levels: levels)
        return levels
    }

    private func reportLevels(_ node: YAMLNode, _ sink: inout DiagnosticSink) {
        sink.error(
            at: node.place, found: "lists inside lists, more than \(PolicyDraft.maximumListLevels) levels",
            expected: "fewer")
    }

    private mutating func fill<Value>(_ entry: ListEntry, _ form: ListForm<Value>, _ sink: inout DiagnosticSink) {
        var values = document[keyPath: form.lists][entry.index].values
        for node in entry.references where sink.hasRoom {
            values += node.text.flatMap { self.values(named: $0, by: node, form, &sink) } ?? []
        }
        document[keyPath: form.lists][entry.index].values = form.normalize(values)
    }
}
