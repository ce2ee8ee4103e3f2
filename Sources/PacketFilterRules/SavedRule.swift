// SPDX-License-Identifier: GPL-3.0-or-later

/// One `-A` line of a saved rule set.
package struct SavedRule: Hashable, Sendable {
    /// As it was printed, from `-A` on.
    package let line: String
    package let chain: String
    package private(set) var conditions = RuleConditions()
    /// Modules named with `-m`.
    package private(set) var modules: [String] = []
    /// Built-in target, extension or user chain; nil for a rule that only counts.
    package private(set) var target: String?
    package private(set) var targetOptions: [String] = []

    /// Nil for what is no `-A` line.
    init?(_ text: some StringProtocol) {
        let words = Self.words(text)
        guard words.count >= 2, words[0] == "-A" else { return nil }
        line = String(text)
        chain = words[1]
        read(words.dropFirst(2))
    }

    private mutating func read(_ words: ArraySlice<String>) {
        var rest = words
        var isInverted = false
        while let word = rest.popFirst() {
            switch word {
            case "!": isInverted = true
            case "-m", "--match": rest.popFirst().map { addModule($0) }
            case "-j", "--jump", "-g", "--goto":
                target = rest.popFirst()
                targetOptions = Array(rest)
                return
            default:
                let values = rest.prefix { $0 != "!" && !$0.hasPrefix("-") }
                rest = rest.dropFirst(values.count)
                conditions.add(word, Array(values), isInverted: isInverted)
                isInverted = false
            }
        }
    }

    /// A match without options asks for something too.
    private mutating func addModule(_ name: String) {
        modules.append(name)
        if name != "comment" { conditions.isEmpty = false }
    }

    /// Splits as a shell does: quotes group, a backslash takes the next character as it is.
    private static func words(_ text: some StringProtocol) -> [String] {
        var words: [String] = []
        var word: String?
        var isQuoted = false
        var isEscaped = false
        for character in text {
            if isEscaped {
                word = (word ?? "") + String(character)
                isEscaped = false
            } else if character == "\\" {
                isEscaped = true
            } else if character == "\"" {
                isQuoted.toggle()
                word = word ?? ""
            } else if character == " " && !isQuoted {
                word.map { words.append($0) }
                word = nil
            } else {
                word = (word ?? "") + String(character)
            }
        }
        word.map { words.append($0) }
        return words
    }
}
