// SPDX-License-Identifier: GPL-3.0-or-later

extension ValueForm where Value == Bool {
    /// `true` or `false`, and no other word of YAML 1.1 for them.
    static let flag = ValueForm.scalar(
        "true or false", schema: #"{"type":"boolean"}"#, print: { $0 ? "true" : "false" },
        parse: { scalar throws(ScalarFault) in
            switch scalar.text {
            case "true" where scalar.isPlain: return true
            case "false" where scalar.isPlain: return false
            case "true", "false": throw ScalarFault("true or false", suggestion: "write it without quotes")
            case let word: throw ScalarFault("true or false", suggestion: booleanSuggestion(word.lowercased()))
            }
        })
}

private func booleanSuggestion(_ word: String) -> String? {
    switch word {
    case "yes", "on", "y", "true", "enabled": "write true"
    case "no", "off", "n", "false", "disabled": "write false"
    default: nil
    }
}

extension ValueForm {
    /// One of a few words. `advice` answers words that other firewalls have in their place.
    package static func words(_ words: KeyValuePairs<String, Value>, advice: [String: String] = [:]) -> ValueForm {
        let names = words.map(\.key)
        let values = words.map(\.value)
        let expected = alternatives(names)
        return .scalar(
            expected, schema: SchemaText.words(names),
            print: { value in values.firstIndex(of: value).map { names[$0] } ?? "" },
            parse: { scalar throws(ScalarFault) in
                guard let index = names.firstIndex(of: scalar.text) else {
                    let suggestion = advice[scalar.text.lowercased()] ?? meant(scalar.text, among: names)
                    throw ScalarFault(expected, suggestion: suggestion)
                }
                return values[index]
            })
    }
}

extension ValueForm where Value == UInt32 {
    /// A decimal number.
    package static func number(_ range: ClosedRange<UInt32>, of things: String) -> ValueForm {
        number(range, "a number of \(things), \(range.lowerBound) to \(range.upperBound)")
    }

    static func number(_ range: ClosedRange<UInt32>, _ expected: String) -> ValueForm {
        .scalar(
            expected,
            schema: SchemaText.number(UInt64(range.lowerBound)...UInt64(range.upperBound)),
            print: { String($0) },
            parse: { scalar throws(ScalarFault) in
                try decimal(scalar.text, in: range, expected: expected)
            })
    }
}

extension ValueForm where Value == UInt32? {
    /// A decimal number, or a word that stands for no limit.
    static func number(_ range: ClosedRange<UInt32>, of things: String, or word: String) -> ValueForm {
        let expected = "\(word), or a number of \(things), \(range.lowerBound) to \(range.upperBound)"
        let schema = SchemaText.number(UInt64(range.lowerBound)...UInt64(range.upperBound))
        return .scalar(
            expected, schema: SchemaText.anyOf(SchemaText.words([word]), schema),
            print: { $0.map { String($0) } ?? word },
            parse: { scalar throws(ScalarFault) in
                if scalar.text == word { return nil }
                return try decimal(scalar.text, in: range, expected: expected)
            })
    }
}

/// A decimal number in a range. What YAML 1.1 would read as another number than the eye does (octal, sexagesimal, with
/// underscores) is refused.
func decimal<Number: FixedWidthInteger & UnsignedInteger>(
    _ text: String, in range: ClosedRange<Number>, expected: String
) throws(ScalarFault) -> Number {
    let digits = text.utf8.filter { $0 != UInt8(ascii: "_") }
    guard !digits.isEmpty, digits.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }) else {
        throw ScalarFault(expected)
    }
    let significant = digits.drop { $0 == UInt8(ascii: "0") }
    let plain = significant.isEmpty ? "0" : String(decoding: significant, as: UTF8.self)
    guard plain == text else {
        throw ScalarFault(expected, suggestion: "numbers are plain decimals: write \(String(plain.prefix(20)))")
    }
    guard let number = Number(plain), range.contains(number) else { throw ScalarFault(expected) }
    return number
}

/// A number after `0x`, of at most 32 bits.
func hexadecimal(_ text: String) -> UInt32? {
    guard text.hasPrefix("0x"), text.utf8.count > 2, text.utf8.allSatisfy({ $0 != UInt8(ascii: "+") }) else {
        return nil
    }
    return UInt32(text.dropFirst(2), radix: 16)
}
