// SPDX-License-Identifier: GPL-3.0-or-later

package import FirewallPolicy

/// The policy file: from YAML to `PolicyDocument`, with everything that is wrong reported at once and at its place, and
/// back to a canonical text.
///
/// The way of a file: `SourceText` (bytes and lines) → `YAMLEventStream` (libyaml; the only place that touches its
/// memory) → `YAMLComposer` (a tree of nodes with places, bounded) → `PolicyDraft` (settings by the table
/// `Setting.all`; lists, schedules and rules by their own readers; then what only all files together can tell).
///
/// After success: every list, schedule and interface pattern that a rule names is defined or well formed, ranges are
/// sorted and disjoint, names are unique, and no rule's criteria exclude each other. Whether interfaces exist and whether
/// rules hide each other is not looked at.
package enum PolicyFile {
    /// Bytes that one policy file may have. List files are bounded by `Surroundings`.
    package static let maximumSize = 16 << 20

    /// A policy, and what was noticed on the way. There is no document if any diagnostic is an error.
    package struct Outcome: Sendable {
        package var document: PolicyDocument?
        package var diagnostics: [Diagnostic]
        /// The settings as far as they could be read, for who has to do with something where nothing is right.
        package var attempt = PolicyDocument()

        /// The document, or all diagnostics as an error.
        package func get() throws(PolicyFileError) -> PolicyDocument {
            guard let document else { throw PolicyFileError(diagnostics: diagnostics) }
            return document
        }
    }

    /// Reads the file and, after it, `policy.d/*.yaml` beside it in byte order of their names.
    package static func load(_ path: String, for use: PolicyUse = .queue) throws(PolicyFileError) -> PolicyDocument {
        try read(path, for: use).get()
    }

    /// As `load`, with warnings.
    ///
    /// - Parameters:
    ///   - path: the policy file.
    ///   - use: decides which fields of a packet rules may name.
    ///   - copy: takes everything that is read; whole where the outcome has a document.
    ///   - additions: texts that are read after the files, as if they were further ones of these names.
    ///   - isLeftOut: files in the folder that are none of the policy, by their paths.
    /// - Returns: the document, unless anything is wrong, and all diagnostics in the order of the files.
    package static func read(
        _ path: String, for use: PolicyUse = .queue, copyingTo copy: PolicyCopyWriter? = nil,
        adding additions: [(name: String, text: [UInt8])] = [], leavingOut isLeftOut: (String) -> Bool = { _ in false }
    ) -> Outcome {
        var sources: [(name: String, text: [UInt8])] = []
        var unreadable: [Diagnostic] = []
        var names = [path]
        let directory = dropInDirectory(of: path)
        do throws(FileFault) {
            names += try dropIns(in: directory, &unreadable).filter { !isLeftOut($0) }
        } catch {
            unreadable.append(.wholeFile(directory, found: error.reason, expected: "a readable directory"))
        }
        for name in names {
            do throws(FileFault) {
                sources.append((name, try readFile(name, atMost: maximumSize)))
            } catch {
                unreadable.append(.wholeFile(name, found: error.reason, expected: "a readable policy file"))
            }
        }
        let isIncomplete = unreadable.contains { $0.severity == .error }
        var outcome = parse(sources + additions, for: use, in: .host(copyingTo: copy), isIncomplete: isIncomplete)
        if isIncomplete { outcome.document = nil }
        for source in sources { copy?.add(.file, source.name, source.text) }
        outcome.diagnostics = unreadable + outcome.diagnostics
        return outcome
    }

    /// Reads the texts as the files of one policy, in this order.
    ///
    /// - Parameters:
    ///   - sources: names, as diagnostics say them, and bytes; no longer than `maximumSize` each.
    ///   - use: decides which fields of a packet rules may name.
    ///   - surroundings: where list files come from and which time zones there are.
    ///   - isIncomplete: another file could not be read, so that nothing is to be called undefined.
    /// - Returns: the document, unless anything is wrong, and all diagnostics in the order of the files.
    package static func parse(
        _ sources: [(name: String, text: [UInt8])], for use: PolicyUse = .queue, in surroundings: Surroundings = .host,
        isIncomplete: Bool = false
    ) -> Outcome {
        var sink = DiagnosticSink(sources: sources.map { SourceText(name: $0.name, bytes: $0.text) })
        var draft = PolicyDraft(use: use, surroundings: surroundings)
        draft.isIncomplete = isIncomplete
        draft.document.files = sources.map(\.name)
        for index in sources.indices {
            let errors = sink.errorCount
            if let root = YAMLComposer.compose(index, reportingTo: &sink) {
                draft.read(root, &sink)
            } else if sink.errorCount > errors {
                draft.isIncomplete = true
            } else {
                sink.error(
                    at: SourcePlace(source: index, offset: 0), found: "an empty file",
                    expected: PolicyDraft.expectedVersion)
            }
        }
        draft.finish(&sink)
        return Outcome(
            document: sink.errorCount == 0 ? draft.document : nil, diagnostics: sink.sorted(), attempt: draft.document)
    }
}

func dropInDirectory(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "policy.d" }
    return path[...slash] + "policy.d"
}

/// The drop-in files of a directory; a file that looks like one and is none is worth a warning.
func dropIns(in directory: String, _ diagnostics: inout [Diagnostic]) throws(FileFault) -> [String] {
    let names = try namesInDirectory(directory) ?? []
    for name in names where name.hasSuffix(".yml") {
        diagnostics.append(
            .wholeFile(
                "\(directory)/\(name)", .warning, found: "a file that is not read",
                expected: "a name that ends in .yaml"))
    }
    return names.filter { $0.hasSuffix(".yaml") && !$0.hasPrefix(".") }.map { "\(directory)/\($0)" }
}

extension Diagnostic {
    /// About a file as a whole.
    package static func wholeFile(
        _ file: String, _ severity: Severity = .error, found: String, expected: String
    ) -> Diagnostic {
        Diagnostic(severity: severity, file: file, line: 0, column: 0, found: found, expected: expected)
    }
}
