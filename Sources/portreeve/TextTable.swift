// SPDX-License-Identifier: GPL-3.0-or-later

/// Columns as wide as their widest cell.
struct TextTable {
    struct Column {
        var title: String
        var isNumber = false

        static func text(_ title: String) -> Column { Column(title: title) }
        static func number(_ title: String) -> Column { Column(title: title, isNumber: true) }
    }

    private let columns: [Column]
    private(set) var rows: [[String]] = []

    init(_ columns: [Column]) { self.columns = columns }

    /// One cell for each column.
    mutating func add(_ cells: [String]) { rows.append(cells.map(\.harmless)) }

    /// The title line and the rows, each with `indent` spaces before it and none at its end.
    func lines(indent: Int = 0) -> [String] {
        let all = [columns.map(\.title)] + rows
        let widths = columns.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        return all.map { Self.line($0, widths, columns, indent) }
    }

    private static func line(_ cells: [String], _ widths: [Int], _ columns: [Column], _ indent: Int) -> String {
        let aligned = cells.indices.map { index in
            columns[index].isNumber
                ? cells[index].rightAligned(to: widths[index]) : cells[index].padded(to: widths[index])
        }
        let line = String(repeating: " ", count: indent) + aligned.joined(separator: "  ")
        return String(line.reversed().drop { $0 == " " }.reversed())
    }
}
