// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import PacketWire

/// The packets that a rule matches, with its lists in place of their names, so far as two rules can be compared by them.
struct RuleExtent {
    let rule: Rule
    private let lists: ListCovers
    private let sourcePorts: Criterion<[PortRange]>?
    var destinationPorts: Criterion<[PortRange]>?

    init(_ rule: Rule, _ document: PolicyDocument, _ lists: ListCovers) {
        self.rule = rule
        self.lists = lists
        func ports(_ list: Criterion<Int>?) -> Criterion<[PortRange]>? {
            list.map { Criterion(document.portLists[$0.value].values, isInverted: $0.isInverted) }
        }
        sourcePorts = ports(rule.source.ports)
        destinationPorts = ports(rule.destination.ports)
    }

    /// Whether every packet that the other rule matches is surely matched by this one, at any time, but for what a Deny spares
    /// (`hasExempt`). Of criteria that are hard to compare only equal ones count, so that "no" may be wrong and "yes" is not.
    func covers(_ other: RuleExtent) -> Bool {
        let (mine, theirs) = (rule, other.rule)
        return mine.direction == theirs.direction && mine.schedule == nil && covers(frameOf: theirs)
            && covers(protocolsOf: theirs)
            && Self.covers(sourcePorts, other.sourcePorts) { $0.cover($1) }
            && Self.covers(destinationPorts, other.destinationPorts) { $0.cover($1) }
            && Self.covers(mine.source.macs, theirs.source.macs, by: ==)
            && Self.covers(mine.destination.macs, theirs.destination.macs, by: ==)
            && Self.covers(mine.flags, theirs.flags, by: ==)
            && Self.covers(mine.icmp, theirs.icmp) { $0.type == $1.type && ($0.code == nil || $0.code == $1.code) }
            && Self.covers(mine.interfaces, theirs.interfaces, by: ==)
            && mine.sender.cover(theirs.sender)
            && covers(mine.source.addresses, theirs.source.addresses)
            && covers(mine.destination.addresses, theirs.destination.addresses)
    }

    /// Of lists by their places. What is inverted is compared with the same list alone.
    private func covers(_ mine: Criterion<Int>?, _ theirs: Criterion<Int>?) -> Bool {
        Self.covers(mine, theirs, by: lists.cover)
    }

    private static func covers<Value: Hashable>(
        _ mine: Criterion<Value>?, _ theirs: Criterion<Value>?, by test: (Value, Value) -> Bool
    ) -> Bool {
        guard let mine else { return true }
        guard let theirs else { return false }
        if mine.isInverted || theirs.isInverted { return mine == theirs }
        return test(mine.value, theirs.value)
    }

    private func covers(frameOf other: Rule) -> Bool {
        let (mine, theirs) = (rule.frame, other.frame)
        if mine.isInverted || theirs.isInverted { return mine == theirs }
        switch (mine.value, theirs.value) {
        case (.any, _), (.ip, .ip), (.ip, .ipv4), (.ip, .ipv6): return true
        default: return mine.value == theirs.value
        }
    }

    private func covers(protocolsOf other: Rule) -> Bool {
        // Neighbour discovery and MLD are stopped only by a rule that names ICMPv6, and IGMP by one that names that.
        if case .number(let number)? = other.protocols?.value, [IPProtocol.icmpv6, IPProtocol.igmp].contains(number),
            rule.protocols != other.protocols
        {
            return false
        }
        return Self.covers(rule.protocols, other.protocols) { mine, theirs in
            switch (mine, theirs) {
            case (.tcpAndUDP, .number(let number)): number == IPProtocol.tcp || number == IPProtocol.udp
            default: mine == theirs
            }
        }
    }

    /// Whether it may match neighbour discovery, MLD or IGMP beside other packets: a Deny that does not name these stops none of them.
    var hasExempt: Bool {
        let isOfMany = rule.protocols.map(\.isInverted) ?? true
        return isOfMany && sourcePorts == nil && destinationPorts == nil && rule.flags == nil
    }

    /// Whether it matches packets to this TCP port, whatever else it asks for.
    func includes(tcpPort port: UInt16) -> Bool {
        let hasProtocol =
            rule.protocols.map { criterion in
                let isTCP = criterion.value == .tcpAndUDP || criterion.value == .number(IPProtocol.tcp)
                return isTCP != criterion.isInverted
            } ?? true
        let hasPort =
            destinationPorts.map { criterion in
                criterion.value.contains { $0.first <= port && port <= $0.last } != criterion.isInverted
            } ?? true
        return hasProtocol && hasPort
    }
}

/// Which list of addresses has all of another: asked once of each two, which may have a million entries and be in many rules.
final class ListCovers {
    private let document: PolicyDocument
    private var known: [Pair: Bool] = [:]

    private struct Pair: Hashable {
        let list: Int
        let other: Int
    }

    init(_ document: PolicyDocument) { self.document = document }

    func cover(_ list: Int, _ other: Int) -> Bool {
        let pair = Pair(list: list, other: other)
        if let answer = known[pair] { return answer }
        let answer = document.addressLists[list].values.cover(document.addressLists[other].values)
        known[pair] = answer
        return answer
    }
}

extension [AddressRange] {
    fileprivate func cover(_ others: [AddressRange]) -> Bool { cover(others, from: \.first, to: \.last) }
}

extension [PortRange] {
    fileprivate func cover(_ others: [PortRange]) -> Bool { cover(others, from: \.first, to: \.last) }
}

extension Array {
    /// Both are sorted and disjoint: one walk along both is enough, in which a list of a million entries is leapt over where the other
    /// one is short.
    fileprivate func cover<Bound: Comparable>(
        _ others: [Element], from first: (Element) -> Bound, to last: (Element) -> Bound
    ) -> Bool {
        var index = 0
        for other in others {
            index = place(after: index) { last($0) < last(other) }
            guard index < count, first(self[index]) <= first(other) else { return false }
        }
        return !others.isEmpty
    }

    /// The first place from here on of what is not before; those that are before come first.
    private func place(after start: Int, _ isBefore: (Element) -> Bool) -> Int {
        var (low, step) = (start, 1)
        while low + step <= count, isBefore(self[low + step - 1]) {
            low += step
            step *= 2
        }
        var high = Swift.min(count, low + step - 1)
        while low < high {
            let middle = (low + high) / 2
            if isBefore(self[middle]) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
