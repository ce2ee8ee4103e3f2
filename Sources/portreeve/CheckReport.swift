// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import FirewallEngine
import FirewallPolicy
import PolicyAnalysis
import PolicyFile

/// Everything that `portreeve check` has to say of a policy, in the form that is asked for.
struct CheckReport {
    /// One thing that is said.
    struct Entry {
        /// error, warning or note.
        let level: String
        let code: String
        let file: String
        /// 0: it is about the file as a whole.
        let line: Int
        let column: Int
        let text: String
        let cure: String
    }

    let entries: [Entry]
    /// What was found out about each rule, where that is asked for.
    var rules: [JSONValue]?

    static func entry(_ diagnostic: Diagnostic) -> Entry {
        Entry(
            level: diagnostic.severity == .error ? "error" : "warning", code: "syntax", file: diagnostic.file,
            line: diagnostic.line, column: diagnostic.column, text: "found \(diagnostic.found)",
            cure: "expected \(diagnostic.expected)" + (diagnostic.suggestion.map { "; \($0)" } ?? ""))
    }

    static func entry(_ remark: PolicyRemark, _ file: String) -> Entry {
        Entry(
            level: "warning", code: "\(remark.kind)", file: remark.position?.file ?? file,
            line: remark.position?.line ?? 0,
            column: remark.position?.column ?? 0, text: remark.text, cure: remark.cure)
    }

    static func entry(_ lint: PolicyLint, _ file: String) -> Entry {
        Entry(
            level: lint.level.rawValue, code: lint.code, file: lint.position?.file ?? file,
            line: lint.position?.line ?? 0,
            column: lint.position?.column ?? 0, text: lint.text, cure: lint.cure)
    }

    var json: JSONValue {
        .object(
            [
                .init(
                    "findings",
                    .list(
                        entries.map { entry in
                            [
                                "level": .text(entry.level), "code": .text(entry.code), "file": .text(entry.file),
                                "line": .count(entry.line), "column": .count(entry.column), "text": .text(entry.text),
                                "cure": .text(entry.cure),
                            ]
                        }))
            ] + (rules.map { [.init("rules", .list($0))] } ?? []))
    }

    /// As OASIS's Static Analysis Results Interchange Format 2.1.0 has it, for code review.
    var sarif: JSONValue {
        let rules = Set(entries.map(\.code)).sorted().map { code -> JSONValue in ["id": .text(code)] }
        let driver: JSONValue = [
            "name": .text("portreeve check"), "version": .text(Release.version), "rules": .list(rules),
        ]
        let run: JSONValue = ["tool": ["driver": driver], "results": .list(entries.map(Self.result))]
        return [
            "$schema": .text("https://json.schemastore.org/sarif-2.1.0.json"), "version": .text("2.1.0"),
            "runs": .list([run]),
        ]
    }

    private static func result(_ entry: Entry) -> JSONValue {
        var place: [JSONValue.Member] = [.init("artifactLocation", ["uri": .text(entry.file.asURIReference)])]
        if entry.line > 0 {
            place.append(
                .init("region", ["startLine": .count(entry.line), "startColumn": .count(max(1, entry.column))]))
        }
        return [
            "ruleId": .text(entry.code), "level": .text(entry.level),
            "message": ["text": .text("\(entry.text): \(entry.cure)")],
            "locations": .list([["physicalLocation": .object(place)]]),
        ]
    }
}

extension String {
    /// A path as a relative reference (RFC 3986 section 4.2): what is not unreserved stands as the numbers of its bytes.
    fileprivate var asURIReference: String {
        let plain = Set("-._~/".utf8)
        return utf8.map { byte in
            let isPlain =
                (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
                || plain.contains(byte)
            let digits = String(byte, radix: 16, uppercase: true)
            return isPlain ? String(UnicodeScalar(byte)) : "%\(byte < 16 ? "0" : "")\(digits)"
        }.joined()
    }
}
