// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import PacketWire

/// For which computers a rule is: those that were seen, or a few networks around them, or all.
///
/// Three or more in one network of 256 IPv4 addresses, or in one IPv6 /64, become the smallest prefix around them; networks that were
/// named as such take whoever is in them. Of more than sixteen entries nobody reads a list: then it is everybody of that family.
struct PeerShape: Hashable, Sendable {
    struct Entry: Hashable, Sendable, Comparable {
        var isIPv6: Bool
        var set: NumberSet.Interval

        static func < (a: Entry, b: Entry) -> Bool {
            a.isIPv6 != b.isIPv6 ? b.isIPv6 : a.set.first < b.set.first
        }

        /// "10.0.0.0/24", as a policy takes it.
        var text: String { NumberSet(set.first...set.last).addressText(isIPv4: !isIPv6) }
        /// The same where a colon would mean something else.
        var quoted: String { isIPv6 ? "\"\(text)\"" : text }
    }

    /// Sorted; empty: everybody of the families.
    private(set) var entries: [Entry] = []
    var hasIPv4 = false
    var hasIPv6 = false

    private static let mostEntries = 16
    private static let leastOfNetwork = 3
    private static let longestPrefix = (v4: 24, v6: 64)

    /// - Parameters:
    ///   - peers: those that were seen, of either family.
    ///   - networks: to which addresses in them may be generalised.
    ///   - isExact: nothing is generalised.
    init(_ peers: [(address: IPAddress, isIPv6: Bool)], networks: [AddressRange], isExact: Bool) {
        for isIPv6 in [false, true] {
            let numbers = Set(peers.filter { $0.isIPv6 == isIPv6 }.map { $0.address.number(isIPv6: isIPv6) }).sorted()
            guard !numbers.isEmpty else { continue }
            if isIPv6 { hasIPv6 = true } else { hasIPv4 = true }
            let sets = isExact ? Self.runs(numbers) : Self.networks(numbers, isIPv6: isIPv6, networks)
            entries += sets.map { Entry(isIPv6: isIPv6, set: $0) }
        }
        entries.sort()
        if !isExact, entries.count > Self.mostEntries { entries = [] }
    }

    var isEverybody: Bool { entries.isEmpty }

    /// Those of one family; nil: all.
    func set(isIPv6: Bool) -> NumberSet? {
        isEverybody ? nil : NumberSet(entries.filter { $0.isIPv6 == isIPv6 }.map(\.set))
    }

    func contains(_ address: IPAddress, isIPv6: Bool) -> Bool {
        if isEverybody { return isIPv6 ? hasIPv6 : hasIPv4 }
        let number = address.number(isIPv6: isIPv6)
        return entries.contains { $0.isIPv6 == isIPv6 && $0.set.first <= number && number <= $0.set.last }
    }

    /// Neighbours as ranges, which are no more than they.
    private static func runs(_ numbers: [UInt128]) -> [NumberSet.Interval] {
        NumberSet(numbers.map { .init(first: $0, last: $0) }).intervals
    }

    private static func networks(
        _ numbers: [UInt128], isIPv6: Bool, _ named: [AddressRange]
    ) -> [NumberSet.Interval] {
        let known = named.filter { ($0.first.isMappedV4 && $0.last.isMappedV4) != isIPv6 }.map {
            NumberSet.Interval(first: $0.first.number(isIPv6: isIPv6), last: $0.last.number(isIPv6: isIPv6))
        }
        var found: [NumberSet.Interval] = []
        var rest: [UInt128: [UInt128]] = [:]
        let bits = UInt128(isIPv6 ? 128 - longestPrefix.v6 : 32 - longestPrefix.v4)
        for number in numbers {
            // Of networks within each other the smallest is meant.
            let around = known.filter { $0.first <= number && number <= $0.last }
                .min { ($0.last - $0.first, $0.first) < ($1.last - $1.first, $1.first) }
            if let around { found.append(around) } else { rest[number >> bits, default: []].append(number) }
        }
        for members in rest.values {
            guard members.count >= leastOfNetwork, let first = members.first, let last = members.last else {
                found += members.map { .init(first: $0, last: $0) }
                continue
            }
            found.append(prefix(around: first, last))
        }
        return Set(found).sorted { $0.first < $1.first }
    }

    /// The longest prefix that both have.
    private static func prefix(around first: UInt128, _ last: UInt128) -> NumberSet.Interval {
        let different = first ^ last
        let hosts = different == 0 ? UInt128(0) : UInt128.max >> UInt128(different.leadingZeroBitCount)
        return .init(first: first & ~hosts, last: first | hosts)
    }
}

extension IPAddress {
    /// As the numbers of a family's packets are.
    func number(isIPv6: Bool) -> UInt128 { isIPv6 ? number : UInt128(v4) }
}

/// The ports of a rule.
enum PortShape {
    private static let leastOfSpan = 8
    private static let leastOfRun = 3

    /// Seen ports as ranges: neighbours, and where eight or more lie so close that at least half of their span was seen, the span.
    static func ranges(_ ports: [UInt16], isExact: Bool) -> [ClosedRange<UInt16>] {
        let sorted = Set(ports).sorted()
        guard let first = sorted.first else { return [] }
        if !isExact, let span = span(sorted) { return span }
        var ranges = [first...first]
        for port in sorted.dropFirst() {
            let last = ranges[ranges.count - 1]
            if port == last.upperBound + 1 {
                ranges[ranges.count - 1] = last.lowerBound...port
            } else {
                ranges.append(port...port)
            }
        }
        return ranges.flatMap { $0.count >= leastOfRun ? [$0] : $0.map { $0...$0 } }
    }

    private static func span(_ sorted: [UInt16]) -> [ClosedRange<UInt16>]? {
        guard let first = sorted.first, let last = sorted.last, sorted.count >= leastOfSpan,
            2 * sorted.count >= Int(last) - Int(first) + 1
        else { return nil }
        return [first...last]
    }

    static func text(_ range: ClosedRange<UInt16>) -> String {
        range.count == 1 ? "\(range.lowerBound)" : "\(range.lowerBound)-\(range.upperBound)"
    }
}
