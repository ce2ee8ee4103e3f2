// SPDX-License-Identifier: GPL-3.0-or-later

import Testing

@testable import PolicyFile

@Suite("The line that a diagnostic shows")
struct ExcerptTests {
    /// The column of the caret on a terminal whose tab stops are eight columns apart.
    private func caret(_ line: String, _ column: Int) -> Int {
        var width = 0
        for character in Excerpt(of: line, around: column).padding {
            width = character == "\t" ? (width / 8 + 1) * 8 : width + 1
        }
        return width
    }

    @Test("The caret stands below its column, whatever is before it")
    func columns() {
        #expect(caret("mode: tap", 7) == 6)
        #expect(caret("\tmode", 2) == 8)
        #expect(caret("a\tmode", 3) == 8)
        #expect(caret("büro: x", 7) == 6)
        #expect(caret("東京: x", 5) == 6)
        #expect(caret("e\u{301}: x", 5) == 3)
        #expect(caret("😀 x", 3) == 3)
    }

    @Test("A column behind the end, or none, does not trap", arguments: [-5, 0, 1, 9, 10, 11, 1_000_000, Int.max])
    func outside(_ column: Int) {
        #expect(Excerpt(of: "mode: tap", around: column).padding.count <= 9)
        #expect(Excerpt(of: "", around: column).padding.isEmpty)
    }

    @Test("A long line is cut on both sides of its column")
    func long() {
        let line = String(repeating: "x", count: 5_000) + "!" + String(repeating: "y", count: 5_000)
        let excerpt = Excerpt(of: line, around: 5_001)
        #expect(excerpt.text.count < 130)
        #expect(excerpt.text.first == "…" && excerpt.text.last == "…")
        let index = excerpt.text.index(excerpt.text.startIndex, offsetBy: excerpt.padding.count)
        #expect(excerpt.text[index] == "!")
    }

    @Test("What could steer a terminal is not shown")
    func harmlessText() {
        let shown = Excerpt(of: "a\u{1b}[31m\u{202e}b\u{85}c\u{7f}", around: 1).text
        #expect(shown == "a\u{fffd}[31m\u{fffd}b\u{fffd}c\u{fffd}")
        #expect(quoted("x\n\ty\u{1b}") == "\"x\u{fffd} y\u{fffd}\"")
    }

    @Test("Without a place only the file is named")
    func wholeFile() {
        let diagnostic = Diagnostic(
            severity: .warning, file: "/etc/x\u{1b}.yaml", line: 0, column: 0, found: "this", expected: "that")
        #expect(diagnostic.rendered() == "/etc/x\u{fffd}.yaml: warning: found this, expected that")
    }
}
