// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// What CEF and LEEF have in common: a header of fields between bars, then attributes `key=value` in the order of the calls. Keys
/// are the caller's constants; values are escaped, so that no name of a rule can end its field or forge another.
struct AttributeText: ~Copyable {
    enum Style {
        /// Attributes are set apart by spaces; `\`, `=` and line ends are escaped.
        case cef
        /// Attributes are set apart by tabs; `\`, tabs and line ends are escaped.
        case leef
    }

    private var text = TextBuffer()
    private let style: Style
    private var isFirst = true

    init(_ style: Style) { self.style = style }

    /// Takes a buffer to write behind what it holds, or gives it back.
    mutating func exchange(_ buffer: inout [UInt8]) { text.exchange(&buffer) }

    /// The beginning of the header, with its last bar.
    mutating func begin(_ constant: StaticString) { text.append(constant) }

    /// One field of the header, with the bar behind it.
    mutating func header(_ value: String) {
        for byte in value.utf8 {
            switch byte {
            case UInt8(ascii: "|"), UInt8(ascii: "\\"):
                text.append(UInt8(ascii: "\\"))
                text.append(byte)
            default: text.append(byte < 0x20 || byte == 0x7f ? UInt8(ascii: " ") : byte)
            }
        }
        text.append(UInt8(ascii: "|"))
    }

    mutating func header(_ value: some UnsignedInteger) {
        text.append(decimal: UInt64(truncatingIfNeeded: value))
        text.append(UInt8(ascii: "|"))
    }

    mutating func endLine() { text.append(UInt8(ascii: "\n")) }

    mutating func field(_ key: StaticString, _ value: String) {
        appendKey(key)
        for byte in value.utf8 { appendEscaped(byte) }
    }

    /// Nothing where there is no value.
    mutating func field(_ key: StaticString, ifPresent value: String?) {
        if let value { field(key, value) }
    }

    mutating func field(_ key: StaticString, _ value: some UnsignedInteger) {
        appendKey(key)
        text.append(decimal: UInt64(truncatingIfNeeded: value))
    }

    /// Nothing where there is no value.
    mutating func field(_ key: StaticString, ifPresent value: (some UnsignedInteger)?) {
        if let value { field(key, value) }
    }

    mutating func field(_ key: StaticString, _ address: IPAddress, isIPv6: Bool) {
        appendKey(key)
        text.withArray { address.appendText(isIPv6: isIPv6, to: &$0) }
    }

    mutating func field(_ key: StaticString, _ address: MACAddress) {
        guard address != .none else { return }
        appendKey(key)
        text.append(address)
    }

    mutating func field(_ key: StaticString, _ identifier: CommunityID) {
        appendKey(key)
        identifier.append(to: &text)
    }

    mutating func field(_ key: StaticString, base64 data: [UInt8]) {
        appendKey(key)
        // The padding is what CEF has to escape.
        guard style == .cef else { return text.append(base64: data.span) }
        var encoder = TextBuffer()
        encoder.append(base64: data.span)
        var encoded: [UInt8] = []
        encoder.exchange(&encoded)
        for byte in encoded { appendEscaped(byte) }
    }

    /// A value with the text that says what it is, where the format has numbered keys.
    mutating func field(_ key: StaticString, _ value: String?, label: StaticString, _ text: StaticString) {
        guard let value else { return }
        field(key, value)
        appendKey(label)
        self.text.append(text)
    }

    private mutating func appendKey(_ key: StaticString) {
        if !isFirst { text.append(style == .cef ? UInt8(ascii: " ") : UInt8(ascii: "\t")) }
        isFirst = false
        text.append(key)
        text.append(UInt8(ascii: "="))
    }

    private mutating func appendEscaped(_ byte: UInt8) {
        switch (byte, style) {
        case (UInt8(ascii: "\\"), _), (UInt8(ascii: "="), .cef):
            text.append(UInt8(ascii: "\\"))
            text.append(byte)
        case (UInt8(ascii: "\n"), _): text.append("\\n")
        case (UInt8(ascii: "\r"), _): text.append("\\r")
        case (UInt8(ascii: "\t"), .leef): text.append("\\t")
        default: text.append(byte < 0x20 || byte == 0x7f ? UInt8(ascii: " ") : byte)
        }
    }
}
