// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// Writes one JSON object as bytes (RFC 8259), in the order of the calls. Keys are the caller's constants and are
/// written as they are; values are escaped.
struct JSONText {
    private var bytes: [UInt8] = []
    private var needsComma = false

    /// Takes a buffer to write behind what it holds, or gives it back.
    mutating func exchange(_ buffer: inout [UInt8]) { swap(&bytes, &buffer) }

    mutating func beginObject() {
        bytes.append(UInt8(ascii: "{"))
        needsComma = false
    }

    mutating func beginObject(_ key: StaticString) {
        appendKey(key)
        beginObject()
    }

    mutating func endObject() {
        bytes.append(UInt8(ascii: "}"))
        needsComma = true
    }

    mutating func endLine() {
        bytes.append(UInt8(ascii: "\n"))
        needsComma = false
    }

    mutating func field(_ key: StaticString, _ value: String) {
        appendKey(key)
        appendQuoted(value)
    }

    mutating func field(_ key: StaticString, _ value: some UnsignedInteger) {
        appendKey(key)
        appendDecimal(UInt64(truncatingIfNeeded: value), to: &bytes)
    }

    /// Nothing where there is no value.
    mutating func field(_ key: StaticString, ifPresent value: String?) {
        if let value { field(key, value) }
    }

    /// A list of one number.
    mutating func field(_ key: StaticString, list value: some UnsignedInteger) {
        appendKey(key)
        bytes.append(UInt8(ascii: "["))
        appendDecimal(UInt64(truncatingIfNeeded: value), to: &bytes)
        bytes.append(UInt8(ascii: "]"))
    }

    mutating func field(_ key: StaticString, _ address: IPAddress, isIPv6: Bool) {
        appendUnescaped(key) { address.appendText(isIPv6: isIPv6, to: &$0) }
    }

    mutating func field(_ key: StaticString, _ address: MACAddress) {
        appendUnescaped(key) { address.appendText(to: &$0) }
    }

    mutating func field(_ key: StaticString, _ time: CalendarTime) {
        appendUnescaped(key) { time.appendText(to: &$0) }
    }

    mutating func field(_ key: StaticString, base64 data: [UInt8]) {
        appendUnescaped(key) { appendBase64(data, to: &$0) }
    }

    private mutating func appendKey(_ key: StaticString) {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
        needsComma = true
        bytes.append(UInt8(ascii: "\""))
        key.withUTF8Buffer { key in unsafe bytes.append(contentsOf: key) }
        bytes.append(UInt8(ascii: "\""))
        bytes.append(UInt8(ascii: ":"))
    }

    private mutating func appendUnescaped(_ key: StaticString, _ append: (inout [UInt8]) -> Void) {
        appendKey(key)
        bytes.append(UInt8(ascii: "\""))
        append(&bytes)
        bytes.append(UInt8(ascii: "\""))
    }

    /// Escapes what must be (RFC 8259 section 7): the quotation mark, the backslash and the control characters. DEL is
    /// escaped too, for the sake of terminals. All else is UTF-8 as it came.
    private mutating func appendQuoted(_ value: String) {
        bytes.append(UInt8(ascii: "\""))
        if value.utf8.contains(where: mustBeEscaped) {
            for byte in value.utf8 { appendEscaped(byte) }
        } else {
            bytes.append(contentsOf: value.utf8)
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func appendEscaped(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"):
            bytes.append(UInt8(ascii: "\\"))
            bytes.append(byte)
        case UInt8(ascii: "\n"): bytes.append(contentsOf: "\\n".utf8)
        case UInt8(ascii: "\r"): bytes.append(contentsOf: "\\r".utf8)
        case UInt8(ascii: "\t"): bytes.append(contentsOf: "\\t".utf8)
        case _ where mustBeEscaped(byte):
            bytes.append(contentsOf: "\\u00".utf8)
            bytes.append(hexadecimalDigit(byte >> 4))
            bytes.append(hexadecimalDigit(byte & 0xf))
        default: bytes.append(byte)
        }
    }
}

private func mustBeEscaped(_ byte: UInt8) -> Bool {
    byte < 0x20 || byte == 0x7f || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
}

private func appendDecimal(_ number: UInt64, to text: inout [UInt8]) {
    var digits = InlineArray<20, UInt8>(repeating: 0)
    var start = 20
    var rest = number
    repeat {
        start -= 1
        digits[start] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
        rest /= 10
    } while rest > 0
    for index in start..<20 { text.append(digits[index]) }
}

private func hexadecimalDigit(_ value: UInt8) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") - 10 + value
}

private let base64Alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

/// With padding (RFC 4648 section 4).
private func appendBase64(_ data: [UInt8], to text: inout [UInt8]) {
    for start in stride(from: 0, to: data.count, by: 3) {
        let given = min(3, data.count - start)
        var group: UInt32 = 0
        for offset in 0..<3 { group = group << 8 | (offset < given ? UInt32(data[start + offset]) : 0) }
        for place in 0..<4 {
            let sextet = Int(group >> UInt32(18 - place * 6)) & 0x3f
            text.append(place <= given ? base64Alphabet[sextet] : UInt8(ascii: "="))
        }
    }
}
