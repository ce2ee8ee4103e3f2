// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import PacketWire

/// Collects ranges of addresses and gives them back sorted and disjoint, neighbours joined.
///
/// An IPv6 range never covers the IPv4-mapped block: the same bits stand for IPv4 addresses in a list, and `::/0` is
/// not meant to match IPv4 packets. IPv4 ranges are kept packed in one word each, so that a million of them sort fast.
struct AddressRangeSet {
    private var v4: [UInt64] = []
    private var v6: [AddressRange] = []

    mutating func insert(_ range: AddressRange) {
        if range.first.isMappedV4, range.last.isMappedV4 {
            v4.append(UInt64(range.first.v4) << 32 | UInt64(range.last.v4))
            return
        }
        let below = IPAddress(high: 0, low: 0x0000_fffe_ffff_ffff)
        let above = IPAddress(high: 0, low: 0x0001_0000_0000_0000)
        guard range.first <= below, range.last >= above else {
            v6.append(range)
            return
        }
        v6.append(AddressRange(first: range.first, last: below))
        v6.append(AddressRange(first: above, last: range.last))
    }

    /// Makes room for so many ranges. What is not used is never touched, and so takes no memory.
    mutating func reserve(_ count: Int) {
        v4.reserveCapacity(count)
        v6.reserveCapacity(count)
    }

    /// Gives the ranges away, sorted by address; IPv4 in mapped form stands between the IPv6 ranges below and above the
    /// mapped block. All is done in place: a list may have a million ranges of 32 bytes.
    mutating func takeRanges() -> [AddressRange] {
        joinV4()
        joinV6()
        let split = v6.firstIndex { $0.first > IPAddress(v4: .max) } ?? v6.count
        v6.insert(contentsOf: v4.lazy.map(AddressRangeSet.unpacked), at: split)
        v4 = []
        defer { v6 = [] }
        return v6
    }

    private static func unpacked(_ range: UInt64) -> AddressRange {
        AddressRange(
            first: IPAddress(v4: UInt32(truncatingIfNeeded: range >> 32)),
            last: IPAddress(v4: UInt32(truncatingIfNeeded: range)))
    }

    private mutating func joinV4() {
        v4.sort()
        var kept = 0
        for index in v4.indices {
            let range = v4[index]
            if kept > 0, range >> 32 <= (v4[kept - 1] & 0xffff_ffff) + 1 {
                let last = max(v4[kept - 1] & 0xffff_ffff, range & 0xffff_ffff)
                v4[kept - 1] = v4[kept - 1] & ~0xffff_ffff | last
            } else {
                v4[kept] = range
                kept += 1
            }
        }
        v4.removeSubrange(kept...)
    }

    private mutating func joinV6() {
        v6.sort { $0.first < $1.first }
        var kept = 0
        for index in v6.indices {
            let range = v6[index]
            if kept > 0, v6[kept - 1].last == .last || range.first <= v6[kept - 1].last.next {
                v6[kept - 1].last = max(v6[kept - 1].last, range.last)
            } else {
                v6[kept] = range
                kept += 1
            }
        }
        v6.removeSubrange(kept...)
    }
}

extension IPAddress {
    /// The highest IPv6 address.
    static let last = IPAddress(high: .max, low: .max)

    /// The next address; the highest has none and gives the lowest.
    var next: IPAddress {
        low == .max ? IPAddress(high: high &+ 1, low: 0) : IPAddress(high: high, low: low + 1)
    }
}

extension AddressRange {
    /// Whether the range is of IPv4 addresses.
    var isIPv4: Bool { first.isMappedV4 }

    /// An address, a prefix or a range, as the policy file writes it.
    var text: String {
        let isIPv6 = !isIPv4
        let start = first.description(isIPv6: isIPv6)
        if first == last { return start }
        if let length = prefixLength { return "\(start)/\(length)" }
        return "\(start)-\(last.description(isIPv6: isIPv6))"
    }

    /// Length of the prefix whose addresses these are exactly.
    private var prefixLength: Int? {
        let high = first.high ^ last.high
        let low = first.low ^ last.low
        guard first.high & high == 0, first.low & low == 0 else { return nil }
        guard high & (high &+ 1) == 0, low & (low &+ 1) == 0, high == 0 || low == .max else { return nil }
        return (isIPv4 ? 32 : 128) - high.nonzeroBitCount - low.nonzeroBitCount
    }
}

extension [AddressRange] {
    /// The lowest range of IPv4 addresses. The ranges are sorted, so a long list costs a few steps.
    var firstIPv4: AddressRange? {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if self[middle].first < IPAddress(v4: 0) { low = middle + 1 } else { high = middle }
        }
        return low < count && self[low].isIPv4 ? self[low] : nil
    }

    /// The ranges as texts; the two halves of an IPv6 range that spans the IPv4-mapped block are one again.
    var texts: [String] {
        guard let below = firstIndex(where: { $0.last == IPAddress(high: 0, low: 0x0000_fffe_ffff_ffff) }),
            let above = firstIndex(where: { $0.first == IPAddress(high: 0, low: 0x0001_0000_0000_0000) })
        else { return map(\.text) }
        var whole = self
        whole[below].last = self[above].last
        whole.remove(at: above)
        return whole.map(\.text)
    }
}
