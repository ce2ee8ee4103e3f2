// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// The lists of a document in the form in which rules ask for membership, with the document's indices.
///
/// A hundred thousand rules have as many literal lists: short lists therefore lie one after the other in shared arrays
/// and only long address lists are sets of their own.
struct RuleLists: Sendable {
    private var addresses: [AddressSpan] = []
    private var ranges: [AddressRange] = []
    private var sets: [AddressSet] = []
    private var ports: [Range<Int32>] = []
    private var portRanges: [PortRange] = []
    private var macs: [Range<Int32>] = []
    private var macBits: [UInt64] = []

    /// A list is a stretch of `ranges`, or else (`set` is not -1) one of `sets`.
    private struct AddressSpan: BitwiseCopyable {
        var start: Int32
        var end: Int32
        var set: Int32
    }

    /// Lists up to this length are compared range by range.
    static let scanLimit = 8

    init(_ document: PolicyDocument) {
        for list in document.addressLists { addAddresses(list.values) }
        for list in document.portLists { addPorts(list.values) }
        for list in document.macLists { addMACs(list.values) }
    }

    private mutating func addAddresses(_ values: [AddressRange]) {
        let start = Int32(ranges.count)
        if values.count <= RuleLists.scanLimit {
            ranges += values
            addresses.append(AddressSpan(start: start, end: Int32(ranges.count), set: -1))
        } else {
            addresses.append(AddressSpan(start: start, end: start, set: Int32(sets.count)))
            sets.append(AddressSet(values))
        }
    }

    private mutating func addPorts(_ values: [PortRange]) {
        let start = Int32(portRanges.count)
        portRanges += values.mergedAscending()
        ports.append(start..<Int32(portRanges.count))
    }

    private mutating func addMACs(_ values: [MACAddress]) {
        let start = Int32(macBits.count)
        macBits += Set(values.map(\.bits)).sorted()
        macs.append(start..<Int32(macBits.count))
    }
}

extension RuleLists {
    /// Whether the address of a packet of this family is in a list.
    func contains(_ address: IPAddress, of network: NetworkProtocol, inAddresses list: Int32) -> Bool {
        let span = addresses[Int(list)]
        if span.set >= 0 { return sets[Int(span.set)].contains(address, of: network) }
        for index in Int(span.start)..<Int(span.end) {
            let range = ranges[index]
            if range.isV4 == network.isIPv4, range.first.isAtMost(address), address.isAtMost(range.last) { return true }
        }
        return false
    }

    func contains(_ port: UInt16, inPorts list: Int32) -> Bool {
        let span = ports[Int(list)]
        var low = Int(span.lowerBound)
        var high = Int(span.upperBound)
        while low < high {
            let middle = (low &+ high) >> 1
            if portRanges[middle].last < port { low = middle &+ 1 } else { high = middle }
        }
        return low < Int(span.upperBound) && portRanges[low].first <= port
    }

    func contains(_ mac: MACAddress, inMACs list: Int32) -> Bool {
        let span = macs[Int(list)]
        var low = Int(span.lowerBound)
        var high = Int(span.upperBound)
        while low < high {
            let middle = (low &+ high) >> 1
            if macBits[middle] < mac.bits { low = middle &+ 1 } else { high = middle }
        }
        return low < Int(span.upperBound) && macBits[low] == mac.bits
    }

    /// The IPv4 range that is all of a list, if that is so.
    func onlyV4Range(ofAddresses list: Int) -> AddressRange? {
        let span = addresses[list]
        guard span.set < 0, span.end - span.start == 1, ranges[Int(span.start)].isV4 else { return nil }
        return ranges[Int(span.start)]
    }

    /// The ranges of one family in an address list; nil if the list has more than `limit` of either family.
    func ranges(ofAddresses list: Int32, of network: NetworkProtocol, atMost limit: Int) -> [AddressRange]? {
        let span = addresses[Int(list)]
        if span.set >= 0 { return sets[Int(span.set)].ranges(of: network, atMost: limit) }
        return ranges[Int(span.start)..<Int(span.end)].filter { $0.isV4 == network.isIPv4 && $0.first <= $0.last }
    }

    /// The range that is all of a port list, if that is so.
    func onlyRange(ofPorts list: Int) -> PortRange? {
        ports[list].count == 1 ? portRanges[Int(ports[list].lowerBound)] : nil
    }

    /// The disjoint ranges of a port list, ascending.
    func ranges(ofPorts list: Int) -> ArraySlice<PortRange> {
        portRanges[Int(ports[list].lowerBound)..<Int(ports[list].upperBound)]
    }
}

extension [PortRange] {
    /// The same ports in ascending and disjoint ranges.
    func mergedAscending() -> [PortRange] {
        var merged: [PortRange] = []
        for range in sorted(by: { $0.first < $1.first }) where range.first <= range.last {
            if let last = merged.last, range.first <= last.last {
                merged[merged.count - 1].last = Swift.max(last.last, range.last)
            } else {
                merged.append(range)
            }
        }
        return merged
    }
}
