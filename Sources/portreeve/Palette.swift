// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc

/// Colours, where the output is a terminal that has them and nobody has asked for none (https://no-color.org). A word says the same
/// without its colour.
struct Palette: Sendable {
    enum Colour: String {
        case red = "31"
        case green = "32"
        case yellow = "33"
        case cyan = "36"
    }

    private let isOn: Bool
    var hasColours: Bool { isOn }

    static let output = Palette(STDOUT_FILENO)
    static let errors = Palette(STDERR_FILENO)

    init(isOn: Bool) { self.isOn = isOn }

    private init(_ descriptor: CInt) {
        func setting(_ name: String) -> String { unsafe getenv(name).map { unsafe String(cString: $0) } ?? "" }
        isOn =
            isatty(descriptor) == 1 && setting("NO_COLOR").isEmpty && !["", "dumb"].contains(setting("TERM"))
    }

    /// The text in a colour; as it is without one.
    func paint(_ text: String, _ colour: Colour?) -> String {
        guard isOn, let colour, !text.isEmpty else { return text }
        return "\u{1b}[\(colour.rawValue)m\(text)\u{1b}[0m"
    }

    /// How grave a message is, in each of its lines that says so: "error:", "warning:", "note:", at its beginning or behind a place.
    func paintGravity(of message: String) -> String {
        guard isOn else { return message }
        return message.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            for (word, colour) in [("error:", Colour.red), ("warning:", .yellow), ("note:", .cyan)] {
                if line.hasPrefix(word) { return paint(word, colour) + line.dropFirst(word.count) }
                guard let found = line.firstRange(of: ": \(word) ") else { continue }
                let start = line.index(found.lowerBound, offsetBy: 2)
                let end = line.index(start, offsetBy: word.count)
                return line[..<start] + paint(word, colour) + line[end...]
            }
            return String(line)
        }.joined(separator: "\n")
    }
}
