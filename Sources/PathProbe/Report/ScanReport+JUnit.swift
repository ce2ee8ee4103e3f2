// SPDX-License-Identifier: GPL-3.0-or-later

internal import PacketWire

extension ScanReport {
    /// One JUnit report of the whole scan, in the form that the Ant task wrote and Jenkins reads: a suite for each target, a case for
    /// each probe. A case fails whose result is not as expected, and is an error where nothing was found out.
    package func junit(_ stamp: ReportStamp) -> String {
        var order: [String] = []
        var suites: [String: [Line]] = [:]
        for line in lines {
            let target = line.outcome.job.target.host
            if suites[target] == nil { order.append(target) }
            suites[target, default: []].append(line)
        }
        var text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n"
        for (number, target) in order.enumerated() { text += suite(number, target, suites[target] ?? [], stamp) }
        return text + "</testsuites>\n"
    }

    private func suite(_ number: Int, _ target: String, _ lines: [Line], _ stamp: ReportStamp) -> String {
        func count(_ judgement: Line.Judgement) -> Int { lines.count { $0.judgement == judgement } }
        let times = lines.reduce(0) { $0 + $1.outcome.finding.evidence.duration.nanoseconds }
        var text =
            "  <testsuite name=\"\(target.marked)\" package=\"portreeve.scan\" id=\"\(number)\" tests=\"\(lines.count)\""
        text +=
            " failures=\"\(count(.notAsExpected))\" errors=\"\(count(.inconclusive))\" skipped=\"\(count(.skipped))\""
        text += " time=\"\(seconds(times))\" timestamp=\"\(stamp.time.marked)\" hostname=\"\(stamp.host.marked)\">\n"
        text += "    <properties>\n"
        let found = pathMTUs.filter { $0.target == target }.map(\.text)
        for (name, value) in properties + found.map({ ("path_mtu", $0) }) {
            text += "      <property name=\"\(name)\" value=\"\(value.marked)\"/>\n"
        }
        text += "    </properties>\n"
        for line in lines { text += testCase(line) }
        text += "    <system-out>\((lines.map(\.sentence) + found).joined(separator: "\n").marked)</system-out>\n"
        return text + "    <system-err></system-err>\n  </testsuite>\n"
    }

    private var properties: [(String, String)] {
        var properties = [("retries", "\(result.retries)")]
        if let session = result.session { properties.append(("session", String(session, radix: 16))) }
        if let tag { properties.append(("tag", tag)) }
        return properties
    }

    private func testCase(_ line: Line) -> String {
        let job = line.outcome.job
        let name = (line.test.name.map { "\($0): " } ?? "") + "\(job.transport.rawValue) \(job.target.port)"
        let head = "    <testcase name=\"\(name.marked)\" classname=\"\(job.target.host.marked)\""
        let start = head + " time=\"\(seconds(line.outcome.finding.evidence.duration.nanoseconds))\""
        let result = line.outcome.finding.category.rawValue
        let sentence = line.sentence.marked
        switch line.judgement {
        case .asExpected, .unjudged: return start + "/>\n"
        case .skipped: return start + ">\n      <skipped message=\"\(sentence)\"/>\n    </testcase>\n"
        case .notAsExpected:
            let expected = line.test.expectation.map { "expected \($0.text), " } ?? ""
            return start + ">\n      <failure type=\"\(result)\" message=\"\((expected + "found \(result)").marked)\">"
                + "\(sentence)</failure>\n    </testcase>\n"
        case .inconclusive:
            return start + ">\n      <error type=\"\(result)\" message=\"inconclusive\">\(sentence)</error>\n"
                + "    </testcase>\n"
        }
    }

    /// With three digits after the point.
    private func seconds(_ nanoseconds: Int64) -> String {
        let thousandths = nanoseconds / 1_000_000
        let rest = "\(thousandths % 1_000)"
        return "\(thousandths / 1_000).\(String(repeating: "0", count: 3 - rest.count))\(rest)"
    }
}
