// SPDX-License-Identifier: GPL-3.0-or-later

/// One key of a mapping that is a value by itself, such as one receiver among several.
struct Member<Root: Equatable & Sendable>: Sendable {
    let key: String
    /// False after reporting a fault.
    let read: @Sendable (YAMLNode, inout Root, inout DiagnosticSink) -> Bool
    let print: @Sendable (Root) -> String
    let schema: String

    init<Value>(
        _ key: String, _ field: any WritableKeyPath<Root, Value> & Sendable, _ form: ValueForm<Value>
    ) {
        self.key = key
        read = { node, root, sink in
            guard let value = form.read(node, &sink) else { return false }
            root[keyPath: field] = value
            return true
        }
        print = { form.print($0[keyPath: field]) }
        schema = form.schema
    }
}

/// A mapping of `members`. The first is what it cannot do without unless `start` is complete.
struct MappingForm<Root: Equatable & Sendable>: Sendable {
    /// In words that follow "a key of".
    let place: String
    let expected: String
    let members: [Member<Root>]
    let start: Root
    let needsFirst: Bool
    /// Members of the schema that say what else must hold.
    var more: [String] = []

    func read(_ node: YAMLNode, _ sink: inout DiagnosticSink) -> Root? {
        guard case .mapping(let entries) = node.content else {
            sink.mismatch(node, expected: expected)
            return nil
        }
        var root = start
        var isSound = true
        for entry in entries where sink.hasRoom {
            if let member = members.first(where: { $0.key == entry.key }) {
                isSound = member.read(entry.value, &root, &sink) && isSound
            } else {
                sink.unknownKey(entry, in: place, known: members.map(\.key))
                isSound = false
            }
        }
        if needsFirst, !entries.contains(where: { $0.key == members[0].key }) {
            sink.error(at: node.place, found: "no \(members[0].key)", expected: expected)
            return nil
        }
        return isSound ? root : nil
    }

    /// In braces, without what `start` has already, but for the first member of a mapping that needs it.
    func print(_ root: Root) -> String {
        let texts = members.enumerated().compactMap { place, member -> String? in
            let text = member.print(root)
            let isSaid = needsFirst && place == 0 || text != member.print(start)
            return isSaid ? "\(member.key): \(text)" : nil
        }
        return texts.isEmpty ? "{}" : "{ \(texts.joined(separator: ", ")) }"
    }

    var schema: String {
        SchemaText.object(
            members.map { (key: $0.key, schema: $0.schema) }, required: needsFirst ? [members[0].key] : [],
            more: more)
    }
}

extension ValueForm {
    /// A value that may be left out of the file.
    static func optional<Wrapped>(_ form: ValueForm<Wrapped>) -> ValueForm where Value == Wrapped? {
        ValueForm(
            form.expected, schema: form.schema, print: { $0.map(form.print) ?? "" },
            read: { node, sink in form.read(node, &sink).map { .some($0) } })
    }

    /// A mapping inside another.
    static func nested(_ mapping: MappingForm<Value>) -> ValueForm {
        ValueForm(mapping.expected, schema: mapping.schema, print: mapping.print, read: mapping.read)
    }
}
