// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire

/// `engine.anti-evasion` while the files are read: a posture, and rows that differ from it. Kept apart until the last
/// file, because a later file may set the posture under rows of an earlier one.
struct AntiEvasionDraft {
    var isStrict = false
    /// By key.
    var rows: [String: PostureAction] = [:]
    var pawsWindow: Instant.Span?
    /// The last file that set it wrote a posture alone, not a mapping.
    var isWord = false

    var value: AntiEvasion {
        var value = isStrict ? AntiEvasion.strict : .normal
        for row in AntiEvasion.rows {
            if let action = rows[row.key] { value[keyPath: row.field] = action }
        }
        if let pawsWindow { value.pawsWindow = pawsWindow }
        return value
    }
}

extension AntiEvasion {
    struct Row: Sendable {
        let key: String
        let field: any WritableKeyPath<AntiEvasion, PostureAction> & Sendable
    }

    static let rows = [
        Row(key: "invalid-timestamps", field: \.invalidTimestamps), Row(key: "paws-zero", field: \.pawsZero),
        Row(key: "fragments", field: \.fragments), Row(key: "zero-flags", field: \.zeroFlags),
        Row(key: "congestion-flags", field: \.congestionFlags), Row(key: "urgent-flags", field: \.urgentFlags),
        Row(key: "syn-fin", field: \.synFin), Row(key: "syn-rst", field: \.synRst),
        Row(key: "rst-fin", field: \.rstFin), Row(key: "syn-data", field: \.synData),
        Row(key: "split-handshake", field: \.splitHandshake),
        Row(key: "rst-out-of-connection", field: \.rstOutOfConnection),
        Row(key: "fin-out-of-connection", field: \.finOutOfConnection),
        Row(key: "outgoing-out-of-connection", field: \.outgoingOutOfConnection),
        Row(key: "evasive-retransmit", field: \.evasiveRetransmit), Row(key: "checksum", field: \.checksum),
        Row(key: "tcp-auth-option", field: \.tcpAuthOption),
    ]
}

extension ValueForm where Value == PostureAction {
    static let posture = ValueForm.words([
        "allow": .allow, "log": .log, "deny": .deny, "deny-silent": .denySilent,
    ])
}

extension ValueForm where Value == Instant.Span {
    /// Time stamps tick in milliseconds at the finest (RFC 7323 section 5.4), and half their 32 bits is the past.
    fileprivate static let pawsWindow = time(.zero ... .hours(24))
}

extension ValueForm where Value == Bool {
    fileprivate static let strictness = ValueForm.words(["normal": false, "strict": true])
}

extension Setting {
    static let antiEvasion = Setting(
        key: "anti-evasion", children: [],
        read: { node, path, draft, sink in draft.readAntiEvasion(node, path, &sink) },
        print: { printed($0.engine.antiEvasion) },
        schema:
            SchemaText.anyOf(
                ValueForm<Bool>.strictness.schema, objectSchema(antiEvasionKeys, under: "engine.anti-evasion"))
    )

    /// What a mapping may hold.
    static let antiEvasionKeys: [Setting] =
        [
            Setting(
                key: "posture", children: [],
                read: { node, _, draft, sink in draft.readPosture(node, &sink) }, print: { _ in nil },
                schema: ValueForm<Bool>.strictness.schema)
        ]
        + AntiEvasion.rows.map { row in
            Setting(
                key: row.key, children: [],
                read: { node, path, draft, sink in
                    guard let action = ValueForm.posture.read(node, &sink) else { return }
                    draft.antiEvasion.rows[row.key] = action
                    draft.places[path] = node.place
                }, print: { _ in nil }, schema: ValueForm.posture.schema)
        }
        + [
            Setting(
                key: "paws-window", children: [],
                read: { node, _, draft, sink in
                    if let span = ValueForm.pawsWindow.read(node, &sink) { draft.antiEvasion.pawsWindow = span }
                }, print: { _ in nil }, schema: ValueForm.pawsWindow.schema)
        ]

    /// What both postures have in a row; nil for other settings. `name` is the full one.
    static func valuesOfPostures(_ name: String) -> String? {
        let section = "engine.anti-evasion."
        guard name.hasPrefix(section) else { return nil }
        let values = [AntiEvasion.normal, .strict].map { posture -> String? in
            if name == section + "paws-window" { return ValueForm.pawsWindow.print(posture.pawsWindow) }
            let row = AntiEvasion.rows.first { section + $0.key == name }
            return row.map { ValueForm.posture.print(posture[keyPath: $0.field]) }
        }
        guard let normal = values[0], let strict = values[1] else { return nil }
        return "normal: \(normal); strict: \(strict)."
    }

    /// A posture by its name, or a mapping from the posture that needs fewer rows.
    private static func printed(_ value: AntiEvasion) -> String {
        let normal = rows(of: value, from: .normal)
        let strict = rows(of: value, from: .strict)
        if normal.isEmpty { return "normal" }
        if strict.isEmpty { return "strict" }
        let rows = strict.count < normal.count ? ["posture: strict"] + strict : normal
        return "{ \(rows.joined(separator: ", ")) }"
    }

    private static func rows(of value: AntiEvasion, from posture: AntiEvasion) -> [String] {
        var rows: [String] = []
        for row in AntiEvasion.rows where value[keyPath: row.field] != posture[keyPath: row.field] {
            rows.append("\(row.key): \(ValueForm.posture.print(value[keyPath: row.field]))")
        }
        if value.pawsWindow != posture.pawsWindow {
            rows.append("paws-window: \(ValueForm.pawsWindow.print(value.pawsWindow))")
        }
        return rows
    }
}

extension PolicyDraft {
    /// A word replaces whatever earlier files said; a mapping replaces a word, and is merged with a mapping.
    fileprivate mutating func readAntiEvasion(_ node: YAMLNode, _ path: String, _ sink: inout DiagnosticSink) {
        if case .mapping = node.content {
            if antiEvasion.isWord { antiEvasion = AntiEvasionDraft() }
            read(node, as: Setting.antiEvasionKeys, path: path, &sink)
        } else {
            antiEvasion = AntiEvasionDraft()
            readPosture(node, &sink)
            antiEvasion.isWord = true
        }
    }

    fileprivate mutating func readPosture(_ node: YAMLNode, _ sink: inout DiagnosticSink) {
        guard let isStrict = ValueForm.strictness.read(node, &sink) else { return }
        antiEvasion.isStrict = isStrict
    }

    /// The posture that the files add up to.
    mutating func finishAntiEvasion() { document.engine.antiEvasion = antiEvasion.value }
}
