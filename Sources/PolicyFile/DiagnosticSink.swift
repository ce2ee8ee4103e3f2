// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy

/// Collects what is wrong while the files are read, so that all of it is reported at once.
struct DiagnosticSink {
    /// The policy files, in the order in which they are read.
    let sources: [SourceText]
    private var entries: [Entry] = []
    /// Errors so far; who compares it before and after a step knows whether the step failed.
    private(set) var errorCount = 0
    /// Errors beyond `limit`; a hostile file must not cost memory by being wrong.
    private var surplus = 0

    private static let limit = 1_000

    private struct Entry {
        var source: Int
        var offset: Int
        var diagnostic: Diagnostic
    }

    init(sources: [SourceText]) { self.sources = sources }

    mutating func error(
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
    mutating func mismatch(_ node: YAMLNode, expected: String, suggestion: String? = nil) {
        if case .refused = node.content {
            errorCount += 1
        } else {
            error(at: node.place, found: node.found, expected: expected, suggestion: suggestion)
        }
    }

    private mutating func report(
        _ severity: Severity, at place: SourcePlace, found: String, expected: String, suggestion: String?
    ) {
        let source = sources[place.source]
        let position = source.position(of: place.offset)
        add(
            Diagnostic(
                severity: severity, file: source.name, line: position.line, column: position.column, found: found,
                expected: expected, suggestion: suggestion, source: source.line(at: place.offset)),
            after: place)
    }

    /// Adds a finished diagnostic, about a file that is no policy file, behind what is said of `place`, which names it.
    mutating func add(_ diagnostic: Diagnostic, after place: SourcePlace) {
        if diagnostic.severity == .error { errorCount += 1 }
        guard entries.count < DiagnosticSink.limit else {
            surplus += 1
            return
        }
        entries.append(Entry(source: place.source, offset: place.offset, diagnostic: diagnostic))
    }

    /// Everything, in the order of the files and of the places in them.
    func sorted() -> [Diagnostic] {
        var order = Array(entries.indices)
        order.sort { a, b in
            (entries[a].source, entries[a].offset, a) < (entries[b].source, entries[b].offset, b)
        }
        var result = order.map { entries[$0].diagnostic }
        if surplus > 0, let last = result.last {
            result.append(
                Diagnostic(
                    severity: .error, file: last.file, line: 0, column: 0, found: "\(surplus) more errors",
                    expected: "fewer: only the first \(DiagnosticSink.limit) are shown"))
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
struct SourcePlace: Hashable, Sendable {
    /// Index into `DiagnosticSink.sources`.
    var source: Int
    /// In bytes.
    var offset: Int
}
