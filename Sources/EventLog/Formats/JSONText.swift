// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// Writes one JSON object as bytes (RFC 8259), in the order of the calls. Keys are the caller's constants and are
/// written as they are; values are escaped.
struct JSONText: ~Copyable {
    private var text = TextBuffer()
    private var needsComma = false

    /// Takes a buffer to write behind what it holds, or gives it back.
    mutating func exchange(_ buffer: inout [UInt8]) { text.exchange(&buffer) }

    mutating func beginObject() {
        text.append(UInt8(ascii: "{"))
        needsComma = false
    }

    mutating func beginObject(_ key: StaticString) {
        appendKey(key)
        beginObject()
    }

    mutating func endObject() {
        text.append(UInt8(ascii: "}"))
        needsComma = true
    }

    mutating func endLine() {
        text.append(UInt8(ascii: "\n"))
        needsComma = false
    }

    mutating func field(_ key: StaticString, _ value: String) {
        appendKey(key)
        appendQuoted(value)
    }

    mutating func field(_ key: StaticString, _ value: some UnsignedInteger) {
        appendKey(key)
        text.append(decimal: UInt64(truncatingIfNeeded: value))
    }

    mutating func field(_ key: StaticString, _ value: Bool) {
        appendKey(key)
        text.append(value ? "true" : "false")
    }

    /// Nothing where there is no value.
    mutating func field(_ key: StaticString, ifPresent value: String?) {
        if let value { field(key, value) }
    }

    /// Nothing where there is no value.
    mutating func field(_ key: StaticString, ifPresent value: (some UnsignedInteger)?) {
        if let value { field(key, value) }
    }

    mutating func field(_ key: StaticString, list values: [String]) {
        appendKey(key)
        text.append(UInt8(ascii: "["))
        for (place, value) in values.enumerated() {
            if place > 0 { text.append(UInt8(ascii: ",")) }
            appendQuoted(value)
        }
        text.append(UInt8(ascii: "]"))
    }

    /// A list of one number.
    mutating func field(_ key: StaticString, list value: some UnsignedInteger) {
        appendKey(key)
        text.append(UInt8(ascii: "["))
        text.append(decimal: UInt64(truncatingIfNeeded: value))
        text.append(UInt8(ascii: "]"))
    }

    mutating func field(_ key: StaticString, _ address: IPAddress, isIPv6: Bool) {
        appendUnescaped(key) { text in text.withArray { address.appendText(isIPv6: isIPv6, to: &$0) } }
    }

    mutating func field(_ key: StaticString, _ address: MACAddress) {
        appendUnescaped(key) { $0.append(address) }
    }

    mutating func field(_ key: StaticString, _ time: CalendarTime.Text) {
        appendUnescaped(key) { $0.append(time.span) }
    }

    mutating func field(_ key: StaticString, _ identifier: CommunityID) {
        appendUnescaped(key) { identifier.append(to: &$0) }
    }

    mutating func field(_ key: StaticString, base64 data: [UInt8]) {
        appendUnescaped(key) { $0.append(base64: data.span) }
    }

    private mutating func appendKey(_ key: StaticString) {
        text.append(needsComma ? UInt8(ascii: ",") : 0, UInt8(ascii: "\""), key, UInt8(ascii: "\""), UInt8(ascii: ":"))
        needsComma = true
    }

    private mutating func appendUnescaped(_ key: StaticString, _ append: (inout TextBuffer) -> Void) {
        appendKey(key)
        text.append(UInt8(ascii: "\""))
        append(&text)
        text.append(UInt8(ascii: "\""))
    }

    /// Escapes what must be (RFC 8259 section 7): the quotation mark, the backslash and the control characters. DEL is
    /// escaped too, for the sake of terminals. All else is UTF-8 as it came.
    private mutating func appendQuoted(_ value: String) {
        text.append(UInt8(ascii: "\""))
        let bytes = value.utf8.span
        var plain = 0
        if hasByteToEscape(bytes) {
            for place in bytes.indices where mustBeEscaped(bytes[place]) {
                text.append(bytes.extracting(plain..<place))
                appendEscaped(bytes[place])
                plain = place + 1
            }
        }
        text.append(bytes.extracting(plain..<bytes.count))
        text.append(UInt8(ascii: "\""))
    }

    private mutating func appendEscaped(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"):
            text.append(UInt8(ascii: "\\"))
            text.append(byte)
        case UInt8(ascii: "\n"): text.append("\\n")
        case UInt8(ascii: "\r"): text.append("\\r")
        case UInt8(ascii: "\t"): text.append("\\t")
        default:
            text.append("\\u00")
            text.append(hexadecimalDigit(byte >> 4))
            text.append(hexadecimalDigit(byte & 0xf))
        }
    }
}

/// Most texts have none: eight bytes are looked at together (the tests for zero and for less in Anderson's "Bit Twiddling Hacks").
private func hasByteToEscape(_ bytes: Span<UInt8>) -> Bool {
    unsafe bytes.withUnsafeBytes { raw in
        let (ones, high): (UInt64, UInt64) = (0x0101_0101_0101_0101, 0x8080_8080_8080_8080)
        var place = 0
        while place + 8 <= raw.count {
            let word = unsafe raw.loadUnaligned(fromByteOffset: place, as: UInt64.self)
            func hasZero(_ value: UInt64) -> UInt64 { (value &- ones) & ~value & high }
            let isControl = (word &- ones &* 0x20) & ~word & high
            let found =
                isControl | hasZero(word ^ ones &* 0x7f) | hasZero(word ^ ones &* UInt64(UInt8(ascii: "\"")))
                | hasZero(word ^ ones &* UInt64(UInt8(ascii: "\\")))
            if found != 0 { return true }
            place += 8
        }
        while place < raw.count {
            if unsafe mustBeEscaped(raw[place]) { return true }
            place += 1
        }
        return false
    }
}

private func mustBeEscaped(_ byte: UInt8) -> Bool {
    byte < 0x20 || byte == 0x7f || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
}
