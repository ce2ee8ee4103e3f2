// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy

/// One key of the policy file outside lists, schedules and rules. The table of all of them (`Setting.all`) is the single
/// source of what the parser reads, what suggestions know, what the printer writes and what the JSON Schema says.
struct Setting: Sendable {
    let key: String
    /// The keys of a section; empty for a value.
    let children: [Setting]
    /// Reads the value into the draft. `path` is the key's full name.
    let read: @Sendable (_ node: YAMLNode, _ path: String, inout PolicyDraft, inout DiagnosticSink) -> Void
    /// The value as canonical text; nil for sections.
    let print: @Sendable (PolicyDocument) -> String?
    /// What a value may be, as a JSON Schema; that of a section follows from its keys.
    let schema: String
}

extension Setting {
    /// A value that lands in a field of the document.
    init<Value>(
        _ key: String, _ field: any WritableKeyPath<PolicyDocument, Value> & Sendable, _ form: ValueForm<Value>
    ) {
        self.init(
            key: key, children: [],
            read: { node, path, draft, sink in
                guard let value = form.read(node, &sink) else { return }
                draft.document[keyPath: field] = value
                draft.places[path] = node.place
            }, print: { form.print($0[keyPath: field]) }, schema: form.schema)
    }

    /// A mapping of settings. Nothing in it changes nothing.
    static func section(_ key: String, _ children: [Setting]) -> Setting {
        Setting(
            key: key, children: children,
            read: { node, path, draft, sink in
                guard !node.isNothing else { return }
                draft.read(node, as: children, path: path, &sink)
            }, print: { _ in nil }, schema: "{}")
    }
}

extension PolicyDraft {
    /// Reads a mapping whose keys are these settings.
    mutating func read(_ node: YAMLNode, as settings: [Setting], path: String, _ sink: inout DiagnosticSink) {
        guard case .mapping(let entries) = node.content else {
            sink.mismatch(node, expected: "a mapping with keys among \(enumeration(settings.map(\.key)))")
            return
        }
        for entry in entries where sink.hasRoom {
            if let setting = settings.first(where: { $0.key == entry.key }) {
                setting.read(entry.value, path.isEmpty ? entry.key : "\(path).\(entry.key)", &self, &sink)
            } else {
                sink.unknownKey(entry, in: path.isEmpty ? "the policy" : path, known: settings.map(\.key))
            }
        }
    }
}

extension DiagnosticSink {
    /// A key that its mapping does not have: the nearest that it has, or where else a key of this name belongs.
    mutating func unknownKey(_ entry: YAMLEntry, in place: String, known: [String], advice: String? = nil) {
        error(
            at: entry.keyPlace, found: "the unknown key \(quoted(entry.key))",
            expected: "a key of \(place): \(alternatives(known))",
            suggestion: meant(entry.key, among: known) ?? advice ?? Setting.whereabouts(of: entry.key))
    }
}

extension Setting {
    /// Says which sections have a key of this name.
    fileprivate static func whereabouts(of key: String) -> String? {
        var sections = PolicyDraft.keys.contains(key) ? ["the policy itself"] : []
        func search(_ settings: [Setting], _ path: String) {
            for setting in settings where !setting.children.isEmpty {
                let path = path.isEmpty ? setting.key : "\(path).\(setting.key)"
                if setting.children.contains(where: { $0.key == key }) { sections.append(path) }
                search(setting.children, path)
            }
        }
        search(all, "")
        return sections.isEmpty ? nil : "\(quoted(key)) is a key of \(enumeration(sections))"
    }
}
