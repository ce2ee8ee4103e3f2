// SPDX-License-Identifier: GPL-3.0-or-later

import EventReader

/// Columns as wide as their widest cell; in a terminal that is too narrow for them a row takes several lines.
struct TextTable {
    struct Column {
        var title: String
        var isNumber = false
        /// To how few characters it may be cut; nil: it is never cut.
        var least: Int?

        static func text(_ title: String, cutTo least: Int? = nil) -> Column { Column(title: title, least: least) }
        static func number(_ title: String) -> Column { Column(title: title, isNumber: true) }
    }

    private let columns: [Column]
    private(set) var rows: [[String]] = []

    init(_ columns: [Column]) { self.columns = columns }

    /// One cell for each column.
    mutating func add(_ cells: [String]) { rows.append(cells.map(\.harmless)) }

    /// The titles and the rows, each with `indent` spaces before it and none at its end, in a terminal of so many columns.
    func lines(indent: Int = 0, width: Int? = nil) -> [String] {
        rowLines(indent: indent, width: width).flatMap(\.self)
    }

    /// The same, the lines of each row for themselves, those of the titles first.
    func rowLines(indent: Int = 0, width: Int? = nil) -> [[String]] {
        let all = [columns.map(\.title)] + rows
        let needed = columns.indices.map { column in all.map { $0[column].displayWidth }.max() ?? 0 }
        // The last one first, as it stands farthest from what tells the rows apart.
        let cuts = columns.indices.reversed().compactMap { column in
            columns[column].least.map { ColumnLayout.Cut(column, toNoLessThan: $0) }
        }
        let layout = ColumnLayout(needed: needed, cuts: cuts, terminal: width.map { $0 - indent })
        let numbers = Set(columns.indices.filter { columns[$0].isNumber })
        return all.map { cells in
            layout.lines(of: cells, numbers: numbers).map { String(repeating: " ", count: indent) + $0 }
        }
    }
}
