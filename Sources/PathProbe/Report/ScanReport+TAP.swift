// SPDX-License-Identifier: GPL-3.0-or-later

extension ScanReport {
    /// Test Anything Protocol, version 13. What is inconclusive is not ok; a port that the reflector cannot have is skipped.
    package var tap: String {
        var text = "TAP version 13\n1..\(lines.count)\n"
        for (index, line) in lines.enumerated() { text += entry(index + 1, line) }
        if case .localResource(let fault) = result.interruption { text += "Bail out! this host lacks \(fault.name)\n" }
        return text
    }

    private func entry(_ number: Int, _ line: Line) -> String {
        let job = line.outcome.job
        let finding = line.outcome.finding
        let test = line.test.name.map { "\($0.inTAP): " } ?? ""
        let name = "\(number) - \(test)\(job.transport.rawValue) \(job.target) \(finding.category.rawValue)"
        let judgement = line.judgement
        if judgement == .skipped { return "ok \(name) # SKIP \(line.conclusion.inTAP)\n" }
        let isOK = judgement == .asExpected || judgement == .unjudged
        return "\(isOK ? "ok" : "not ok") \(name)\n" + diagnostics(line, isInconclusive: judgement == .inconclusive)
    }

    private func diagnostics(_ line: Line, isInconclusive: Bool) -> String {
        var values = [("detail", line.outcome.finding.detail.text), ("conclusion", line.conclusion)]
        if let answer = line.answer {
            values += [("where", answer.place), ("why", answer.cause), ("by", answer.author ?? "unknown")]
        }
        if let expectation = line.test.expectation { values.append(("expected", expectation.text)) }
        if let retry = line.retry { values.append(("retry", retry)) }
        if isInconclusive { values.append(("inconclusive", "yes")) }
        return "  ---\n" + values.map { "  \($0.0): \($0.1.quotedInYAML)\n" }.joined() + "  ...\n"
    }
}

extension String {
    /// Without what would end the line or begin a directive.
    fileprivate var inTAP: String { String(map { $0.isNewline || $0 == "#" || $0 == "\\" ? " " : $0 }) }

    fileprivate var quotedInYAML: String {
        var text = "\""
        for scalar in unicodeScalars {
            switch scalar {
            case "\"", "\\": text += "\\\(scalar)"
            case "\u{0}"..."\u{1f}", "\u{7f}"..."\u{9f}": text += "\u{fffd}"
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text + "\""
    }
}
