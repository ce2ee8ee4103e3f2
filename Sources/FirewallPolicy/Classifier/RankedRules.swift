// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// Rules of one direction in the order in which they are asked, rank 0 first, with an index for each kind of packet.
struct RankedRules: Sendable {
    private let rules: [CompiledRule]
    private let ipv4: RuleIndex
    private let ipv6: RuleIndex
    private let ipv4WithoutTransport: RuleIndex
    private let ipv6WithoutTransport: RuleIndex
    /// Frames that are not IP have nothing to be indexed by.
    private let otherFrames: RuleIndex

    /// - Parameters:
    ///   - rules: in the order in which they are asked.
    ///   - lists: the lists that they refer to.
    init(_ rules: [CompiledRule], _ lists: RuleLists) {
        self.rules = rules
        ipv4 = RuleIndex(rules, of: .ipv4, [.ports, .protocolNumber], lists)
        ipv6 = RuleIndex(rules, of: .ipv6, [.ports, .protocolNumber], lists)
        ipv4WithoutTransport = RuleIndex(rules, of: .ipv4, .protocolNumber, lists)
        ipv6WithoutTransport = RuleIndex(rules, of: .ipv6, [], lists)
        let ip = CompiledRule.bit(.ipv4) | CompiledRule.bit(.ipv6)
        otherFrames = RuleIndex(scanning: rules.indices.filter { rules[$0].networks & ~ip != 0 })
    }

    var isEmpty: Bool { rules.isEmpty }

    /// In the order in which they are asked.
    var all: [CompiledRule] { rules }

    /// The rule of a rank that a search has found.
    func rule(at rank: UInt32) -> CompiledRule { rules[Int(rank)] }

    /// Shows a search the rules that may match.
    @inline(__always)
    func search<Search: CandidateSearch>(_ search: inout Search, _ subject: RuleSubject, _ lists: RuleLists) {
        switch (subject.network, subject.transportIsUnknown) {
        case (.ipv4, false): ipv4.search(&search, subject, rules, lists)
        case (.ipv6, false): ipv6.search(&search, subject, rules, lists)
        case (.ipv4, true): ipv4WithoutTransport.search(&search, subject, rules, lists)
        case (.ipv6, true): ipv6WithoutTransport.search(&search, subject, rules, lists)
        default: otherFrames.search(&search, subject, rules, lists)
        }
    }
}

/// The way to the rules that may match packets of one kind: one after the other if there are few, else by an index.
struct RuleIndex: Sendable {
    /// Ranks, ascending; empty if there is a space.
    private let scanned: [UInt32]
    private let space: TupleSpace?

    /// So many rules are asked faster than an index.
    static let scanLimit = 16

    init(scanning ranks: [Int]) {
        scanned = ranks.map { UInt32($0) }
        space = nil
    }

    /// The index of the rules that can match packets of a family that have these fields. Where ports are missing, rules
    /// that differ in transport fields only say the same, and the first of them is enough.
    init(_ rules: [CompiledRule], of network: NetworkProtocol, _ fields: TupleFields, _ lists: RuleLists) {
        var ranks = rules.indices
            .filter { IndexBlocks(rules[$0], of: network, fields, limit: 1, lists) != nil }.map { UInt32($0) }
        if !fields.contains(.ports) {
            var seen: Set<CompiledRule.WithoutTransport> = []
            ranks.removeAll { !seen.insert(rules[Int($0)].withoutTransport).inserted }
        }
        if ranks.count <= RuleIndex.scanLimit {
            scanned = ranks
            space = nil
        } else {
            scanned = []
            space = TupleSpaceBuilder(rules, ranks, of: network, fields, lists).build()
        }
    }

    @inline(__always)
    func search<Search: CandidateSearch>(
        _ search: inout Search, _ subject: RuleSubject, _ rules: [CompiledRule], _ lists: RuleLists
    ) {
        if let space { return space.search(&search, subject, rules, lists) }
        for rank in scanned where rank < search.limit {
            search.consider(rules[Int(rank)], rank: rank, subject, lists)
        }
    }
}
