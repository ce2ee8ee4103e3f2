// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// A range of one field of a rule, and the length of a prefix around it: what an index knows of the range.
struct IndexBlock {
    var range: ClosedRange<UInt128>
    /// Bits that all values of the range share, of 128 for addresses and of 16 for ports; 0 for a field that is not
    /// looked at.
    var length: Int

    init(_ range: ClosedRange<UInt128>, width: Int) {
        self.range = range
        length = IndexBlock.sharedBits(range, width)
    }

    static func sharedBits(_ range: ClosedRange<UInt128>, _ width: Int) -> Int {
        (range.lowerBound ^ range.upperBound).leadingZeroBitCount - (128 - width)
    }

    /// The blocks of a range: two if it lies across a boundary so that the prefix around it would be much wider.
    static func blocks(of range: ClosedRange<UInt128>, width: Int) -> [IndexBlock] {
        let whole = IndexBlock(range, width: width)
        guard range.lowerBound != range.upperBound else { return [whole] }
        let bit: UInt128 = 1 << UInt128(width - whole.length - 1)
        let middle = range.upperBound & ~(bit - 1)
        let halves = [
            IndexBlock(range.lowerBound...middle - 1, width: width),
            IndexBlock(middle...range.upperBound, width: width),
        ]
        return halves.allSatisfy { $0.length >= whole.length + 3 } ? halves : [whole]
    }

    /// One block around all of them.
    static func enclosing(_ blocks: [IndexBlock], width: Int) -> IndexBlock {
        let lower = blocks.reduce(blocks[0].range.lowerBound) { min($0, $1.range.lowerBound) }
        let upper = blocks.reduce(blocks[0].range.upperBound) { max($0, $1.range.upperBound) }
        return IndexBlock(lower...upper, width: width)
    }
}

/// Where a rule can match, as an index sees it: the product of its blocks in each field. Everything that is not a range
/// (inverted criteria, long lists, flags, MAC addresses and so on) counts as matching everywhere.
struct IndexBlocks {
    private(set) var sources: [IndexBlock]
    private(set) var destinations: [IndexBlock]
    private(set) var sourcePorts: [IndexBlock]
    private(set) var destinationPorts: [IndexBlock]
    /// nil: any.
    private(set) var protocols: [UInt8?]
    /// Whether packets without ports can match.
    let isPortless: Bool

    /// Lists with more ranges than this count as matching everywhere.
    static let longestList = 64
    static let anyPort = IndexBlock(0...0xffff, width: 16)

    /// All addresses of a family.
    static func addresses(of network: NetworkProtocol) -> ClosedRange<UInt128> {
        network == .ipv4 ? IPAddress(v4: 0).bits...IPAddress(v4: .max).bits : 0...UInt128.max
    }

    /// nil if the rule can match no packet of the family.
    ///
    /// - Parameters:
    ///   - rule: the rule.
    ///   - network: the address family.
    ///   - fields: those that the index's keys hold.
    ///   - limit: how many combinations of blocks there may be.
    ///   - lists: the lists that the rule refers to.
    init?(_ rule: CompiledRule, of network: NetworkProtocol, _ fields: TupleFields, limit: Int, _ lists: RuleLists) {
        guard rule.networks & CompiledRule.bit(network) != 0 else { return nil }
        sources = IndexBlocks.addressBlocks(
            rule, network, .sourceAddresses, .sourceAddressesInverted, rule.sourceAddressList, rule.sourceV4, lists)
        destinations = IndexBlocks.addressBlocks(
            rule, network, .destinationAddresses, .destinationAddressesInverted, rule.destinationAddressList,
            rule.destinationV4, lists)
        isPortless = rule.tests.isDisjoint(with: .ports)
        sourcePorts = [IndexBlocks.anyPort]
        destinationPorts = [IndexBlocks.anyPort]
        if fields.contains(.ports) {
            sourcePorts = IndexBlocks.portBlocks(
                rule, .sourcePorts, .sourcePortsInverted, rule.sourcePortList, rule.sourcePort, lists)
            destinationPorts = IndexBlocks.portBlocks(
                rule, .destinationPorts, .destinationPortsInverted, rule.destinationPortList, rule.destinationPort,
                lists)
        }
        protocols = [nil]
        if fields.contains(.protocolNumber), rule.tests.contains(.protocols),
            !rule.tests.contains(.protocolsInverted)
        {
            protocols = [rule.protocolNumber]
            if rule.otherProtocolNumber != rule.protocolNumber { protocols.append(rule.otherProtocolNumber) }
        }
        if sources.isEmpty || destinations.isEmpty || sourcePorts.isEmpty || destinationPorts.isEmpty { return nil }
        coarsen(to: limit)
    }

    private var count: Int {
        sources.count * destinations.count * sourcePorts.count * destinationPorts.count * protocols.count
    }

    /// Puts one block in the place of those of the field that has most, as long as the combinations are too many.
    private mutating func coarsen(to limit: Int) {
        while count > limit {
            let most = max(sources.count, destinations.count, sourcePorts.count, destinationPorts.count)
            if most == 1 {
                protocols = [nil]
            } else if sourcePorts.count == most {
                sourcePorts = [IndexBlock.enclosing(sourcePorts, width: 16)]
            } else if destinationPorts.count == most {
                destinationPorts = [IndexBlock.enclosing(destinationPorts, width: 16)]
            } else if sources.count == most {
                sources = [IndexBlock.enclosing(sources, width: 128)]
            } else {
                destinations = [IndexBlock.enclosing(destinations, width: 128)]
            }
        }
    }

    private static func addressBlocks(
        _ rule: CompiledRule, _ network: NetworkProtocol, _ test: CompiledRule.Tests, _ inverted: CompiledRule.Tests,
        _ list: Int32, _ v4: (first: UInt32, last: UInt32), _ lists: RuleLists
    ) -> [IndexBlock] {
        let everywhere = [IndexBlock(addresses(of: network), width: 128)]
        guard rule.tests.contains(test), !rule.tests.contains(inverted) else { return everywhere }
        if list < 0 {
            guard network == .ipv4 else { return [] }
            return IndexBlock.blocks(of: IPAddress(v4: v4.first).bits...IPAddress(v4: v4.last).bits, width: 128)
        }
        guard let ranges = lists.ranges(ofAddresses: list, of: network, atMost: longestList) else { return everywhere }
        return ranges.flatMap { IndexBlock.blocks(of: $0.first.bits...$0.last.bits, width: 128) }
    }

    private static func portBlocks(
        _ rule: CompiledRule, _ test: CompiledRule.Tests, _ inverted: CompiledRule.Tests, _ list: Int32,
        _ range: (first: UInt16, last: UInt16), _ lists: RuleLists
    ) -> [IndexBlock] {
        guard rule.tests.contains(test), !rule.tests.contains(inverted) else { return [anyPort] }
        let ranges =
            list < 0 ? [PortRange(first: range.first, last: range.last)] : Array(lists.ranges(ofPorts: Int(list)))
        guard ranges.count <= longestList else { return [anyPort] }
        return ranges.flatMap { IndexBlock.blocks(of: UInt128($0.first)...UInt128($0.last), width: 16) }
    }
}
