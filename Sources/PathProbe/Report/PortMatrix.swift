// SPDX-License-Identifier: GPL-3.0-or-later

internal import PacketWire

/// The results of a scan as a matrix: a row for each range of ports to which the same happened everywhere, a column for each target
/// and protocol. Packets of given sizes are no results of their port.
struct PortMatrix {
    struct Column: Hashable {
        var target: Endpoint
        var transport: Transport
    }

    /// What became of a port, or of several that had to become the same.
    struct Cell: Hashable {
        var category: Category
        var judgement: ScanReport.Line.Judgement
        var conclusion: String
        var answer: ScanAnswer?
        var retry: String?
        /// Several tests of the same port came to different results; this is the worst.
        var isMixed = false
    }

    let columns: [Column]
    private(set) var rows: [(ports: ClosedRange<UInt16>, cells: [Cell?])] = []

    init(_ report: ScanReport) {
        var order: [Column] = []
        var cells: [UInt16: [Column: Cell]] = [:]
        for line in report.lines where line.test.packetSize == nil {
            let job = line.outcome.job
            let column = Column(target: job.target.with(port: 0), transport: job.transport)
            if !order.contains(column) { order.append(column) }
            let cell = Cell(line)
            cells[job.target.port, default: [:]][column] =
                cells[job.target.port]?[column].map { $0.joined(cell) } ?? cell
        }
        columns = order
        for port in cells.keys.sorted() {
            let row = columns.map { cells[port]?[$0] }
            if let last = rows.last, last.ports.upperBound + 1 == port, last.cells == row {
                rows[rows.count - 1].ports = last.ports.lowerBound...port
            } else {
                rows.append((port...port, row))
            }
        }
    }
}

extension PortMatrix.Cell {
    init(_ line: ScanReport.Line) {
        self.init(
            category: line.outcome.finding.category, judgement: line.judgement, conclusion: line.conclusion,
            answer: line.answer, retry: line.retry)
    }

    func joined(_ other: PortMatrix.Cell) -> PortMatrix.Cell {
        guard self != other else { return self }
        var worst = other.weight > weight ? other : self
        worst.isMixed = true
        return worst
    }

    private var weight: Int {
        switch judgement {
        case .notAsExpected: 4
        case .inconclusive: 3
        case .skipped: 2
        case .unjudged: category == .open ? 0 : 1
        case .asExpected: 0
        }
    }
}
