// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// Everything that a `TupleSpace` consists of.
struct TupleSpaceParts {
    var tables: [TupleTable]
    var slots: [TupleSpace.Slot]
    var candidates: [UInt32]
    var sources: AddressTables
    var destinations: AddressTables
    var sourcePorts: PortTables
    var destinationPorts: PortTables
    var protocols: [UInt64]
    var portless: UInt64
    var fields: TupleFields
}

/// Builds the index of one family: chooses tables for the keys of the rules, then puts the keys into them and notes for
/// each field which values lead where.
struct TupleSpaceBuilder {
    private let rules: [CompiledRule]
    private let ranks: [UInt32]
    private let network: NetworkProtocol
    private let fields: TupleFields
    private let lists: RuleLists
    /// Combinations of blocks that a rule may have.
    private let limit: Int

    private static let tableLimit = 64
    /// About how many keys an index may have in all.
    private static let keyBudget = 800_000

    /// - Parameters:
    ///   - rules: all rules, by rank.
    ///   - ranks: those to be indexed, ascending.
    ///   - network: the address family.
    ///   - fields: the fields that all packets have for which the index is made.
    ///   - lists: the lists that the rules refer to.
    init(
        _ rules: [CompiledRule], _ ranks: [UInt32], of network: NetworkProtocol, _ fields: TupleFields,
        _ lists: RuleLists
    ) {
        self.rules = rules
        self.ranks = ranks
        self.network = network
        self.fields = fields
        self.lists = lists
        limit = min(max(TupleSpaceBuilder.keyBudget / max(ranks.count, 1), 8), 128)
    }

    func build() -> TupleSpace {
        var keys: [IndexKey] = []
        forEachCombination { rank, block, _ in keys.append(key(of: block, rank)) }
        let cover = TupleCover(keys, limit: TupleSpaceBuilder.tableLimit)
        let (tables, position) = TupleSpaceBuilder.order(cover, keys)
        let tableOfKey = cover.tableOfKey.map { position[Int($0)] }
        let hashed = zip(keys, tableOfKey).map { key, table in
            (hash: TupleKey.hash(key.source, key.destination, key.transport, tables[table]), rank: key.rank)
        }
        let (slots, candidates) = TupleSpaceBuilder.slots(hashed)
        var values = FieldValues(network)
        var index = 0
        forEachCombination { _, block, isPortless in
            values.add(block, isPortless, table: tableOfKey[index])
            index += 1
        }
        return TupleSpace(
            TupleSpaceParts(
                tables: tables, slots: slots, candidates: candidates,
                sources: AddressTables(TableIntervals(values.sources), of: network),
                destinations: AddressTables(TableIntervals(values.destinations), of: network),
                sourcePorts: PortTables(TableIntervals(values.sourcePorts)),
                destinationPorts: PortTables(TableIntervals(values.destinationPorts)), protocols: values.protocols,
                portless: values.portless, fields: fields))
    }

    private func forEachCombination(_ body: (UInt32, IndexBlocks.Combination, _ isPortless: Bool) -> Void) {
        for rank in ranks {
            guard let blocks = IndexBlocks(rules[Int(rank)], of: network, fields, limit: limit, lists) else { continue }
            blocks.forEach { body(rank, $0, blocks.isPortless) }
        }
    }

    private func key(of block: IndexBlocks.Combination, _ rank: UInt32) -> IndexKey {
        let tuple = Tuple(
            source: addressLength(block.source), destination: addressLength(block.destination),
            sourcePort: UInt8(block.sourcePort.length), destinationPort: UInt8(block.destinationPort.length),
            protocolNumber: block.protocolNumber == nil ? 0 : 8)
        return IndexKey(
            source: IPAddress(block.source.range.lowerBound),
            destination: IPAddress(block.destination.range.lowerBound),
            transport: TupleKey.transport(
                UInt16(truncatingIfNeeded: block.sourcePort.range.lowerBound),
                UInt16(truncatingIfNeeded: block.destinationPort.range.lowerBound), block.protocolNumber ?? 0),
            tuple: tuple, rank: rank)
    }

    /// The 96 bits that all IPv4 addresses share tell nothing.
    private func addressLength(_ block: IndexBlock) -> UInt8 {
        network == .ipv4 && block.length <= 96 ? 0 : UInt8(block.length)
    }

