// SPDX-License-Identifier: GPL-3.0-or-later

/// How the columns of a table stand in a terminal: beside each other, each as wide as it needs; where there is no room some
/// are cut, and where that does not do, a row takes several lines, all but the first indented.
package struct ColumnLayout: Sendable, Equatable {
    /// A column that may be cut, with an ellipsis, and to how few characters.
    package struct Cut: Sendable {
        let column: Int
        let least: Int

        package init(_ column: Int, toNoLessThan least: Int) {
            self.column = column
            self.least = least
        }
    }

    private var widths: [Int]
    /// The columns of each line of a row.
    package private(set) var lines: [Range<Int>]

    private static let gap = 2
    private static let indent = 4
    /// What may be cut is cut to this before a row gets one more line for it.
    private static let longest = 32

    /// - Parameters:
    ///   - needed: the width that each column needs.
    ///   - cuts: what may be cut, first to last.
    ///   - terminal: the columns of the terminal; nil: as many as need be.
    package init(needed: [Int], cuts: [Cut], terminal: Int?) {
        widths = needed
        lines = [needed.indices]
        guard let terminal, !cut(cuts, to: terminal) else { return }
        widths = needed
        for cut in cuts { widths[cut.column] = min(needed[cut.column], max(cut.least, ColumnLayout.longest)) }
        fold(to: terminal)
        stretch(to: needed, cuts, terminal)
    }

    /// Takes what is too much from the columns that may be cut; false where that is not enough.
    private mutating func cut(_ cuts: [Cut], to terminal: Int) -> Bool {
        var excess = width(of: widths.indices) - terminal
        for cut in cuts where excess > 0 {
            let less = min(excess, max(0, widths[cut.column] - cut.least))
            widths[cut.column] -= less
            excess -= less
        }
        return excess <= 0
    }

    private mutating func fold(to terminal: Int) {
        lines = []
        var start = 0
        for column in widths.indices
        where column > start && indent(lines.count) + width(of: start..<column + 1) > terminal {
            lines.append(start..<column)
            start = column
        }
        lines.append(start..<widths.count)
    }

    /// Gives back, last cut first, what is free in a line; and cuts what is wider than a whole one.
    private mutating func stretch(to needed: [Int], _ cuts: [Cut], _ terminal: Int) {
        for (number, line) in lines.enumerated() {
            for cut in cuts.reversed() where line.contains(cut.column) {
                let free = terminal - indent(number) - width(of: line)
                widths[cut.column] = max(
                    min(cut.least, needed[cut.column]), min(needed[cut.column], widths[cut.column] + free))
            }
        }
    }

    private func indent(_ line: Int) -> Int { line == 0 ? 0 : ColumnLayout.indent }

    private func width(of columns: Range<Int>) -> Int {
        columns.reduce(0) { $0 + widths[$1] } + ColumnLayout.gap * (columns.count - 1)
    }

    /// The lines of one row, nothing trailing.
    package func lines(of cells: [String], numbers: Set<Int>) -> [String] {
        lines.enumerated().map { number, columns in
            var text = String(repeating: " ", count: indent(number))
            for column in columns {
                let cell = cells[column].cut(to: widths[column])
                let padding = String(repeating: " ", count: widths[column] - cell.displayWidth)
                text += numbers.contains(column) ? padding + cell : cell + padding
                text += String(repeating: " ", count: ColumnLayout.gap)
            }
            while text.last == " " { text.removeLast() }
            return text
        }
    }
}
