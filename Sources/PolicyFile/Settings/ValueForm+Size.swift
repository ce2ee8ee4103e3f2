// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import PacketWire

extension ValueForm where Value == UInt64? {
    /// A number of bytes with its unit, or a word that stands for no bound.
    static func size(_ range: ClosedRange<UInt64>, or word: String) -> ValueForm {
        let expected = "\(word), or \(expectedSize(range))"
        return .scalar(
            expected,
            schema: SchemaText.anyOf(SchemaText.words([word]), SchemaText.text(sizePattern(range))),
            print: { $0.map(sizeText) ?? word },
            parse: { scalar throws(ScalarFault) in
                if scalar.text == word { return nil }
                return try parseSize(scalar.text, in: range, expected: expected)
            })
    }
}

extension ValueForm where Value == EventBudget? {
    /// A number of bytes in a time, or `off`.
    static let budget = ValueForm.scalar(
        expectedBudget,
        schema: SchemaText.anyOf(
            SchemaText.words(["off"]),
            SchemaText.text("(?:\(sizePattern(budgetSizes)))/(?:\(timePattern(budgetTimes)))")),
        print: { $0.map { "\(sizeText($0.bytes))/\(timeText($0.window))" } ?? "off" },
        parse: { scalar throws(ScalarFault) in
            if scalar.text == "off" { return nil }
            let parts = scalar.text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { throw ScalarFault(expectedBudget) }
            return EventBudget(
                bytes: try parseSize(String(parts[0]), in: budgetSizes, expected: expectedBudget),
                window: try parseTime(String(parts[1]), in: budgetTimes, expected: expectedBudget))
        })
}

/// The least holds a record of each reason.
private let budgetSizes: ClosedRange<UInt64> = (64 << 10)...(1 << 40)
private let budgetTimes: ClosedRange<Instant.Span> = .seconds(1) ... .hours(24)
private let expectedBudget = """
    off, or \(expectedSize(budgetSizes)), and behind a slash a time, \(timeText(budgetTimes.lowerBound)) to \
    \(timeText(budgetTimes.upperBound)), such as 20MiB/1m
    """

/// Units in bytes, the largest first.
private let sizeUnits: [(name: String, bytes: UInt64)] = [
    ("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10),
]

func expectedSize(_ range: ClosedRange<UInt64>) -> String {
    "a size with its unit (KiB, MiB, GiB or TiB), \(sizeText(range.lowerBound)) to \(sizeText(range.upperBound))"
}

/// For each unit the numbers of it that lie in the range.
func sizePattern(_ range: ClosedRange<UInt64>) -> String {
    sizeUnits.compactMap { unit -> String? in
        let first = (range.lowerBound + unit.bytes - 1) / unit.bytes
        let last = range.upperBound / unit.bytes
        return first <= last ? SchemaPattern.decimal(first...last) + unit.name : nil
    }.joined(separator: "|")
}

/// The shortest form: the largest unit of which it is a whole number.
func sizeText(_ bytes: UInt64) -> String {
    for unit in sizeUnits where bytes % unit.bytes == 0 && bytes >= unit.bytes {
        return "\(bytes / unit.bytes)\(unit.name)"
    }
    return String(bytes)
}

func parseSize(
    _ text: String, in range: ClosedRange<UInt64>, expected: String
) throws(ScalarFault) -> UInt64 {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    let unitName = text.dropFirst(digits.count)
    guard let unit = sizeUnits.first(where: { $0.name == unitName }) else {
        throw ScalarFault(expected, suggestion: sizeSuggestion(String(digits), String(unitName)))
    }
    let count = try decimal(String(digits), in: 0...(UInt64.max / unit.bytes), expected: expected)
    guard range.contains(count * unit.bytes) else { throw ScalarFault(expected) }
    return count * unit.bytes
}

/// The unit that somebody meant who wrote another one.
private func sizeSuggestion(_ digits: String, _ unitName: String) -> String? {
    guard !digits.isEmpty else { return nil }
    let initial = unitName.uppercased().prefix(1)
    let meant = sizeUnits.first { $0.name.hasPrefix(initial) && !initial.isEmpty }?.name ?? "MiB"
    return "write \(digits)\(meant)"
}
