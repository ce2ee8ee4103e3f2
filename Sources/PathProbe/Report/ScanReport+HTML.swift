// SPDX-License-Identifier: GPL-3.0-or-later

internal import PacketWire

extension ScanReport {
    /// One page without scripts and without anything from elsewhere: a matrix of ports and targets, and what was found in words.
    package func html(_ stamp: ReportStamp) -> String {
        let title = "Path test from \(stamp.host)" + (tag.map { ": \($0)" } ?? "")
        return """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <title>\(title.marked)</title>
            <style>
            \(Self.style)
            </style>
            </head>
            <body>
            <h1>\(title.marked)</h1>
            <p>\(summary(stamp).marked)</p>
            \(verdict)
            <h2>Matrix</h2>
            \(matrix)
            \(legend)
            \(sizes)
            <h2>Results</h2>
            \(table)
            </body>
            </html>

            """
    }

    private func summary(_ stamp: ReportStamp) -> String {
        let counts = counts.map { "\($0.count) \($0.category.title)" }.joined(separator: ", ")
        return "\(stamp.local). \(lines.count) probes: \(counts)."
    }

    private var verdict: String {
        switch exitStatus {
        case 1: "<p class=\"verdict bad\">✗ Not as expected.</p>"
        case 2: "<p class=\"verdict odd\">? Inconclusive: not everything that was asked was found out.</p>"
        case 3: "<p class=\"verdict odd\">? This host lacks something that the scan needs.</p>"
        default:
            lines.contains { $0.test.expectation != nil }
                ? "<p class=\"verdict good\">✓ As expected.</p>" : "<p class=\"verdict\">Nothing was expected.</p>"
        }
    }

    // MARK: - The matrix

    private var matrix: String {
        let matrix = PortMatrix(self)
        let heads = matrix.columns.map {
            "<th scope=\"col\">\($0.target.host.marked)<br><small>\($0.transport.rawValue.uppercased())</small></th>"
        }
        var text =
            "<table class=\"matrix\">\n<thead><tr><th scope=\"col\">Port</th>\(heads.joined())</tr></thead>\n<tbody>\n"
        for row in matrix.rows {
            let ports = PortSet([row.ports]).description.replacing("-", with: "–")
            text += "<tr><th scope=\"row\">\(ports)</th>\(row.cells.map(Self.cell).joined())</tr>\n"
        }
        return text + "</tbody>\n</table>"
    }

    private static func cell(_ cell: PortMatrix.Cell?) -> String {
        guard let cell else { return "<td class=\"none\">·</td>" }
        let hint = [cell.category.title, cell.conclusion, cell.answer?.text, cell.retry].compactMap { $0 }
        var text = cell.category.word + (cell.isMixed ? " (several)" : "")
        if let author = cell.answer?.author { text += "<br><small>\(author.marked)</small>" }
        if cell.retry != nil { text += "<br><small>repeated</small>" }
        return "<td class=\"\(cell.category.colour)\" title=\"\(hint.joined(separator: ". ").marked)\">"
            + "\(cell.judgement.mark)\(text)</td>"
    }

    private var legend: String {
        let seen = counts.map {
            "<span class=\"\($0.category.colour)\">\($0.category.word)</span> \($0.category.title.marked)"
        }
        return "<p class=\"legend\">\(seen.joined(separator: " &nbsp; "))<br>"
            + "✓ as expected &nbsp; ✗ not as expected &nbsp; ? inconclusive &nbsp; · not probed</p>"
    }

    /// The largest packets, where they were looked for.
    private var sizes: String {
        let rows = pathMTUs.map { "<li>\($0.target.marked): \($0.text.marked)</li>" }
        return rows.isEmpty ? "" : "<h2>Path MTU</h2>\n<ul class=\"sizes\">\n\(rows.joined(separator: "\n"))\n</ul>"
    }

    // MARK: - The results

    private var table: String {
        let heads = ["Target", "", "Ports", "Result", "What was seen", "Where, why, by whom", "Expected"]
        var text = "<table class=\"results\">\n<thead><tr>"
        text += heads.map { "<th scope=\"col\">\($0)</th>" }.joined() + "</tr></thead>\n<tbody>\n"
        for group in groups {
            let expected = group.expectation.map { expectation in
                "\(group.isAsExpected.map { $0 ? "✓ " : "✗ " } ?? "? ")\(expectation.text)"
            }
            let seen = [group.conclusion, group.location?.text, group.retry].compactMap { $0 }.joined(separator: "; ")
            let cells = [
                group.target, group.transport.rawValue, "\(group.ports)",
                "\(group.category.title): \(group.details.prefix(3).joined(separator: " "))", seen,
                group.answer?.text ?? "", expected ?? "",
            ]
            text += "<tr>\(cells.map { "<td>\($0.marked)</td>" }.joined())</tr>\n"
        }
        return text + "</tbody>\n</table>"
    }

    private static let style = """
        body { font: 15px/1.45 system-ui, "DejaVu Sans", sans-serif; margin: 2em; color: #1b1f24; background: #fff; }
        h1 { font-size: 1.5em; margin-bottom: 0; } h2 { font-size: 1.15em; margin-top: 1.6em; }
        table { border-collapse: collapse; } th, td { padding: .35em .7em; border: 1px solid #d0d7de; }
        th { text-align: left; background: #f6f8fa; } thead th { position: sticky; top: 0; }
        .matrix td { text-align: center; min-width: 7em; } .results td { vertical-align: top; }
        .matrix tbody th { text-align: right; font-variant-numeric: tabular-nums; }
        small { font-size: .8em; } .legend { color: #57606a; } .legend span { padding: .1em .5em; }
        .open { background: #c6efce; color: #0b4d1b; } .silent { background: #f3c7c7; color: #6b0f0f; }
        .refused { background: #ffdfb8; color: #693c00; } .changed { background: #e3d3f5; color: #42207a; }
        .local { background: #d9dee3; color: #30363d; } .none { color: #8c959f; }
        .mark { font-weight: bold; } .verdict { font-weight: bold; } .good { color: #0b6b27; } .bad { color: #a40e26; }
        .odd { color: #7a4b00; }
        """
}

extension Category {
    /// In a cell.
    fileprivate var word: String {
        switch self {
        case .open: "open"
        case .handshakeTimeout: "no answer"
        case .handshakeRefused: "refused"
        case .payloadTimeout: "no reply"
        case .payloadRefused: "reset"
        case .payloadMismatch: "other bytes"
        case .payloadError: "broken off"
        case .handshakeInit, .payloadSend: "not sent"
        case .localResource: "not tried"
        case .skipped: "skipped"
        }
    }

    fileprivate var colour: String {
        switch self {
        case .open: "open"
        case .handshakeTimeout, .payloadTimeout: "silent"
        case .handshakeRefused, .payloadRefused: "refused"
        case .payloadMismatch, .payloadError: "changed"
        case .handshakeInit, .payloadSend, .localResource, .skipped: "local"
        }
    }
}

extension ScanReport.Line.Judgement {
    fileprivate var mark: String {
        switch self {
        case .asExpected: "<span class=\"mark\">✓</span> "
        case .notAsExpected: "<span class=\"mark\">✗</span> "
        case .inconclusive: "<span class=\"mark\">?</span> "
        case .unjudged, .skipped: ""
        }
    }
}
