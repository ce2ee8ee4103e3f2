// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import PacketWire

/// Reads one port or range of ports.
enum PortSyntax {
    static let expected = "a port, 0 to 65535, or a range such as 8000-8099"

    static func range(_ text: String) throws(ScalarFault) -> PortRange {
        let parts = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        if text.contains(":") {
            throw ScalarFault(expected, suggestion: "a range is written with a hyphen")
        }
        let first = try decimal(parts[0], in: 0...UInt16.max, expected: expected)
        guard parts.count == 2 else { return PortRange(first: first, last: first) }
        let last = try decimal(parts[1], in: 0...UInt16.max, expected: expected)
        guard first <= last else { throw ScalarFault("an ascending range", suggestion: "write \(last)-\(first)") }
        return PortRange(first: first, last: last)
    }

    /// Sorted and disjoint, neighbours joined.
    static func joined(_ ranges: [PortRange]) -> [PortRange] {
        var result: [PortRange] = []
        for range in ranges.sorted(by: { ($0.first, $0.last) < ($1.first, $1.last) }) {
            if let previous = result.last, Int(range.first) <= Int(previous.last) + 1 {
                result[result.count - 1].last = max(previous.last, range.last)
            } else {
                result.append(range)
            }
        }
        return result
    }
}

extension PortRange {
    /// As the policy file writes it.
    var text: String { first == last ? "\(first)" : "\(first)-\(last)" }
}

/// Reads one MAC address.
enum MACSyntax {
    static let expected = "a MAC address such as \"52:54:00:aa:00:01\""

    static func address(_ text: String) throws(ScalarFault) -> MACAddress {
        guard let address = MACAddress(parsing: text) else {
            throw ScalarFault(expected)
        }
        return address
    }
}
