// SPDX-License-Identifier: GPL-3.0-or-later

/// A pattern for interface names as in fnmatch(3): `*`, `?`, `[a-z]`, `[!a-z]`, and `\` before a literal character. A
/// bracket that is never closed stands for itself.
public struct InterfaceGlob: Hashable, Sendable {
    private let pattern: [UInt8]

    public init(_ pattern: String) { self.pattern = Array(pattern.utf8) }

    /// At most (length of the pattern) × (length of the name) steps: only the last star is ever taken back.
    public func matches(_ name: String) -> Bool {
        let name = Array(name.utf8)
        var p = 0
        var n = 0
        var afterStar: (pattern: Int, name: Int)?
        while n < name.count {
            if p < pattern.count, pattern[p] == UInt8(ascii: "*") {
                p += 1
                afterStar = (p, n)
            } else if let next = step(at: p, over: name[n]) {
                p = next
                n += 1
            } else if let star = afterStar {
                afterStar = (star.pattern, star.name + 1)
                p = star.pattern
                n = star.name + 1
            } else {
                return false
            }
        }
        return pattern[p...].allSatisfy { $0 == UInt8(ascii: "*") }
    }

    /// The position after the element at `p`, if that element accepts `byte`.
    private func step(at p: Int, over byte: UInt8) -> Int? {
        guard p < pattern.count else { return nil }
        switch pattern[p] {
        case UInt8(ascii: "?"):
            return p + 1
        case UInt8(ascii: "["):
            guard let (end, accepts) = bracket(at: p, byte) else { return byte == pattern[p] ? p + 1 : nil }
            return accepts ? end : nil
        case UInt8(ascii: "\\") where p + 1 < pattern.count:
            return byte == pattern[p + 1] ? p + 2 : nil
        default:
            return byte == pattern[p] ? p + 1 : nil
        }
    }

    /// Where the bracket expression at `p` ends, and whether it accepts `byte`; nil if it is not closed.
    private func bracket(at p: Int, _ byte: UInt8) -> (end: Int, accepts: Bool)? {
        var i = p + 1
        let isNegated = i < pattern.count && (pattern[i] == UInt8(ascii: "!") || pattern[i] == UInt8(ascii: "^"))
        if isNegated { i += 1 }
        var found = false
        var isFirst = true
        while i < pattern.count, isFirst || pattern[i] != UInt8(ascii: "]") {
            isFirst = false
            var upper = i
            if i + 2 < pattern.count, pattern[i + 1] == UInt8(ascii: "-"), pattern[i + 2] != UInt8(ascii: "]") {
                upper = i + 2
            }
            found = found || (pattern[i] <= byte && byte <= pattern[upper])
            i = upper + 1
        }
        return i < pattern.count ? (i + 1, found != isNegated) : nil
    }
}

extension InterfaceGlob {
    /// Bytes of the pattern: the position at which a name has matched it whole.
    public var count: Int { pattern.count }

    /// The positions in the pattern that are reached without a further letter, ascending: stars may stand for nothing.
    public func positions(from positions: Set<Int>) -> [Int] {
        var reached = positions
        for position in positions.sorted() {
            var position = position
            while position < pattern.count, pattern[position] == UInt8(ascii: "*") {
                position += 1
                reached.insert(position)
            }
        }
        return reached.sorted()
    }

    /// The positions after one more letter of the name.
    public func positions(after byte: UInt8, from positions: [Int]) -> [Int] {
        var reached: Set<Int> = []
        for position in positions where position < pattern.count {
            if pattern[position] == UInt8(ascii: "*") {
                reached.insert(position)
            } else if let next = step(at: position, over: byte) {
                reached.insert(next)
            }
        }
        return self.positions(from: reached)
    }

    /// Letters by which the pattern tells names apart: those that it names, and their neighbours, at which a range may end.
    public var letters: Set<UInt8> {
        pattern.reduce(into: []) { letters, byte in letters.formUnion([byte &- 1, byte, byte &+ 1]) }
    }
}

extension InterfaceSettings {
    /// Whether packets of the interface of this name pass untouched.
    public func ignores(_ name: String) -> Bool { ignore.contains { InterfaceGlob($0).matches(name) } }
}
