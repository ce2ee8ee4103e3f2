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

    mutating func field(_ key: StaticString, _ value: some BinaryInteger) {
        appendKey(key)
        bytes.append(contentsOf: String(value).utf8)
    }

    /// Nothing where there is no value.
    mutating func field(_ key: StaticString, ifPresent value: String?) {
        if let value { field(key, value) }
    }

    mutating func field(_ key: StaticString, list value: some BinaryInteger) {
        appendKey(key)
        bytes.append(UInt8(ascii: "["))
        bytes.append(contentsOf: String(value).utf8)
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
        bytes.append(contentsOf: key.description.utf8)
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
        for byte in value.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                bytes.append(UInt8(ascii: "\\"))
                bytes.append(byte)
            case UInt8(ascii: "\n"): bytes.append(contentsOf: "\\n".utf8)
            case UInt8(ascii: "\r"): bytes.append(contentsOf: "\\r".utf8)
            case UInt8(ascii: "\t"): bytes.append(contentsOf: "\\t".utf8)
            case 0..<0x20, 0x7f:
                bytes.append(contentsOf: "\\u00".utf8)
                bytes.append(hexadecimalDigit(byte >> 4))
                bytes.append(hexadecimalDigit(byte & 0xf))
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
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
