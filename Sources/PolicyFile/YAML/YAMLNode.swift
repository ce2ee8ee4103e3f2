// SPDX-License-Identifier: GPL-3.0-or-later

/// A value of a YAML document with the place where it stands. An alias has become the node that it names, with the place
/// of that node, because that is where an error in it has to be mended.
struct YAMLNode: Sendable {
    enum Content: Sendable {
        case scalar(YAMLScalar)
        case sequence([YAMLNode])
        /// Keys differ from each other; merge keys (`<<`) are resolved.
        case mapping([YAMLEntry])
        /// What stood here was reported already; nothing more is to be said about it.
        case refused
    }

    var content: Content
    var place: SourcePlace
}

struct YAMLScalar: Hashable, Sendable {
    var text: String
    /// Written without quotes and not as a block. What is not plain is text, never a number, a boolean or nothing.
    var isPlain: Bool
}

struct YAMLEntry: Sendable {
    var key: String
    var keyPlace: SourcePlace
    var value: YAMLNode
}

extension YAMLNode {
    var scalar: YAMLScalar? {
        if case .scalar(let scalar) = content { scalar } else { nil }
    }

    /// A key without value, `~` or `null` (YAML 1.1).
    var isNothing: Bool {
        guard let scalar, scalar.isPlain else { return false }
        return ["", "~", "null", "Null", "NULL"].contains(scalar.text)
    }

    /// The text of a scalar that says something.
    var text: String? { isNothing ? nil : scalar?.text }

    /// The value of a key, where this is a mapping that has it.
    func value(of key: String) -> YAMLNode? {
        guard case .mapping(let entries) = content else { return nil }
        return entries.first { $0.key == key }?.value
    }

    /// As a diagnostic names it.
    var found: String {
        switch content {
        case .sequence: "a sequence"
        case .mapping: "a mapping"
        case .refused: "something unreadable"
        case .scalar where isNothing: "nothing"
        case .scalar(let scalar): quoted(scalar.text)
        }
    }
}

/// Text of the file as a diagnostic shows it: quoted, short, harmless.
func quoted(_ text: String) -> String {
    let shown = harmless(String(text.unicodeScalars.prefix(60))).replacing("\t", with: " ")
    return "\"\(shown)\(text.unicodeScalars.count > 60 ? "…" : "")\""
}
