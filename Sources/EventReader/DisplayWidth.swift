// SPDX-License-Identifier: GPL-3.0-or-later

extension String {
    /// Columns that a terminal needs: two for East Asian wide characters and emoji, otherwise one per character.
    package var displayWidth: Int { reduce(0) { $0 + $1.displayWidth } }

    /// Names and notes come from others: what could move a terminal's cursor or reorder its text becomes U+FFFD.
    var withoutControls: String {
        var scalars = String.UnicodeScalarView()
        for scalar in unicodeScalars {
            switch scalar.properties.generalCategory {
            case .control, .lineSeparator, .paragraphSeparator, .surrogate: scalars.append("\u{fffd}")
            case .format where scalar != "\u{200d}": scalars.append("\u{fffd}")
            default: scalars.append(scalar)
            }
        }
        return String(scalars)
    }

    /// At most so many columns, an ellipsis standing for what is missing.
    package func cut(to width: Int) -> String {
        guard displayWidth > width else { return self }
        var text = ""
        var used = 1
        for character in self {
            used += character.displayWidth
            guard used <= width else { break }
            text.append(character)
        }
        return text + "…"
    }
}

extension Character {
    fileprivate var displayWidth: Int {
        guard let scalar = unicodeScalars.first else { return 0 }
        if scalar.properties.isEmojiPresentation { return 2 }
        return Character.wideRanges.contains { $0 ~= scalar.value } ? 2 : 1
    }

    /// The blocks whose characters are wide or fullwidth (Unicode Standard Annex 11).
    private static let wideRanges: [ClosedRange<UInt32>] = [
        0x1100...0x115f, 0x2e80...0x303e, 0x3041...0x33ff, 0x3400...0x4dbf, 0x4e00...0x9fff, 0xa000...0xa4cf,
        0xa960...0xa97f, 0xac00...0xd7a3, 0xf900...0xfaff, 0xfe30...0xfe6f, 0xff00...0xff60, 0xffe0...0xffe6,
        0x20000...0x3fffd,
    ]
}
