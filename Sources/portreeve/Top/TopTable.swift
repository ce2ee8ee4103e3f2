// SPDX-License-Identifier: GPL-3.0-or-later

import EventReader

/// One page of the live view: rows that can be sorted by any column, filtered, and walked through.
struct TopTable {
    struct Row {
        /// What stays the same from one look to the next, so that a selected row stays selected.
        let key: String
        let cells: [String]
        /// By which columns of numbers are sorted; as many as cells, 0 where a cell is text.
        let numbers: [Double]
        /// The record that `explain` is asked about; nil where there is none.
        var event: String?
    }

    let columns: [TextTable.Column]
    var rows: [Row]

    /// Those that the filter lets through, in order.
    func shown(by column: Int, ascending: Bool, filter: String) -> [Row] {
        let wanted = filter.lowercased()
        let kept =
            wanted.isEmpty
            ? rows : rows.filter { row in row.cells.contains { $0.lowercased().contains(wanted) } }
        let place = min(column, columns.count - 1)
        return kept.sorted { a, b in
            let isLess: Bool
            if columns[place].isNumber, a.numbers[place] != b.numbers[place] {
                isLess = a.numbers[place] < b.numbers[place]
            } else if !columns[place].isNumber, a.cells[place] != b.cells[place] {
                isLess = a.cells[place] < b.cells[place]
            } else {
                return a.key < b.key
            }
            return isLess == ascending
        }
    }

    /// The titles and the rows, a line each, in so many columns: what does not fit is cut.
    func lines(of rows: ArraySlice<Row>, width: Int, sortedBy column: Int, ascending: Bool) -> [String] {
        var titles = columns
        let place = min(column, columns.count - 1)
        titles[place].title += ascending ? "↑" : "↓"
        let cells = rows.map { $0.cells.map(\.harmless) }
        var widths = titles.indices.map { index in
            max(titles[index].title.displayWidth, cells.map { $0[index].displayWidth }.max() ?? 0)
        }
        // The last one first, as it stands farthest from what tells the rows apart.
        var surplus = widths.reduce(0, +) + 2 * (widths.count - 1) - width
        for index in titles.indices.reversed() where surplus > 0 {
            guard let least = titles[index].least else { continue }
            let cut = max(0, min(surplus, widths[index] - max(least, titles[index].title.displayWidth)))
            widths[index] -= cut
            surplus -= cut
        }
        return ([titles.map(\.title)] + cells).map { line in
            var text = ""
            for index in titles.indices {
                let cell = line[index].cut(to: widths[index])
                let space = String(repeating: " ", count: max(0, widths[index] - cell.displayWidth))
                text += (index == 0 ? "" : "  ") + (titles[index].isNumber ? space + cell : cell + space)
            }
            return text.cut(to: width)
        }
    }
}
