// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

/// A set of addresses of both families, as disjoint ranges: 8 bytes per IPv4 range and 32 per IPv6 range, membership in
/// a bounded number of steps (`SortedKeys32`, `SortedRanges128`).
public struct AddressSet: Sendable {
    private let firstV4: SortedKeys32
    private let lastV4: [UInt32]
    private let v6: SortedRanges128

    /// - Parameter ranges: in any order, overlapping or not; cheapest when ascending and disjoint. A range is IPv4 when
    ///   both its ends have the mapped form. Where all are IPv6 their storage is shared, not copied.
    public init(_ ranges: [AddressRange]) {
        let ranges = ranges.isAscendingAndDisjoint ? ranges : ranges.mergedAscending()
        let v4Count = ranges.count { $0.isV4 }
        var firstV4: [UInt32] = []
        var lastV4: [UInt32] = []
        firstV4.reserveCapacity(v4Count)
        lastV4.reserveCapacity(v4Count)
        for range in ranges where range.isV4 {
            firstV4.append(range.first.v4)
            lastV4.append(range.last.v4)
        }
        self.firstV4 = SortedKeys32(firstV4)
        self.lastV4 = lastV4
        v6 = SortedRanges128(v4Count == 0 ? ranges : ranges.withoutV4(count: ranges.count - v4Count))
    }

    /// Whether an address of a packet of this family is in the set. An IPv6 packet is in no IPv4 range, whatever bits its
    /// address has.
    public func contains(_ address: IPAddress, of network: NetworkProtocol) -> Bool {
        switch network {
        case .ipv4:
            let index = firstV4.floor(address.v4Bits)
            return index >= 0 && address.v4Bits <= lastV4[index]
        case .ipv6:
            return v6.contains(address)
        case .none, .arp, .other:
            return false
        }
    }
}

extension AddressSet {
    /// The ranges of one family, ascending; nil if there are more than `limit` of either.
    func ranges(of network: NetworkProtocol, atMost limit: Int) -> [AddressRange]? {
        guard lastV4.count <= limit, v6.ranges.count <= limit else { return nil }
        if network == .ipv4 {
            return zip(firstV4.keys, lastV4).map { AddressRange(first: IPAddress(v4: $0), last: IPAddress(v4: $1)) }
        }
        return v6.ranges
    }
}

extension AddressRange {
    @inline(__always) var isV4: Bool {
        first.high | last.high == 0 && first.low >> 32 == 0xffff && last.low >> 32 == 0xffff
    }
}

extension [AddressRange] {
    /// The two families are looked at apart: an IPv6 range may cover the mapped addresses.
    fileprivate var isAscendingAndDisjoint: Bool {
        var previousV4: AddressRange?
        var previousV6: AddressRange?
        for range in self {
            guard range.first <= range.last else { return false }
            if let previous = range.isV4 ? previousV4 : previousV6, range.first <= previous.last { return false }
            if range.isV4 { previousV4 = range } else { previousV6 = range }
        }
        return true
    }

    fileprivate func withoutV4(count: Int) -> [AddressRange] {
        var ranges: [AddressRange] = []
        ranges.reserveCapacity(count)
        for range in self where !range.isV4 { ranges.append(range) }
        return ranges
    }

    /// The same addresses in ascending and disjoint ranges, IPv4 before IPv6; ranges that end before they begin are empty.
    func mergedAscending() -> [AddressRange] {
        var merged: [AddressRange] = []
        for isV4 in [true, false] {
            let start = merged.count
            for range in filter({ $0.isV4 == isV4 && $0.first <= $0.last }).sorted(by: { $0.first < $1.first }) {
                if merged.count > start, range.first <= merged[merged.count - 1].last {
                    merged[merged.count - 1].last = Swift.max(merged[merged.count - 1].last, range.last)
                } else {
                    merged.append(range)
                }
            }
        }
        return merged
    }
}
