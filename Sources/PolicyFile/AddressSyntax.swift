// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import PacketWire

/// Reads one address, prefix (`192.0.2.0/24`) or range (`192.0.2.1-192.0.2.9`). The same code reads scalars of the policy
/// and lines of list files; nothing is allocated unless it is wrong.
enum AddressSyntax {
    static let expected = "an address, a prefix such as 192.0.2.0/24, or a range such as 192.0.2.1-192.0.2.9"

    static func range(_ text: Span<UInt8>) throws(ScalarFault) -> AddressRange {
        var separator = 0
        while separator < text.count, text[separator] != UInt8(ascii: "/"), text[separator] != UInt8(ascii: "-") {
            separator += 1
        }
        let first = try address(text.extracting(..<separator))
        guard separator < text.count else { return try unmapped(first, text) }
        let rest = text.extracting((separator + 1)...)
        return text[separator] == UInt8(ascii: "/") ? try prefix(first, rest) : try range(from: first, to: rest)
    }

    /// An address and the family in which it was written.
    private struct Address {
        var value: IPAddress
        var isIPv6: Bool
        var text: String { value.description(isIPv6: isIPv6) }
    }

    private static func address(_ text: Span<UInt8>) throws(ScalarFault) -> Address {
        for index in text.indices where text[index] == UInt8(ascii: ":") {
            guard let value = IPAddress(parsingV6: text) else { throw ScalarFault(expected, suggestion: cure(text)) }
            return Address(value: value, isIPv6: true)
        }
        guard let value = IPAddress(parsingV4: text) else { throw ScalarFault(expected, suggestion: cure(text)) }
        return Address(value: value, isIPv6: false)
    }

    private static func unmapped(_ address: Address, _ text: Span<UInt8>) throws(ScalarFault) -> AddressRange {
        try checkedFamily(AddressRange(first: address.value, last: address.value), isIPv6: address.isIPv6)
    }

    private static func prefix(_ first: Address, _ digits: Span<UInt8>) throws(ScalarFault) -> AddressRange {
        let width = first.isIPv6 ? 128 : 32
        guard let length = number(digits), length <= width else {
            let mask = IPAddress(parsingV4: digits).flatMap { netmaskLength($0.v4) }
            throw ScalarFault(
                "a prefix length, 0 to \(width)", suggestion: mask.map { "write \(first.text)/\($0)" })
        }
        let hostMask = mask(hostBits: width - length)
        let network = IPAddress(high: first.value.high & ~hostMask.high, low: first.value.low & ~hostMask.low)
        let last = IPAddress(high: first.value.high | hostMask.high, low: first.value.low | hostMask.low)
        guard network == first.value else {
            let networkText = network.description(isIPv6: first.isIPv6)
            throw ScalarFault(
                "a prefix without bits set behind its length",
                suggestion: "write \(networkText)/\(length), or \(first.text) for the one address")
        }
        return try checkedFamily(AddressRange(first: network, last: last), isIPv6: first.isIPv6)
    }

    private static func range(from first: Address, to text: Span<UInt8>) throws(ScalarFault) -> AddressRange {
        let last = try address(text)
        guard first.isIPv6 == last.isIPv6 else { throw ScalarFault("a range of one family") }
        guard first.value <= last.value else {
            throw ScalarFault("an ascending range", suggestion: "write \(last.text)-\(first.text)")
        }
        return try checkedFamily(AddressRange(first: first.value, last: last.value), isIPv6: first.isIPv6)
    }

    /// An IPv6 range that begins or ends inside the IPv4-mapped block would stand for IPv4 addresses.
    private static func checkedFamily(_ range: AddressRange, isIPv6: Bool) throws(ScalarFault) -> AddressRange {
        guard isIPv6, range.first.isMappedV4 || range.last.isMappedV4 else { return range }
        let cure = range.first.isMappedV4 && range.last.isMappedV4 ? "write \(range.text)" : nil
        throw ScalarFault("IPv4 addresses in their own form, not IPv4-mapped", suggestion: cure)
    }

    /// Ones in the lowest bits.
    private static func mask(hostBits: Int) -> IPAddress {
        IPAddress(
            high: hostBits > 64 ? (hostBits == 128 ? .max : (1 << UInt64(hostBits - 64)) - 1) : 0,
            low: hostBits >= 64 ? .max : (1 << UInt64(hostBits)) - 1)
    }

    /// One to three decimal digits without a leading zero.
    private static func number(_ digits: Span<UInt8>) -> Int? {
        guard digits.count >= 1, digits.count <= 3, digits.count == 1 || digits[0] != UInt8(ascii: "0") else {
            return nil
        }
        var value = 0
        for index in digits.indices {
            guard case UInt8(ascii: "0")...UInt8(ascii: "9") = digits[index] else { return nil }
            value = value * 10 + Int(digits[index] - UInt8(ascii: "0"))
        }
        return value
    }

    /// Length of the prefix that a netmask such as 255.255.255.0 stands for.
    private static func netmaskLength(_ mask: UInt32) -> Int? {
        ~mask & (~mask &+ 1) == 0 ? mask.nonzeroBitCount : nil
    }

    private static func cure(_ text: Span<UInt8>) -> String? {
        var hasLetter = false
        var hasColon = false
        for index in text.indices {
            switch text[index] {
            case UInt8(ascii: ":"): hasColon = true
            case UInt8(ascii: " "): return "write it without blanks, each address by itself"
            case UInt8(ascii: "0") where isLeadingZero(text, index) && !hasColon:
                return "write its numbers without leading zeros"
            case UInt8(ascii: "%"): return "an address is written without its zone"
            case UInt8(ascii: "["): return "an address is written without brackets"
            case UInt8(ascii: "g")...UInt8(ascii: "z"): hasLetter = true
            default: continue
            }
        }
        return hasLetter && !hasColon ? "host names are not looked up" : nil
    }

    /// Whether a zero begins a number of several digits, as in 192.0.2.010.
    private static func isLeadingZero(_ text: Span<UInt8>, _ index: Int) -> Bool {
        guard index + 1 < text.count, case UInt8(ascii: "0")...UInt8(ascii: "9") = text[index + 1] else { return false }
        return index == 0 || text[index - 1] == UInt8(ascii: ".")
    }
}
