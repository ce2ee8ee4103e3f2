// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ArgumentParser
import Glibc
import PathProbe

/// In which forms a scan's result is given, beside the table.
struct ReportOptions: ParsableArguments {
    @Flag(help: "Print one JSON object for each probe.")
    var json = false

    @Flag(help: "Print the result as Test Anything Protocol, version 13.")
    var tap = false

    @Option(
        help: ArgumentHelp("Write one JUnit report of the whole scan to a file, too.", valueName: "file"),
        completion: .file())
    var junit: String?

    @Option(
        help: ArgumentHelp(
            "Write a page with a matrix of ports and targets to a file, too; it needs nothing from elsewhere.",
            valueName: "file"),
        completion: .file())
    var html: String?

    @Option(
        help: ArgumentHelp("Keep the result in a file, for --diff of a later scan.", valueName: "file"),
        completion: .file())
    var save: String?

    @Option(
        help: ArgumentHelp(
            "Say what is not as in a result that --save kept; exit status 1 if anything. - is standard input.",
            valueName: "file"),
        completion: .file())
    var diff: String?

    func validate() throws {
        guard !json || !tap else { throw ValidationError("--json and --tap both print: choose one") }
    }

    /// What `--diff` compares with; read before anything is sent, and before `--save` may write to the same file.
    func earlier() throws -> ScanBaseline? {
        guard let diff else { return nil }
        if diff == StandardInput.name { return try baseline(StandardInput.bytes) }
        let file = unsafe open(diff, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw fail("--diff: \(diff.harmless): \(SystemError.text(errno))", status: .usage) }
        defer { close(file) }
        return try baseline(readAll(file))
    }

    private func baseline(_ text: [UInt8]) throws -> ScanBaseline {
        do throws(ScanBaseline.Fault) {
            return try ScanBaseline(text.split(separator: UInt8(ascii: "\n")).map(Array.init))
        } catch {
            throw fail("--diff: \(StandardInput.title(of: diff ?? "")), \(error)", status: .usage)
        }
    }

    /// Writes the files that were asked for; each stands whole or not at all.
    func write(_ report: ScanReport) throws {
        let stamp = ReportStamp(time: Self.now, local: WallTime.now.text, host: Self.host)
        let files = [
            (junit, { report.junit(stamp) }), (html, { report.html(stamp) }),
            (save, { report.jsonLines.map { $0 + "\n" }.joined() }),
        ]
        for (path, text) in files {
            guard let path else { continue }
            if let fault = replaceFile(path, with: text()) {
                throw fail("\(path.harmless): \(fault)", status: .cannotScan)
            }
        }
    }

    private static var now: String {
        var seconds = time(nil)
        var parts = unsafe tm()
        unsafe gmtime_r(&seconds, &parts)
        func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let date = unsafe "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
        return unsafe "\(date)T\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
    }

    static var host: String {
        var name = utsname()
        guard unsafe uname(&name) == 0 else { return "this host" }
        return unsafe withUnsafeBytes(of: &name.nodename) { bytes in
            unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
    }
}
