// SPDX-License-Identifier: GPL-3.0-or-later

/// Address to text: dotted quad, or the one canonical IPv6 text of RFC 5952. The bytes forms serve writers that format
/// into a buffer of their own.
extension IPAddress: CustomStringConvertible {
    /// Text for a family that the caller knows: an IPv6 packet's mapped address is "::ffff:192.0.2.1", an IPv4
    /// packet's is "192.0.2.1".
    public func description(isIPv6: Bool) -> String {
        var text: [UInt8] = []
        appendText(isIPv6: isIPv6, to: &text)
        return String(decoding: text, as: UTF8.self)
    }

    /// Dotted quad where `isMappedV4`, else IPv6.
    public var description: String { description(isIPv6: !isMappedV4) }

    /// Appends the ASCII bytes of `description(isIPv6:)`, at most 45.
    public func appendText(isIPv6: Bool, to text: inout [UInt8]) {
        if !isIPv6 {
            appendDottedQuad(v4, to: &text)
        } else if isMappedV4 {
            text.append(contentsOf: "::ffff:".utf8)
            appendDottedQuad(v4, to: &text)
        } else {
            appendGroups(to: &text)
        }
    }

    private func group(_ index: Int) -> UInt16 {
        UInt16(truncatingIfNeeded: (index < 4 ? high : low) >> (UInt64(3 - index % 4) * 16))
    }

    private func appendGroups(to text: inout [UInt8]) {
        let gap = longestZeroRun()
        var index = 0
        while index < 8 {
            if index == gap.lowerBound, !gap.isEmpty {
                text.append(contentsOf: "::".utf8)
                index = gap.upperBound
                continue
            }
            if index > 0, index != gap.upperBound || gap.isEmpty { text.append(UInt8(ascii: ":")) }
            text.append(contentsOf: String(group(index), radix: 16).utf8)
            index += 1
        }
    }

    /// The groups that "::" stands for: the first of the longest runs of at least two (RFC 5952 section 4.2).
    private func longestZeroRun() -> Range<Int> {
        var longest = 0..<0
        var start = 0
        for index in 0..<8 {
            guard group(index) == 0 else {
                start = index + 1
                continue
            }
            if index + 1 - start > Swift.max(longest.count, 1) { longest = start..<index + 1 }
        }
        return longest
    }
}

private func appendDottedQuad(_ bits: UInt32, to text: inout [UInt8]) {
    for part in 0..<4 {
        if part > 0 { text.append(UInt8(ascii: ".")) }
        let octet = UInt8(truncatingIfNeeded: bits >> UInt32(24 - part * 8))
        if octet >= 100 { text.append(UInt8(ascii: "0") + octet / 100) }
        if octet >= 10 { text.append(UInt8(ascii: "0") + octet / 10 % 10) }
        text.append(UInt8(ascii: "0") + octet % 10)
    }
}

extension MACAddress: CustomStringConvertible {
    /// Lower-case, with colons: "52:54:00:aa:00:fe".
    public var description: String {
        var text: [UInt8] = []
        appendText(to: &text)
        return String(decoding: text, as: UTF8.self)
    }

    /// Appends the 17 ASCII bytes of `description`.
    public func appendText(to text: inout [UInt8]) {
        for nibble in 0..<12 {
            if nibble > 0, nibble % 2 == 0 { text.append(UInt8(ascii: ":")) }
            let digit = UInt8(truncatingIfNeeded: bits >> UInt64(44 - nibble * 4)) & 0xf
            text.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") - 10 + digit)
        }
    }
}
