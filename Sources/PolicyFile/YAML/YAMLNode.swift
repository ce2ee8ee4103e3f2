// SPDX-License-Identifier: GPL-3.0-or-later

/// A value of a YAML document with the place where it stands. An alias has become the node that it names, with the place
/// of that node, because that is where an error in it has to be mended.
package struct YAMLNode: Sendable {
    package enum Content: Sendable {
        case scalar(YAMLScalar)
        case sequence([YAMLNode])
        /// Keys differ from each other; merge keys (`<<`) are resolved.
        case mapping([YAMLEntry])
        /// What stood here was reported already; nothing more is to be said about it.
        case refused
    }

    package var content: Content
    package var place: SourcePlace
}

package struct YAMLScalar: Hashable, Sendable {
    package var text: String
    /// Written without quotes and not as a block. What is not plain is text, never a number, a boolean or nothing.
    package var isPlain: Bool
}

package struct YAMLEntry: Sendable {
    package var key: String
    package var keyPlace: SourcePlace
    package var value: YAMLNode
}

extension YAMLNode {
    package var scalar: YAMLScalar? {
        if case .scalar(let scalar) = content { scalar } else { nil }
    }

    /// A key without value, `~` or `null` (YAML 1.1).
    package var isNothing: Bool {
        guard let scalar, scalar.isPlain else { return false }
        return ["", "~", "null", "Null", "NULL"].contains(scalar.text)
    }

    /// The text of a scalar that says something.
    package var text: String? { isNothing ? nil : scalar?.text }

    /// The value of a key, where this is a mapping that has it.
    package func value(of key: String) -> YAMLNode? {
        guard case .mapping(let entries) = content else { return nil }
        return entries.first { $0.key == key }?.value
    }

    /// As a diagnostic names it.
    package var found: String {
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
package func quoted(_ text: String) -> String {
    let shown = harmless(String(text.unicodeScalars.prefix(60))).replacing("\t", with: " ")
    return "\"\(shown)\(text.unicodeScalars.count > 60 ? "…" : "")\""
}
