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
        let lines = table.lines()
        print(lines[0])
        for (line, group) in zip(lines.dropFirst(), groups) {
            print(line)
            print("    \(group.category.title): \(group.conclusion.harmless)")
            if let answer = group.answer { print("    \(answer.text.harmless)") }
            if let location = group.location { print("    \(location.text)") }
            if let retry = group.retry { print("    \(retry)") }
            if group.isUnreliable {
                print("    unreliable: the reflector's host dropped connections or datagrams meanwhile")
            }
        }
        print(summary(report, options))
    }

    /// What is not as in an earlier result.
    static func show(_ changes: [ScanChange], _ file: String) {
        guard !changes.isEmpty else { return print("nothing has changed since \(file.harmless)") }
        print("changed since \(file.harmless):")
        for line in ScanChange.lines(of: changes) { print("    \(line.harmless)") }
    }

    static func showCategories(json: Bool) {
        guard !json else { return ResultRow.all.forEach { print($0.json) } }
        var table = TextTable([.text("RESULT"), .text("DETAIL"), .text("PROTO"), .text("MEANING")])
        for row in ResultRow.all {
            let protocols = row.transports.map(\.rawValue).joined(separator: " ")
            table.add([row.category.rawValue, row.detail, protocols, row.meaning])
        }
        print(table.lines().joined(separator: "\n"))
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

/// What is left and for how long, on a terminal.
final class ProgressMeter {
    private let isShown = isatty(STDERR_FILENO) == 1
    private var shownAt: Instant?
    private var width = 0

    func show(_ progress: ScanProgress) {
        guard isShown else { return }
        let now = Poller.now
        if let shownAt, now < shownAt + .milliseconds(200) { return }
        shownAt = now
        let percent = progress.total > 0 ? progress.done * 100 / progress.total : 100
        let seconds = (progress.left.nanoseconds + 999_999_999) / 1_000_000_000
        let left = progress.total - progress.done
        write(
            "\(progress.isRepeating ? "repeating: " : "")\(percent) %, \(left.grouped) left, about \(seconds.grouped) s"
        )
    }

    /// The line is the next text's again.
    func clear() {
        if shownAt != nil { write("") }
    }

    private func write(_ text: String) {
        let bytes = Array("\r\(text.padded(to: width))\(text.isEmpty ? "\r" : "")".utf8)
        width = text.count
        _ = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}
