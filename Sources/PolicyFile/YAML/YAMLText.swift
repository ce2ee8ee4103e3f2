// SPDX-License-Identifier: GPL-3.0-or-later

/// The text as a YAML scalar that every reader of YAML 1.1 takes for the same string: plain where that is safe, else in
/// double quotes. It may stand inside `[]` and `{}`.
func yamlText(_ text: String) -> String {
    isPlainSafe(text) ? text : doubleQuoted(text)
}

/// Letters, digits and a few signs, beginning with a letter or `/`, and no word that YAML 1.1 takes for something else.
private func isPlainSafe(_ text: String) -> Bool {
    guard let first = text.utf8.first, isLetter(first) || first == UInt8(ascii: "/"), text.utf8.last != 0x20 else {
        return false
    }
    let reserved = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"]
    guard !reserved.contains(text.lowercased()) else { return false }
    return text.utf8.allSatisfy { byte in
        isLetter(byte) || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte || " -_./+".utf8.contains(byte)
    }
}

private func isLetter(_ byte: UInt8) -> Bool {
    UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte | 0x20
}

/// YAML 1.1 section 5.6 for what has to be escaped; other characters stand as they are.
private func doubleQuoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\"": result += "\\\""
        case "\\": result += "\\\\"
        case "\n": result += "\\n"
        case "\t": result += "\\t"
        default:
            if isUnprintable(scalar) {
                result += "\\U" + paddedHex(scalar.value)
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
    }
    return result + "\""
}

private func isUnprintable(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0..<0x20, 0x7f..<0xa0, 0x2028, 0x2029, 0xfeff, 0xfffe, 0xffff: true
    default: false
    }
}

private func paddedHex(_ value: UInt32) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 8 - digits.count) + digits
}

/// The text as a JSON string (RFC 8259 section 7).
func jsonText(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\"": result += "\\\""
        case "\\": result += "\\\\"
        case "\u{0}"..<" ": result += "\\u" + paddedHex(scalar.value).suffix(4)
        default: result.unicodeScalars.append(scalar)
        }
    }
    return result + "\""
}
