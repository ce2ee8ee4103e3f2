// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy

extension ValueForm where Value == ClosedRange<UInt16> {
    /// Queue numbers: `0`, or `0-3` for several workers.
    static let queueNumbers = ValueForm.scalar(
        expectedQueues,
        schema: SchemaText.anyOf(
            #"{"type":"integer","minimum":0,"maximum":65535}"#, SchemaText.text(SchemaPattern.ports)),
        print: { $0.count == 1 ? "\"\($0.lowerBound)\"" : "\"\($0.lowerBound)-\($0.upperBound)\"" },
        parse: { scalar throws(ScalarFault) in
            let parts = scalar.text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
            let first = try decimal(String(parts[0]), in: 0...UInt16.max, expected: expectedQueues)
            let last =
                parts.count < 2
                ? first : try decimal(String(parts[1]), in: 0...UInt16.max, expected: expectedQueues)
            guard first <= last, last - first < 256 else { throw ScalarFault(expectedQueues) }
            return first...last
        })
}

private let expectedQueues = "a queue number, 0 to 65535, or an ascending range of at most 256 such as \"0-3\""

extension ValueForm where Value == FloodNumbers {
    static let floodNumbers = ValueForm.scalar(
        expectedFloods,
        schema: SchemaText.anyOf(
            SchemaText.words(["auto", "off"]), #"{"type":"integer","minimum":0,"maximum":65535}"#),
        print: { numbers in
            switch numbers {
            case .following: "auto"
            case .off: "off"
            case .from(let first): String(first)
            }
        },
        parse: { scalar throws(ScalarFault) in
            switch scalar.text {
            case "auto": .following
            case "off": .off
            default: .from(try decimal(scalar.text, in: 0...UInt16.max, expected: expectedFloods))
            }
        })
}

private let expectedFloods = "auto, off, or the number of a queue, 0 to 65535"

extension ValueForm where Value == CopyRange {
    /// How much of each packet the kernel copies. Less than the longest IPv4 and TCP headers together would leave
    /// decoding without what it needs.
    static let copyRange = ValueForm.scalar(
        expectedCopy, schema: SchemaText.anyOf(SchemaText.words(["full"]), SchemaText.number(128...65_531)),
        print: { range in
            switch range {
            case .full: "full"
            case .bytes(let count): String(count)
            }
        },
        parse: { scalar throws(ScalarFault) in
            if scalar.text == "full" { return .full }
            let count = try decimal(scalar.text, in: 128...UInt32(65_531), expected: expectedCopy)
            return count == 65_531 ? .full : .bytes(count)
        })
}

private let expectedCopy = "full, or a number of bytes, 128 to 65531"

extension ValueForm where Value == UInt32 {
    /// Mark bits that Portreeve may use: one for each direction, one for its own traffic and at least one for the epoch.
    static let markMask = ValueForm.scalar(
        expectedMask,
        schema: SchemaText.anyOf(SchemaText.number(15...UInt64(UInt32.max)), SchemaText.text("0x0*[0-9a-fA-F]{1,8}")),
        print: { "0x" + String($0, radix: 16) },
        parse: { scalar throws(ScalarFault) in
            let mask: UInt32
            if let bits = hexadecimal(scalar.text) {
                mask = bits
            } else {
                mask = try decimal(scalar.text, in: 0...UInt32.max, expected: expectedMask)
            }
            guard mask.nonzeroBitCount >= 4 else { throw ScalarFault(expectedMask) }
            return mask
        })
}

private let expectedMask = "a mask of 32 bits with at least four of them set, such as 0xff000000"
