// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// For each address: the tables of a `TupleSpace` that hold a rule which accepts it. The space of addresses is cut where
/// the answer changes.
struct AddressTables: Sendable {
    private let v4: SortedKeys32
    private let v6: SortedKeys128
    private let maps: [UInt64]

    init(_ intervals: TableIntervals, of network: NetworkProtocol) {
        if network == .ipv4 {
            v4 = SortedKeys32(intervals.starts.map { UInt32(truncatingIfNeeded: $0) })
            v6 = SortedKeys128([])
        } else {
            v4 = SortedKeys32([])
            v6 = SortedKeys128(intervals.starts.map { IPAddress($0) })
        }
        maps = intervals.maps
    }

    /// The address is of the family that the tables were made for.
    @inline(__always)
    func tables(for address: IPAddress) -> UInt64 {
        let index = v6.keys.isEmpty ? v4.floor(address.v4Bits) : v6.floor(address)
        return maps[index]
    }
}

/// For each port: the tables of a `TupleSpace` that hold a rule which accepts it.
struct PortTables: Sendable {
    private let starts: SortedKeys32
    private let maps: [UInt64]

    init(_ intervals: TableIntervals) {
        starts = SortedKeys32(intervals.starts.map { UInt32(truncatingIfNeeded: $0) })
        maps = intervals.maps
    }

    @inline(__always)
    func tables(for port: UInt16) -> UInt64 { maps[starts.floor(UInt32(port))] }
}

/// Intervals of a field, from the least value on, each with the set of tables that hold a rule which accepts its values.
struct TableIntervals {
    private(set) var starts: [UInt128] = []
    private(set) var maps: [UInt64] = []

    /// A sweep over the values at which a rule's range begins or ends.
    ///
    /// - Parameter collector: the ranges of all rules.
    init(_ collector: borrowing Collector) {
        var open = [Int32](repeating: 0, count: 64)
        var map = collector.everywhere
        starts = [collector.least]
        maps = [map]
        for edge in collector.edges.sorted(by: { $0.value < $1.value }) {
            open[Int(edge.table)] += edge.isStart ? 1 : -1
            let bit: UInt64 = 1 << UInt64(edge.table)
            if open[Int(edge.table)] > 0 || collector.everywhere & bit != 0 { map |= bit } else { map &= ~bit }
            append(map, from: edge.value)
        }
    }

    private mutating func append(_ map: UInt64, from start: UInt128) {
        if starts[starts.count - 1] == start {
            maps[maps.count - 1] = map
        } else if maps[maps.count - 1] != map {
            starts.append(start)
            maps.append(map)
        }
    }

    /// Gathers ranges of a field and the tables they are in.
    struct Collector {
        struct Edge {
            var value: UInt128
            var table: UInt8
            var isStart: Bool
        }

        /// The ends of the field's values.
        let least: UInt128
        let greatest: UInt128
        private(set) var edges: [Edge] = []
        /// Tables with a rule that accepts every value.
        private(set) var everywhere: UInt64 = 0

        init(_ values: ClosedRange<UInt128>) {
            least = values.lowerBound
            greatest = values.upperBound
        }

        mutating func add(_ range: ClosedRange<UInt128>, table: Int) {
            if range.lowerBound <= least && range.upperBound >= greatest {
                everywhere |= 1 << UInt64(table)
                return
            }
            edges.append(Edge(value: range.lowerBound, table: UInt8(table), isStart: true))
            if range.upperBound < greatest {
                edges.append(Edge(value: range.upperBound + 1, table: UInt8(table), isStart: false))
            }
        }
    }
}

extension IPAddress {
    init(_ bits: UInt128) {
        self.init(high: UInt64(truncatingIfNeeded: bits >> 64), low: UInt64(truncatingIfNeeded: bits))
    }

    var bits: UInt128 { UInt128(high) << 64 | UInt128(low) }
}
