// SPDX-License-Identifier: GPL-3.0-or-later

/// Text to address. Strict: what one reader could take for another address than the next reader is refused.
///
/// IPv4 is four decimal numbers without leading zeros, because some libraries read "010" as octal. IPv6 is any form of RFC
/// 4291 section 2.2: groups of one to four hexadecimal digits, "::" at most once and for at least one group, the last
/// two groups optionally as dotted quad. Zones ("%eth0"), brackets and prefix lengths are the caller's affair.
extension IPAddress {
    /// An address of either family; `nil` where the text is not exactly one address. Text without a colon is IPv4.
    public init?(parsing text: String) {
        self.init(parsing: text.utf8.span)
    }

    /// As `init(parsing: String)`.
    public init?(parsing text: Substring) {
        self.init(parsing: text.utf8.span)
    }

    /// As `init(parsing: String)`, of UTF-8 bytes.
    public init?(parsing text: Span<UInt8>) {
        if text.firstIndex(of: .colon, from: 0) < text.count {
            self.init(parsingV6: text)
        } else {
            self.init(parsingV4: text)
        }
    }

    /// A dotted quad and nothing else.
    public init?(parsingV4 text: Span<UInt8>) {
        guard text.count <= 15 else { return nil }
        var bits: UInt32 = 0
        var start = 0
        for part in 0..<4 {
            let end = text.firstIndex(of: .dot, from: start)
            guard let octet = decimalOctet(text.extracting(start..<end)) else { return nil }
            guard (end == text.count) == (part == 3) else { return nil }
            bits = bits << 8 | UInt32(octet)
            start = end + 1
        }
        self.init(v4: bits)
    }

    /// An IPv6 address in text form and nothing else. "::ffff:192.0.2.1" gives the same bits as the IPv4 address.
    public init?(parsingV6 text: Span<UInt8>) {
        guard text.count >= 2, text.count <= 45 else { return nil }
        var groups = IPv6Groups()
        var start = 0
        if text[0] == .colon {
            guard text[1] == .colon else { return nil }
            groups.gap = 0
            start = 2
        }
        while start < text.count {
            let end = text.firstIndex(of: .colon, from: start)
            guard groups.append(text.extracting(start..<end), isLast: end == text.count) else { return nil }
            if end == text.count { break }
            start = end + 1
            guard start < text.count else { return nil }
            if text[start] == .colon {
                guard groups.gap == nil else { return nil }
                groups.gap = groups.count
                start += 1
            }
        }
        guard let address = groups.address else { return nil }
        self = address
    }
}

extension MACAddress {
    /// Six groups of two hexadecimal digits, separated by colons or by hyphens; `nil` for any other text.
    public init?(parsing text: String) {
        self.init(parsing: text.utf8.span)
    }

    /// As `init(parsing: String)`, of UTF-8 bytes.
    public init?(parsing text: Span<UInt8>) {
        guard text.count == 17, text[2] == .colon || text[2] == .hyphen else { return nil }
        var bits: UInt64 = 0
        for part in 0..<6 {
            guard part == 0 || text[part * 3 - 1] == text[2] else { return nil }
            guard let group = hexadecimalGroup(text.extracting(part * 3..<part * 3 + 2)) else { return nil }
            bits = bits << 8 | UInt64(group)
        }
        self.init(bits: bits)
    }
}

/// The groups of an IPv6 address while its text is read.
private struct IPv6Groups {
    private var values = InlineArray<8, UInt16>(repeating: 0)
    private(set) var count = 0
    /// Where "::" stands: the number of groups before it.
    var gap: Int?

    /// Adds one group, or the dotted quad that may stand last as two; false where it is neither or one too many.
    mutating func append(_ piece: Span<UInt8>, isLast: Bool) -> Bool {
        if isLast, piece.firstIndex(of: .dot, from: 0) < piece.count {
            guard count <= 6, let quad = IPAddress(parsingV4: piece) else { return false }
            values[count] = UInt16(truncatingIfNeeded: quad.v4 >> 16)
            values[count + 1] = UInt16(truncatingIfNeeded: quad.v4)
            count += 2
            return true
        }
        guard count < 8, let group = hexadecimalGroup(piece) else { return false }
        values[count] = group
        count += 1
        return true
    }

    var address: IPAddress? {
        guard gap == nil ? count == 8 : count < 8 else { return nil }
        let before = gap ?? 8
        var address = IPAddress.zero
        for index in 0..<count {
            let place = index < before ? index : index + 8 - count
            let shift = UInt64(3 - place % 4) * 16
            if place < 4 {
                address.high |= UInt64(values[index]) << shift
            } else {
                address.low |= UInt64(values[index]) << shift
            }
        }
        return address
    }
}

extension UInt8 {
    fileprivate static let dot = UInt8(ascii: ".")
    fileprivate static let colon = UInt8(ascii: ":")
    fileprivate static let hyphen = UInt8(ascii: "-")
}

extension Span<UInt8> {
    /// Index of the first such byte at or after `start`, or `count`.
    fileprivate func firstIndex(of byte: UInt8, from start: Int) -> Int {
        var index = Swift.min(start, count)
        while index < count, self[index] != byte { index += 1 }
        return index
    }
}

/// 0–255 in decimal without leading zeros.
private func decimalOctet(_ digits: Span<UInt8>) -> UInt8? {
    guard digits.count >= 1, digits.count <= 3 else { return nil }
    guard digits.count == 1 || digits[0] != UInt8(ascii: "0") else { return nil }
    var value = 0
    for index in digits.indices {
        guard case UInt8(ascii: "0")...UInt8(ascii: "9") = digits[index] else { return nil }
        value = value * 10 + Int(digits[index] - UInt8(ascii: "0"))
    }
    return UInt8(exactly: value)
}

/// One to four hexadecimal digits.
private func hexadecimalGroup(_ digits: Span<UInt8>) -> UInt16? {
    guard digits.count >= 1, digits.count <= 4 else { return nil }
    var value: UInt16 = 0
    for index in digits.indices {
        let digit: UInt8
        switch digits[index] {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = digits[index] - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = digits[index] - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = digits[index] - UInt8(ascii: "A") + 10
        default: return nil
        }
        value = value << 4 | UInt16(digit)
    }
    return value
}
