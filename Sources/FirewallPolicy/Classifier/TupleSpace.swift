// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// An index over many rules of one address family: which of them may match a subject, at a cost that hardly grows with
/// their number.
///
/// Tuple space search (Srinivasan, Suri and Varghese, "Packet Classification using Tuple Space Search", 1999), pruned and
/// with tuples merged: rules whose address prefixes, ports and protocol are specific to the same number of bits share a
/// table, in which one hash lookup finds them. At most 64 tables exist, ordered by the first rank in each, so a search
/// ends at the first table that cannot better its result. Before that, each field of the subject says by itself in which
/// tables anything could match it; the few that every field agrees on are looked up.
///
/// What a lookup finds is a superset: keys are compared by a hash and ranges by the prefix around them, so each candidate
/// is asked in full. Keys come from the policy only. A packet can choose which one it looks up and no more than that, and
/// the longest way to it is fixed when the policy is loaded: the hash needs no secret.
final class TupleSpace: Sendable {
    let tables: [TupleTable]
    /// Open addressing with linear probing for all tables together, at most half full.
    let slots: [Slot]
    /// Ranks of the buckets with more than one, ascending; the last of each bucket has `Slot.last` set.
    let candidates: [UInt32]
    let sources: AddressTables
    let destinations: AddressTables
    let sourcePorts: PortTables
    let destinationPorts: PortTables
    /// By protocol number.
    let protocols: [UInt64]
    /// Tables with a rule that does not look at ports.
    let portless: UInt64
    /// Which fields the keys hold.
    let fields: TupleFields

    /// One bucket: the hash of its key (keys of one hash share a bucket), and its only rank (with `last` set) or its first
    /// index in `candidates`.
    struct Slot: Sendable, BitwiseCopyable {
        /// 0 in a slot that is free.
        var hash: UInt64
        var value: UInt32

        static let last: UInt32 = 1 << 31
    }

    init(_ parts: TupleSpaceParts) {
        tables = parts.tables
        slots = parts.slots
        candidates = parts.candidates
        sources = parts.sources
        destinations = parts.destinations
        sourcePorts = parts.sourcePorts
        destinationPorts = parts.destinationPorts
        protocols = parts.protocols
        portless = parts.portless
        fields = parts.fields
    }

    /// Shows a search the rules that may match, bucket by bucket.
    @inline(__always)
    func search<Search: CandidateSearch>(
        _ search: inout Search, _ subject: RuleSubject, _ rules: [CompiledRule], _ lists: RuleLists
    ) {
        var eligible = eligibleTables(subject)
        let transport = TupleKey.transport(of: subject)
        while eligible != 0 {
            let index = eligible.trailingZeroBitCount
            eligible &= eligible &- 1
            let table = tables[index]
            if table.firstRank >= search.limit { return }
            let value = bucket(of: TupleKey.hash(subject.source, subject.destination, transport, table))
            if value == TupleSpace.noBucket { continue }
            if value & Slot.last != 0 {
                let rank = value & ~Slot.last
                if rank < search.limit { search.consider(rules[Int(rank)], rank: rank, subject, lists) }
                continue
            }
            var position = Int(value)
            while true {
                let entry = candidates[position]
                let rank = entry & ~Slot.last
                if rank >= search.limit { break }
                search.consider(rules[Int(rank)], rank: rank, subject, lists)
                if entry & Slot.last != 0 { break }
                position &+= 1
            }
        }
    }

    /// The tables in which, for each field by itself, something could match.
    @inline(__always)
    private func eligibleTables(_ subject: RuleSubject) -> UInt64 {
        var eligible = sources.tables(for: subject.source) & destinations.tables(for: subject.destination)
        if fields.contains(.protocolNumber) { eligible &= protocols[Int(subject.protocolNumber)] }
        if !fields.contains(.ports) { return eligible }
        if !subject.hasPorts { return eligible & portless }
        return eligible & sourcePorts.tables(for: subject.sourcePort)
            & destinationPorts.tables(for: subject.destinationPort)
    }

    private static let noBucket = UInt32.max

    @inline(__always)
    private func bucket(of hash: UInt64) -> UInt32 {
        let mask = slots.count &- 1
        var position = Int(truncatingIfNeeded: hash) & mask
        while true {
            let slot = slots[position]
            if slot.hash == hash { return slot.value }
            if slot.hash == 0 { return TupleSpace.noBucket }
            position = (position &+ 1) & mask
        }
    }
}

/// The fields that keys of an index hold. A later fragment has no ports; one of IPv6 may hide its protocol.
struct TupleFields: OptionSet, Sendable, BitwiseCopyable {
    let rawValue: UInt8
    static let ports = TupleFields(rawValue: 1)
    static let protocolNumber = TupleFields(rawValue: 2)
}

/// A table: the bits that its keys hold, and the first rank in it.
struct TupleTable: Sendable, BitwiseCopyable {
    var sourceMask: IPAddress
    var destinationMask: IPAddress
    /// Of `TupleKey.transport`.
    var transportMask: UInt64
    /// Different for each table, as their slots are shared.
    var seed: UInt64
    var firstRank: UInt32
}

/// How the fields of a subject, or of a rule, become a key.
enum TupleKey {
    /// Ports and protocol in one word.
    @inline(__always)
    static func transport(_ sourcePort: UInt16, _ destinationPort: UInt16, _ number: UInt8) -> UInt64 {
        UInt64(sourcePort) << 24 | UInt64(destinationPort) << 8 | UInt64(number)
    }

    @inline(__always)
    static func transport(of subject: RuleSubject) -> UInt64 {
        transport(subject.sourcePort, subject.destinationPort, subject.protocolNumber)
    }

    /// Mixes what a table looks at, by full-width multiplications. Never 0.
    @inline(__always)
    static func hash(_ source: IPAddress, _ destination: IPAddress, _ transport: UInt64, _ table: TupleTable) -> UInt64
    {
        let a = mix(
            source.high & table.sourceMask.high ^ 0x9e37_79b9_7f4a_7c15,
            source.low & table.sourceMask.low ^ 0xbf58_476d_1ce4_e5b9)
        let b = mix(
            destination.high & table.destinationMask.high ^ 0x94d0_49bb_1331_11eb,
            destination.low & table.destinationMask.low ^ 0xd6e8_feb8_6659_fd93)
        return mix(a ^ table.seed, b ^ (transport & table.transportMask) &* 0xa076_1d64_78bd_642f) | 1 << 63
    }

    @inline(__always)
    private static func mix(_ a: UInt64, _ b: UInt64) -> UInt64 {
        let product = a.multipliedFullWidth(by: b)
        return product.high ^ product.low
    }
}
