// SPDX-License-Identifier: GPL-3.0-or-later

package enum Severity: String, Sendable { case error, warning }

/// One thing that is wrong with a policy, where it stands, and what would be right.
package struct Diagnostic: Hashable, Sendable {
    package var severity: Severity
    package var file: String
    /// 1-based; 0 where the whole file is meant, because it could not be read.
    package var line: Int
    /// 1-based, in characters (Unicode scalars; a tab is one); 0 where the whole file is meant.
    package var column: Int
    /// What stands there.
    package var found: String
    /// What may stand there.
    package var expected: String
    /// The cure, or the known word that is nearest to the one found.
    package var suggestion: String?
    /// The line itself, without its line break, or a part of a very long one; nil where the whole file is meant.
    package var source: String?
    /// Where the column is in `source`, 1-based.
    package var caret = 0

    /// `file:line:column: severity: found …, expected …`, then the line with a caret below the column. Text that comes
    /// from the file is made harmless for a terminal; a long line is cut around the column.
    package func rendered() -> String {
        var text = "\(harmless(file)):"
        if line > 0 { text += "\(line):\(column):" }
        text += " \(severity.rawValue): found \(found), expected \(expected)"
        if let suggestion { text += "; \(suggestion)" }
        guard let source, source.contains(where: { !$0.isWhitespace }) else { return text }
        let excerpt = Excerpt(of: source, around: caret)
        return "\(text)\n    \(excerpt.text)\n    \(excerpt.padding)^"
    }
}

/// Why a policy was not loaded: everything that is wrong with it, in the order of the files and of their lines.
package struct PolicyFileError: Error, CustomStringConvertible {
    package var diagnostics: [Diagnostic]

    package init(diagnostics: [Diagnostic]) { self.diagnostics = diagnostics }

    package var description: String { diagnostics.map { $0.rendered() }.joined(separator: "\n") }
}