    /// The tables in the order of their first ranks, and the new place of each.
    private static func order(_ cover: TupleCover, _ keys: [IndexKey]) -> (tables: [TupleTable], position: [Int]) {
        var firstRanks = [UInt32](repeating: .max, count: cover.tables.count)
        for (key, table) in zip(keys, cover.tableOfKey) {
            firstRanks[Int(table)] = min(firstRanks[Int(table)], key.rank)
        }
        let order = cover.tables.indices.sorted { (firstRanks[$0], $0) < (firstRanks[$1], $1) }
        var position = [Int](repeating: 0, count: order.count)
        for (new, old) in order.enumerated() { position[old] = new }
        let tables = order.enumerated().map { new, old in
            cover.tables[old].table(seed: UInt64(new + 1) &* 0xe703_7ed1_a0b4_28db, firstRank: firstRanks[old])
        }
        return (tables, position)
    }
}

/// Which values of each field occur in which tables.
private struct FieldValues {
    var sources: TableIntervals.Collector
    var destinations: TableIntervals.Collector
    var sourcePorts = TableIntervals.Collector(IndexBlocks.anyPort.range)
    var destinationPorts = TableIntervals.Collector(IndexBlocks.anyPort.range)
    var protocols = [UInt64](repeating: 0, count: 256)
    var portless: UInt64 = 0

    init(_ network: NetworkProtocol) {
        sources = TableIntervals.Collector(IndexBlocks.addresses(of: network))
        destinations = sources
    }

    mutating func add(_ block: IndexBlocks.Combination, _ isPortless: Bool, table: Int) {
        sources.add(block.source.range, table: table)
        destinations.add(block.destination.range, table: table)
        sourcePorts.add(block.sourcePort.range, table: table)
        destinationPorts.add(block.destinationPort.range, table: table)
        let bit: UInt64 = 1 << UInt64(table)
        if isPortless { portless |= bit }
        if let number = block.protocolNumber {
            protocols[Int(number)] |= bit
        } else if protocols.contains(where: { $0 & bit == 0 }) {
            for number in protocols.indices { protocols[number] |= bit }
        }
    }
}

// MARK: - Slots

extension TupleSpaceBuilder {
    private static func slots(
        _ hashed: [(hash: UInt64, rank: UInt32)]
    ) -> (slots: [TupleSpace.Slot], candidates: [UInt32]) {
        let keys = hashed.sorted { ($0.hash, $0.rank) < ($1.hash, $1.rank) }
        var slots = [TupleSpace.Slot](
            repeating: TupleSpace.Slot(hash: 0, value: 0), count: (max(keys.count, 1) * 2).roundedUpToPowerOfTwo)
        var candidates: [UInt32] = []
        var start = 0
        while start < keys.count {
            var end = start + 1
            while end < keys.count, keys[end].hash == keys[start].hash { end += 1 }
            let value = bucket(keys[start..<end].map(\.rank), &candidates)
            place(keys[start].hash, value, in: &slots)
            start = end
        }
        return (slots, candidates)
    }

    /// The value of a slot for ascending ranks, of which some may be equal.
    private static func bucket(_ ranks: [UInt32], _ candidates: inout [UInt32]) -> UInt32 {
        let start = candidates.count
        for rank in ranks where candidates.count == start || candidates[candidates.count - 1] != rank {
            candidates.append(rank)
        }
        if candidates.count == start + 1 { return candidates.removeLast() | TupleSpace.Slot.last }
        candidates[candidates.count - 1] |= TupleSpace.Slot.last
        return UInt32(start)
    }

    private static func place(_ hash: UInt64, _ value: UInt32, in slots: inout [TupleSpace.Slot]) {
        var position = Int(truncatingIfNeeded: hash) & (slots.count - 1)
        while slots[position].hash != 0 { position = (position + 1) & (slots.count - 1) }
        slots[position] = TupleSpace.Slot(hash: hash, value: value)
    }
}

extension IndexBlocks {
    /// One block of each field.
    struct Combination {
        var source: IndexBlock
        var destination: IndexBlock
        var sourcePort: IndexBlock
        var destinationPort: IndexBlock
        var protocolNumber: UInt8?
    }

    fileprivate func forEach(_ body: (Combination) -> Void) {
        for source in sources {
            for destination in destinations {
                for sourcePort in sourcePorts {
                    for destinationPort in destinationPorts {
                        for number in protocols {
                            body(
                                Combination(
                                    source: source, destination: destination, sourcePort: sourcePort,
                                    destinationPort: destinationPort, protocolNumber: number))
                        }
                    }
                }
            }
        }
    }
}

extension Int {
    fileprivate var roundedUpToPowerOfTwo: Int { self <= 1 ? 1 : 1 << (Int.bitWidth - (self - 1).leadingZeroBitCount) }
}
