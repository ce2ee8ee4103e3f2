// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy

/// A file of addresses: one address, prefix or range in each line; `#` or `;` begins a comment, as the lists have it that
/// others publish; blank lines are nothing. Lines end as any system ends them, and a byte order mark is left out.
struct AddressFile {
    private var set = AddressRangeSet()
    /// The first wrong lines.
    private(set) var diagnostics: [Diagnostic] = []
    /// Wrong lines beyond those.
    private(set) var surplus = 0

    private static let reportedLines = 20

    /// Reads the bytes of a file that the diagnostics call `name`.
    init(name: String, bytes: [UInt8]) {
        if isUTF16(bytes) {
            diagnostics.append(
                Diagnostic(severity: .error, file: name, line: 0, column: 0, found: "UTF-16", expected: "plain text"))
            return
        }
        let text = bytes.span
        set.reserve(AddressFile.entries(text))
        var start = bytes.starts(with: byteOrderMark) ? byteOrderMark.count : 0
        var line = 1
        while start < text.count {
            var end = start
            while end < text.count, !AddressFile.endsLine(text[end]) { end += 1 }
            let entry = AddressFile.entry(text, start..<end)
            if !entry.isEmpty {
                do throws(ScalarFault) {
                    set.insert(try AddressSyntax.range(text.extracting(entry)))
                } catch {
                    report(error, name, line, entry, in: bytes[start..<end])
                }
            }
            start = end + 1
            if end < text.count, text[end] == UInt8(ascii: "\r"), start < text.count, text[start] == UInt8(ascii: "\n")
            {
                start += 1
            }
            line += 1
        }
    }

    /// Gives the ranges away, sorted and disjoint.
    mutating func takeRanges() -> [AddressRange] { set.takeRanges() }

    /// How many lines begin with an entry: about as many ranges there are.
    private static func entries(_ text: Span<UInt8>) -> Int {
        var count = 0
        var isAtStart = true
        for index in text.indices {
            if isAtStart, text[index] > 0x20, !beginsComment(text[index]) { count += 1 }
            isAtStart = endsLine(text[index])
        }
        return count
    }

    /// The line without comment and blanks.
    private static func entry(_ text: Span<UInt8>, _ line: Range<Int>) -> Range<Int> {
        var start = line.lowerBound
        while start < line.upperBound, isBlank(text[start]) { start += 1 }
        var end = start
        while end < line.upperBound, !beginsComment(text[end]) { end += 1 }
        while end > start, isBlank(text[end - 1]) { end -= 1 }
        return start..<end
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
    private static func endsLine(_ byte: UInt8) -> Bool { byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") }
    private static func beginsComment(_ byte: UInt8) -> Bool { byte == UInt8(ascii: "#") || byte == UInt8(ascii: ";") }

    private mutating func report(
        _ fault: ScalarFault, _ name: String, _ line: Int, _ entry: Range<Int>, in bytes: ArraySlice<UInt8>
    ) {
        guard diagnostics.count < AddressFile.reportedLines else {
            surplus += 1
            return
        }
        let excerpt = SourceExcerpt(of: bytes, around: entry.lowerBound)
        let before = bytes[..<entry.lowerBound].count { !isContinuation($0) }
        let found = bytes[entry.lowerBound..<min(entry.upperBound, entry.lowerBound + 256)]
        diagnostics.append(
            Diagnostic(
                severity: .error, file: name, line: line, column: 1 + before,
                found: quoted(String(decoding: found, as: UTF8.self)), expected: fault.expected,
                suggestion: fault.suggestion, source: excerpt.text, caret: excerpt.caret))
    }
}
