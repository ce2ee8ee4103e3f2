// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
package import PacketWire

extension ValueForm where Value == Instant.Span {
    /// A length of time: a decimal number and a unit, or `0`.
    package static func time(_ range: ClosedRange<Instant.Span>) -> ValueForm {
        .scalar(
            expectedTime(range, or: nil), schema: timeSchema(range), print: timeText,
            parse: { scalar throws(ScalarFault) in
                try parseTime(scalar.text, in: range, expected: expectedTime(range, or: nil))
            })
    }

    /// A timeout of the engine.
    static let timeout = time(.seconds(1)...Timeouts.longest)
    /// A timeout of the engine that may also be none at all.
    static let timeoutOrNone = time(.zero...Timeouts.longest)
}

extension ValueForm where Value == Instant.Span? {
    /// A length of time, or a word that stands for none.
    static func time(_ range: ClosedRange<Instant.Span>, or word: String) -> ValueForm {
        .scalar(
            expectedTime(range, or: word),
            schema: SchemaText.anyOf(SchemaText.words([word]), timeSchema(range)),
            print: { $0.map(timeText) ?? word },
            parse: { scalar throws(ScalarFault) in
                if scalar.text == word { return nil }
                return try parseTime(scalar.text, in: range, expected: expectedTime(range, or: word))
            })
    }
}

private func timeSchema(_ range: ClosedRange<Instant.Span>) -> String {
    let text = SchemaText.text(timePattern(range))
    return range.contains(.zero) ? SchemaText.anyOf(SchemaText.values("0", #""0""#), text) : text
}

/// For each unit the numbers of it that lie in the range.
func timePattern(_ range: ClosedRange<Instant.Span>) -> String {
    timeUnits.compactMap { unit -> String? in
        let first = (range.lowerBound.nanoseconds + unit.nanoseconds - 1) / unit.nanoseconds
        let last = range.upperBound.nanoseconds / unit.nanoseconds
        return first <= last ? SchemaPattern.decimal(UInt64(first)...UInt64(last)) + unit.name : nil
    }.joined(separator: "|")
}

/// Units in nanoseconds, the longest first.
private let timeUnits: [(name: String, nanoseconds: Int64)] = [
    ("d", 86_400_000_000_000), ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000),
    ("ms", 1_000_000), ("us", 1_000),
]

private func expectedTime(_ range: ClosedRange<Instant.Span>, or word: String?) -> String {
    let start = word.map { "\($0), or " } ?? ""
    return "\(start)a time with its unit (us, ms, s, m, h or d), \(timeText(range.lowerBound)) to "
        + timeText(range.upperBound)
}

/// The shortest form: the longest unit of which it is a whole number.
func timeText(_ span: Instant.Span) -> String {
    guard span != .zero else { return "0" }
    for unit in timeUnits where span.nanoseconds % unit.nanoseconds == 0 {
        return "\(span.nanoseconds / unit.nanoseconds)\(unit.name)"
    }
    return "\(span.nanoseconds / 1_000)us"
}

func parseTime(
    _ text: String, in range: ClosedRange<Instant.Span>, expected: String
) throws(ScalarFault) -> Instant.Span {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    let unitName = text.dropFirst(digits.count)
    if unitName.isEmpty, text != "0" {
        throw ScalarFault(expected, suggestion: digits.isEmpty ? nil : "write \(digits)s for seconds")
    }
    let count = try decimal(String(digits), in: 0...UInt64(Int64.max), expected: expected)
    guard count > 0 || !unitName.isEmpty else { return try checked(.zero, in: range, expected: expected) }
    guard let unit = timeUnits.first(where: { $0.name == unitName }) else { throw ScalarFault(expected) }
    let product = Int64(count).multipliedReportingOverflow(by: unit.nanoseconds)
    guard !product.overflow else { throw ScalarFault(expected) }
    return try checked(Instant.Span(nanoseconds: product.partialValue), in: range, expected: expected)
}

private func checked(
    _ span: Instant.Span, in range: ClosedRange<Instant.Span>, expected: String
) throws(ScalarFault) -> Instant.Span {
    guard range.contains(span) else { throw ScalarFault(expected) }
    return span
}
