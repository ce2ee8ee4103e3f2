// SPDX-License-Identifier: GPL-3.0-or-later

/// What most likely was meant where a text is no YAML, or other YAML than its writer sees: nearly always a value that needs
/// quotes. IPv6 addresses are the common ones, since a colon at the beginning or the end of a word is YAML's own.
enum QuotingAdvice {
    /// The cure for what libyaml complains of at a byte offset.
    static func cure(in bytes: [UInt8], at offset: Int) -> String? {
        if offset > 0, offset < bytes.count, !isDelimiter(bytes[offset]) {
            switch bytes[offset - 1] {
            case UInt8(ascii: "'"): return "inside single quotes an apostrophe is written twice"
            case UInt8(ascii: "\""): return "inside double quotes a quote is written \\\""
            default: break
            }
        }
        let word = word(in: bytes, at: offset)
        let text = String(decoding: bytes[word], as: UTF8.self)
        if isAddress(text) || "@`%*&!|>".contains(text.first ?? " ") { return quote(text) }
        if offset < bytes.count, bytes[offset] == UInt8(ascii: ":") {
            return "a value with a colon and a blank in it takes quotes"
        }
        return nil
    }

    static func quote(_ text: String) -> String { "quote it: \"\(harmless(String(text.prefix(60))))\"" }

    /// Whether the text can only be meant as an IPv6 address, with a prefix, a range or a port, or as a MAC address.
    static func isAddress(_ text: String) -> Bool {
        text.utf8.count { $0 == UInt8(ascii: ":") } >= 2
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
                    UInt8(ascii: "A")...UInt8(ascii: "F"):
                    true
                default: ":./-[]".utf8.contains(byte)
                }
            }
    }

    /// The word around a byte offset, or before it; with the brackets and the port of `[::1]:9470`.
    private static func word(in bytes: [UInt8], at offset: Int) -> Range<Int> {
        var start = min(offset, bytes.count)
        while start > 0, !isDelimiter(bytes[start - 1]) { start -= 1 }
        var end = start
        while end < bytes.count, !isDelimiter(bytes[end]) { end += 1 }
        guard start > 0, bytes[start - 1] == UInt8(ascii: "["), end + 1 < bytes.count, bytes[end] == UInt8(ascii: "]"),
            bytes[end + 1] == UInt8(ascii: ":")
        else { return start..<end }
        end += 1
        while end < bytes.count, !isDelimiter(bytes[end]) { end += 1 }
        return start - 1..<end
    }

    private static func isDelimiter(_ byte: UInt8) -> Bool {
        byte <= 0x20 || ",[]{}'\"#".utf8.contains(byte)
    }
}

extension YAMLNode {
    /// `fd00::` as YAML reads it: a key, which a colon ends, without a value.
    var addressTakenForKey: String? {
        guard case .mapping(let entries) = content, entries.count == 1, let entry = entries.first,
            entry.value.isNothing, QuotingAdvice.isAddress(entry.key + ":")
        else { return nil }
        return entry.key + ":"
    }
}
