// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// The choice of tables for a set of keys: few tables, and few keys in each bucket of them.
///
/// Rules of real policies have hundreds of different tuples, so tables have to take in more specific rules than their
/// own (Daly et al., "TupleMerge: Fast Software Packet Processing for Online Packet Classification", 2019). Here the
/// tables are chosen greedily: each time the one that can hold the most of the remaining keys with no more than `depth`
/// in a bucket, where the depth grows when tables get scarce. What one table leaves over goes to a later one.
struct TupleCover {
    /// In the order of their choice.
    private(set) var tables: [Tuple] = []
    /// Index into `tables` of each key.
    private(set) var tableOfKey: [UInt8]

    private let keys: [IndexKey]
    private var remaining: [Int32]
    private var depth = TupleCover.firstDepth
    /// Keys per bucket; buckets are told apart only as far as this array is long.
    private var load: [UInt32]

    private static let firstDepth: UInt32 = 4
    /// How many prefix lengths of an address field are tried, beside none.
    private static let lengthsTried = 7

    /// - Parameters:
    ///   - keys: by ascending rank, so that the first tables hold the first rules.
    ///   - limit: how many tables there can be.
    init(_ keys: [IndexKey], limit: Int) {
        self.keys = keys
        tableOfKey = Array(repeating: 0, count: keys.count)
        remaining = Array(0..<Int32(keys.count))
        load = Array(repeating: 0, count: 1 << (Int.bitWidth - (keys.count * 2).leadingZeroBitCount))
        var proposals = proposals().map { Proposal(tuple: $0, gain: keys.count) }
        while !remaining.isEmpty {
            let left = limit - tables.count
            let best = bestProposal(&proposals)
            if left > 1, best.gain * left * 2 < remaining.count {
                depth *= 2
                for index in proposals.indices { proposals[index].gain = keys.count }
                continue
            }
            if left == 1 { depth = .max }
            take(left == 1 ? TupleCover.everything : best.tuple)
        }
    }

    private static let everything = Tuple(
        source: 0, destination: 0, sourcePort: 0, destinationPort: 0, protocolNumber: 0)

    /// A possible table, and how many of the remaining keys it can hold at most.
    private struct Proposal {
        var tuple: Tuple
        var gain: Int
    }

    /// The tuples that are tried: the most frequent prefix lengths of the keys with and without exact ports.
    private func proposals() -> [Tuple] {
        let sources = TupleCover.lengths(keys.map(\.tuple.source))
        let destinations = TupleCover.lengths(keys.map(\.tuple.destination))
        let transports: [(source: UInt8, destination: UInt8, number: UInt8)] = [
            (0, 0, 0), (0, 0, 8), (0, 8, 8), (0, 16, 8), (16, 0, 8), (16, 16, 8), (0, 16, 0), (16, 0, 0),
        ]
        return sources.flatMap { source in
            destinations.flatMap { destination in
                transports.map {
                    Tuple(
                        source: source, destination: destination, sourcePort: $0.source,
                        destinationPort: $0.destination, protocolNumber: $0.number)
                }
            }
        }
    }

    private static func lengths(_ all: [UInt8]) -> [UInt8] {
        var counts = [Int](repeating: 0, count: 129)
        for length in all { counts[Int(length)] += 1 }
        let frequent = (1...128).filter { counts[$0] > 0 }.sorted { (counts[$1], $0) < (counts[$0], $1) }
        return [0] + frequent.prefix(lengthsTried).map { UInt8($0) }
    }

    /// The proposal that can hold most. What a tuple can hold only gets less as keys are taken, so those whose last known
    /// gain is too small need no second look.
    private mutating func bestProposal(_ proposals: inout [Proposal]) -> Proposal {
        proposals.sort { ($1.gain, $0.tuple.order) < ($0.gain, $1.tuple.order) }
        var best = 0
        for index in proposals.indices {
            if index > 0, proposals[index].gain <= proposals[best].gain { break }
            proposals[index].gain = gain(of: proposals[index].tuple)
            if proposals[index].gain > proposals[best].gain { best = index }
        }
        return proposals[best]
    }

    private mutating func gain(of tuple: Tuple) -> Int {
        var gain = 0
        visit(tuple) { _ in gain += 1 }
        return gain
    }

    private mutating func take(_ tuple: Tuple) {
        let table = UInt8(tables.count)
        tables.append(tuple)
        var taken: [Int32] = []
        visit(tuple) { taken.append($0) }
        for key in taken { tableOfKey[Int(key)] = table }
        var next = 0
        remaining.removeAll { key in
            guard next < taken.count, taken[next] == key else { return false }
            next += 1
            return true
        }
    }

    /// Goes through the remaining keys that a table of this tuple would hold, in order.
    private mutating func visit(_ tuple: Tuple, _ body: (Int32) -> Void) {
        for index in load.indices { load[index] = 0 }
        let table = tuple.table(seed: 1, firstRank: 0)
        for index in remaining {
            let key = keys[Int(index)]
            guard key.tuple.covers(tuple) else { continue }
            let hash = TupleKey.hash(key.source, key.destination, key.transport, table)
            let bucket = Int(truncatingIfNeeded: hash) & (load.count - 1)
            guard load[bucket] < depth else { continue }
            load[bucket] += 1
            body(index)
        }
    }
}
