// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc
import PacketWire
import PathProbe

/// A scan's result for people: ports to which the same happened on one line.
enum ScanText {
    static func show(_ report: ScanReport, _ options: ScanOptions) {
        var table = TextTable([
            .text("TARGET"), .text("PROTO"), .text("RESULT"), .text("DETAIL"), .text("EXPECTED"), .text("PORTS"),
        ])
        let groups = report.groups
        for group in groups {
            table.add([
                group.target, group.transport.rawValue, group.category.rawValue, details(group), expected(group),
                "\(group.ports)",
            ])
        }
        let width = terminalWidth
        table.rowLines(width: width).enumerated().forEach { number, lines in
            guard number > 0 else { return lines.forEach { print($0) } }
            let group = groups[number - 1]
            lines.forEach { print(Palette.output.paint($0, colour(group))) }
            let said = [
                "\(group.category.title): \(group.conclusion)", group.answer?.text, group.location?.text, group.retry,
            ]
            for text in said.compactMap({ $0 }) + (group.isUnreliable ? [Self.unreliable] : []) {
                ("    " + text.harmless).wrapped(to: width, indent: 6).forEach { print($0) }
            }
        }
        for line in summary(report, options).split(separator: "\n") {
            String(line).wrapped(to: width, indent: 4).forEach { print($0) }
        }
    }

    private static let unreliable = "unreliable: the reflector's host dropped connections or datagrams meanwhile"

    private static func colour(_ group: ScanReport.Group) -> Palette.Colour? {
        guard group.expectation != nil else { return nil }
        return group.isAsExpected.map { $0 ? .green : .red } ?? .yellow
    }

    /// What is not as in an earlier result.
    static func lines(of changes: [ScanChange], since file: String) -> [String] {
        guard !changes.isEmpty else { return ["nothing has changed since \(file.harmless)"] }
        return ["changed since \(file.harmless):"] + ScanChange.lines(of: changes).map { "    \($0.harmless)" }
    }

    static func showCategories(json: Bool) {
        guard !json else { return ResultRow.all.forEach { print($0.json) } }
        var table = TextTable([.text("RESULT"), .text("DETAIL"), .text("PROTO"), .text("MEANING")])
        for row in ResultRow.all {
            let protocols = row.transports.map(\.rawValue).joined(separator: " ")
            table.add([row.category.rawValue, row.detail, protocols, row.meaning])
        }
        table.lines(width: terminalWidth).forEach { print($0) }
    }

    private static func details(_ group: ScanReport.Group) -> String {
        let shown = group.details.prefix(3).joined(separator: " ")
        return group.details.count > 3 ? "\(shown) …" : shown
    }

    private static func expected(_ group: ScanReport.Group) -> String {
        guard let expectation = group.expectation else { return "-" }
        switch group.isAsExpected {
        case true?: return "\(expectation.text): ok"
        case false?: return "\(expectation.text): NOT SO"
        case nil: return "\(expectation.text): unknown"
        }
    }

    private static func summary(_ report: ScanReport, _ options: ScanOptions) -> String {
        let counts = report.counts.map { "\($0.count.grouped) \($0.category.rawValue)" }.joined(separator: ", ")
        var text = "\(report.lines.count.grouped) probes in \(seconds(report.result.duration)): \(counts)"
        if let times = report.times(\.handshake) {
            text +=
                "\nhandshake \(milliseconds(times.least)), median \(milliseconds(times.middle)), at most "
                + milliseconds(times.most)
        }
        if let times = report.times(\.answer) {
            text +=
                "\nanswer \(milliseconds(times.least)), median \(milliseconds(times.middle)), at most "
                + milliseconds(times.most)
        }
        for found in report.pathMTUs { text += "\n\(found.target.harmless): \(found.text)" }
        for change in report.changes {
            text += "\non the way: \(change.text) (\(change.probes.grouped) of \(report.lines.count.grouped) probes)"
        }
        if !options.isOrdered { text += "\norder --seed \(options.seed)" }
        if report.lines.contains(where: { $0.witness == .absent && $0.outcome.finding.category.isVerdict }) {
            text += "\none-sided: no reflector said what arrived"
        }
        return text
    }

    private static func seconds(_ span: Instant.Span) -> String { tenths(span.nanoseconds / 100_000_000) + " s" }
    private static func milliseconds(_ span: Instant.Span) -> String { tenths(span.nanoseconds / 100_000) + " ms" }
    private static func tenths(_ count: Int64) -> String { "\((count / 10).grouped).\(count % 10)" }

    /// Why not all was probed.
    static func interruption(_ report: ScanReport) -> String? {
        switch report.result.interruption {
        case nil: nil
        case .bySignal: "interrupted: this is what was known by then"
        case .localResource(let fault): "the scan ended: this host lacks what its probes need (\(fault.name): \(fault))"
        case .controlLost(let reason): "the scan ended without its reflector: \(reason)"
        }
    }
}
