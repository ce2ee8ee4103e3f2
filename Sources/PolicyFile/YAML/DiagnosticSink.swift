// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy

/// Collects what is wrong while the files are read, so that all of it is reported at once.
package struct DiagnosticSink {
    /// The policy files, in the order in which they are read.
    let sources: [SourceText]
    private var entries: [Entry] = []
    /// Errors so far; who compares it before and after a step knows whether the step failed.
    package private(set) var errorCount = 0
    private static let limit = 1_000

    /// False once nothing more can be said: then readers stop, so that a hostile file costs no more by being wrong
    /// than by being right.
    package var hasRoom: Bool { entries.count < DiagnosticSink.limit }

    private struct Entry {
        var source: Int
        var offset: Int
        var diagnostic: Diagnostic
    }

    package init(sources: [SourceText]) { self.sources = sources }

    package mutating func error(
        at place: SourcePlace, found: String, expected: String, suggestion: String? = nil
    ) {
        report(.error, at: place, found: found, expected: expected, suggestion: suggestion)
    }

    mutating func warning(
        at place: SourcePlace, found: String, expected: String, suggestion: String? = nil
    ) {
        report(.warning, at: place, found: found, expected: expected, suggestion: suggestion)
    }

    /// The value is of the wrong kind.
    package mutating func mismatch(_ node: YAMLNode, expected: String, suggestion: String? = nil) {
        if case .refused = node.content {
            errorCount += 1
        } else if let address = node.addressTakenForKey {
            error(
                at: node.place, found: "\(quoted(address)), which YAML reads as a mapping", expected: expected,
                suggestion: QuotingAdvice.quote(address))
        } else {
            error(at: node.place, found: node.found, expected: expected, suggestion: suggestion)
        }
    }

    private mutating func report(
        _ severity: Severity, at place: SourcePlace, found: String, expected: String, suggestion: String?
    ) {
        guard takeRoom(severity) else { return }
        let source = sources[place.source]
        let position = source.position(of: place.offset)
        let excerpt = source.excerpt(around: place.offset)
        append(
            Diagnostic(
                severity: severity, file: source.name, line: position.line, column: position.column, found: found,
                expected: expected, suggestion: suggestion, source: excerpt.text, caret: excerpt.caret),
            at: place)
    }

    private mutating func append(_ diagnostic: Diagnostic, at place: SourcePlace) {
        entries.append(Entry(source: place.source, offset: place.offset, diagnostic: diagnostic))
    }

    /// Adds a finished diagnostic, about a file that is no policy file, behind what is said of `place`, which names it.
    mutating func add(_ diagnostic: Diagnostic, after place: SourcePlace) {
        guard takeRoom(diagnostic.severity) else { return }
        append(diagnostic, at: place)
    }

    private mutating func takeRoom(_ severity: Severity) -> Bool {
        if severity == .error { errorCount += 1 }
        return hasRoom
    }

    /// Everything, in the order of the files and of the places in them.
    package func sorted() -> [Diagnostic] {
        var order = Array(entries.indices)
        order.sort { a, b in
            (entries[a].source, entries[a].offset, a) < (entries[b].source, entries[b].offset, b)
        }
        var result = order.map { entries[$0].diagnostic }
        if !hasRoom, let last = result.last {
            result.append(
                Diagnostic(
                    severity: .error, file: last.file, line: 0, column: 0, found: "no end of errors",
                    expected: "fewer: reading stopped after \(DiagnosticSink.limit)"))
        }
        return result
    }

    /// The place as the document keeps it, for messages and `explain`.
    func position(of place: SourcePlace) -> SourcePosition {
        let position = sources[place.source].position(of: place.offset)
        return SourcePosition(file: sources[place.source].name, line: position.line, column: position.column)
    }
}

/// A place in one of the policy files.
package struct SourcePlace: Hashable, Sendable {
    /// Index into `DiagnosticSink.sources`.
    package var source: Int
    /// In bytes.
    package var offset: Int

    package init(source: Int, offset: Int) {
        self.source = source
        self.offset = offset
    }
}
