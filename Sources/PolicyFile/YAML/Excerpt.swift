// SPDX-License-Identifier: GPL-3.0-or-later

/// The part of a source line that a diagnostic shows, and the blanks that bring the caret below its column.
struct Excerpt {
    var text: String
    /// As wide on a terminal as what stands before the column: a tab is repeated as a tab, because nobody knows where
    /// the next tab stop is.
    var padding: String

    /// Scalars shown at most.
    private static let width = 120

    /// The column is 1-based, in Unicode scalars.
    init(of line: String, around column: Int) {
        let scalars = Array(line.unicodeScalars)
        let caret = max(0, min(column - 1, scalars.count))
        let start = scalars.count <= Excerpt.width ? 0 : max(0, min(caret - 60, scalars.count - Excerpt.width))
        let end = min(scalars.count, start + Excerpt.width)
        text = start > 0 ? "…" : ""
        padding = start > 0 ? " " : ""
        for index in start..<end {
            let shown = harmless(scalars[index])
            text.unicodeScalars.append(shown)
            guard index < caret else { continue }
            padding += shown == "\t" ? "\t" : String(repeating: " ", count: terminalWidth(shown))
        }
        if end < scalars.count { text += "…" }
    }
}

/// The text without what could steer a terminal or reorder what it shows.
func harmless(_ text: String) -> String {
    var result = String.UnicodeScalarView()
    for scalar in text.unicodeScalars { result.append(harmless(scalar)) }
    return String(result)
}

/// Controls, line separators and the bidirectional overrides become U+FFFD; a tab stays.
private func harmless(_ scalar: Unicode.Scalar) -> Unicode.Scalar {
    switch scalar.value {
    case 0x09: scalar
    case 0..<0x20, 0x7f...0x9f, 0x200e, 0x200f, 0x2028...0x202e, 0x2066...0x2069, 0xfeff: "\u{fffd}"
    default: scalar
    }
}

/// Columns that a terminal gives the scalar: none to combining marks, two to the wide ranges of Unicode Standard Annex
/// 11, else one.
private func terminalWidth(_ scalar: Unicode.Scalar) -> Int {
    switch scalar.properties.generalCategory {
    case .nonspacingMark, .enclosingMark, .format: return 0
    default: break
    }
    switch scalar.value {
    case 0x1100...0x115f, 0x2e80...0x303e, 0x3041...0xa4cf, 0xa960...0xa97f, 0xac00...0xd7a3, 0xf900...0xfaff,
        0xfe30...0xfe6f, 0xff00...0xff60, 0xffe0...0xffe6, 0x1f300...0x1f64f, 0x1f680...0x1f6ff, 0x1f900...0x1faff,
        0x20000...0x3fffd:
        return 2
    default: return 1
    }
}
