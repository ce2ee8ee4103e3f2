// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import PacketWire

/// Lists as sets of numbers, each made once.
struct ListSets {
    private let policy: Policy
    private var addresses: [Int: (v4: NumberSet, v6: NumberSet)] = [:]
    private var ports: [Int: NumberSet] = [:]
    private var parts: [Part: NumberSet] = [:]

    /// What is left of a field's values by a criterion, of which many rules may have the same.
    private struct Part: Hashable {
        let domain: NumberSet
        let named: NumberSet
        let isInverted: Bool
    }

    init(_ policy: Policy) { self.policy = policy }

    mutating func addresses(_ list: Int, of kind: PacketKind) -> NumberSet {
        let sets = addresses[list] ?? Self.sets(policy.document.addressLists[list].values)
        addresses[list] = sets
        return kind.isIPv4 ? sets.v4 : sets.v6
    }

    /// The members of a domain that a list names, or does not. Those of a long list are kept: each copy takes as much memory as it does.
    mutating func part(of domain: NumberSet, _ named: NumberSet, isInverted: Bool) -> NumberSet {
        func make() -> NumberSet { isInverted ? domain.subtracting(named) : domain.intersection(named) }
        guard named.intervals.count > Self.few else { return make() }
        let part = Part(domain: domain, named: named, isInverted: isInverted)
        if let set = parts[part] { return set }
        let set = make()
        parts[part] = set
        return set
    }

    /// A list of more intervals is long.
    static let few = 100

    mutating func ports(_ list: Int) -> NumberSet {
        if let set = ports[list] { return set }
        let set = NumberSet(
            policy.document.portLists[list].values.map { .init(first: UInt128($0.first), last: UInt128($0.last)) })
        ports[list] = set
        return set
    }

    /// A range is of IPv4 where both its ends have the mapped form, and IPv6 packets are in none of those.
    private static func sets(_ ranges: [AddressRange]) -> (v4: NumberSet, v6: NumberSet) {
        var v4: [NumberSet.Interval] = []
        var v6: [NumberSet.Interval] = []
        for range in ranges {
            if range.first.isMappedV4, range.last.isMappedV4 {
                v4.append(.init(first: UInt128(range.first.v4), last: UInt128(range.last.v4)))
            } else {
                v6.append(.init(first: range.first.number, last: range.last.number))
            }
        }
        return (NumberSet(v4), NumberSet(v6))
    }
}

extension IPAddress {
    var number: UInt128 { UInt128(high) << 64 | UInt128(low) }

    init(number: UInt128, of kind: PacketKind) {
        if kind.isIPv4 {
            self.init(v4: UInt32(truncatingIfNeeded: number))
        } else {
            self.init(high: UInt64(truncatingIfNeeded: number >> 64), low: UInt64(truncatingIfNeeded: number))
        }
    }
}

extension Region {
    /// The packets of a kind that a rule matches; nil where it can match none, because they lack a field that it asks for.
    ///
    /// `place` is that of the policy in the universe.
    init?(
        _ rule: Rule, of kind: PacketKind, in universe: PacketUniverse, place: Int, _ lists: inout ListSets,
        _ policy: Policy
    ) {
        self.init(kind)
        guard rule.isEnabled, accepts(frameOf: rule, universe, &lists), accepts(protocolOf: rule, universe, &lists),
            !isSpared(by: rule)
        else {
            return nil
        }
        guard narrowAddresses(.source, by: rule.source.addresses, universe, place, &lists),
            narrowAddresses(.destination, by: rule.destination.addresses, universe, place, &lists),
            narrow(.sourcePort, by: rule.source.ports, universe, &lists, { $1.ports($0) }),
            narrow(.destinationPort, by: rule.destination.ports, universe, &lists, { $1.ports($0) }),
            narrow(.flags, by: rule.flags, universe, &lists, { match, _ in match.numbers }),
            narrow(.icmp, by: rule.icmp, universe, &lists, { match, _ in match.numbers })
        else { return nil }
        if rule.needsKnownQuote { narrow(.quote, to: NumberSet(1...1)) }
        spareGroups(by: rule, universe)
        narrowToPlaces(rule, universe, place, policy)
        if isEmpty { return nil }
    }

    private mutating func accepts(frameOf rule: Rule, _ universe: PacketUniverse, _ lists: inout ListSets) -> Bool {
        let isNamed: Bool
        switch rule.frame.value {
        case .any: isNamed = true
        case .ip: isNamed = kind.isIP
        case .ipv4: isNamed = kind.isIPv4
        case .ipv6: isNamed = kind.isIPv6
        case .arp: isNamed = kind == .arp
        case .etherType(let number):
            guard kind != .otherFrame else {
                return narrow(
                    .etherType, by: Criterion(Int(number), isInverted: rule.frame.isInverted), universe, &lists
                ) {
                    number, _ in NumberSet(members: [number])
                }
            }
            isNamed = number == (kind.isIPv4 ? EtherType.ipv4 : kind.isIPv6 ? EtherType.ipv6 : EtherType.arp)
        }
        return isNamed != rule.frame.isInverted
    }

    private mutating func accepts(protocolOf rule: Rule, _ universe: PacketUniverse, _ lists: inout ListSets) -> Bool {
        guard let criterion = rule.protocols else { return true }
        guard kind.isIP else { return false }
        let named: [Int] =
            switch criterion.value {
            case .tcpAndUDP: [Int(IPProtocol.tcp), Int(IPProtocol.udp)]
            case .number(let number): [Int(number)]
            }
        if let number = kind.protocolNumber { return named.contains(Int(number)) != criterion.isInverted }
        return narrow(.protocolNumber, by: Criterion(named, isInverted: criterion.isInverted), universe, &lists) {
            numbers, _ in NumberSet(members: numbers)
        }
    }

    /// False where the kind lacks the field: a criterion on it never matches, also not inverted.
    private mutating func narrow<Value>(
        _ dimension: Dimension, by criterion: Criterion<Value>?, _ universe: PacketUniverse, _ lists: inout ListSets,
        _ set: (Value, inout ListSets) -> NumberSet
    ) -> Bool {
        guard let criterion else { return true }
        guard kind.dimensions.contains(dimension) else { return false }
        let domain = universe.domain(dimension, of: kind)
        let named = set(criterion.value, &lists)
        if criterion.isInverted {
            narrow(dimension, to: lists.part(of: domain, named, isInverted: true))
        } else {
            // Long lists are shared, where they are all within what there can be.
            let isWithin = !universe.isOutside(named, dimension, of: kind)
            narrow(dimension, to: isWithin ? named : lists.part(of: domain, named, isInverted: false))
        }
        return true
    }

    /// By a long list the classes of addresses are narrowed, where there are any, by others the addresses.
    private mutating func narrowAddresses(
        _ dimension: Dimension, by criterion: Criterion<Int>?, _ universe: PacketUniverse, _ place: Int,
        _ lists: inout ListSets
    ) -> Bool {
        let kind = kind
        guard let criterion, kind.isIP,
            let listed = universe.listClasses?.classes(ofList: criterion.value, of: place, kind)
        else { return narrow(dimension, by: criterion, universe, &lists) { $1.addresses($0, of: kind) } }
        let all = universe.domain(dimension.ofClasses, of: kind)
        narrow(dimension.ofClasses, to: criterion.isInverted ? all.subtracting(listed) : listed)
        return true
    }

    /// What a Deny rule stops only where it names the protocol.
    private func isSpared(by rule: Rule) -> Bool {
        kind == .discovery6 && rule.action == .deny && rule.protocols != Criterion(.number(IPProtocol.icmpv6))
    }

    /// The same of IGMP.
    private mutating func spareGroups(by rule: Rule, _ universe: PacketUniverse) {
        guard kind == .other4, rule.action == .deny, rule.protocols != Criterion(.number(IPProtocol.igmp)) else {
            return
        }
        let igmp = NumberSet(members: [Int(IPProtocol.igmp)])
        narrow(.protocolNumber, to: universe.domain(.protocolNumber, of: kind).subtracting(igmp))
    }

    private mutating func narrowToPlaces(_ rule: Rule, _ universe: PacketUniverse, _ place: Int, _ policy: Policy) {
        if let criterion = rule.interfaces {
            let globs = criterion.value.map { InterfaceGlob($0) }
            let rows = universe.interfaces.indices.filter { index in
                globs.contains { $0.matches(universe.interfaces[index].name) } != criterion.isInverted
            }
            narrow(.interface, to: NumberSet(members: rows))
        }
        narrow(.sourceMAC, by: rule.source.macs, universe.sourceMACs, policy)
        narrow(.destinationMAC, by: rule.destination.macs, universe.destinationMACs, policy)
        if !rule.sender.isEmpty {
            let rows = universe.senders.indices.filter { universe.senders[$0].map(rule.sender.accepts) ?? false }
            narrow(.sender, to: NumberSet(members: rows))
        }
        if let schedule = rule.schedule {
            let rows = universe.moments.indices.filter {
                universe.moments[$0].activity[place] >> UInt64(schedule) & 1 == 1
            }
            narrow(.hour, to: NumberSet(members: rows))
        }
    }

    private mutating func narrow(
        _ dimension: Dimension, by criterion: Criterion<Int>?, _ rows: [MACAddress?], _ policy: Policy
    ) {
        guard let criterion else { return }
        let list = Set(policy.document.macLists[criterion.value].values)
        let members = rows.indices.filter { index in
            rows[index].map { list.contains($0) != criterion.isInverted } ?? false
        }
        narrow(dimension, to: NumberSet(members: members))
    }
}

extension FlagMatch {
    fileprivate var numbers: NumberSet {
        NumberSet(members: (0..<64).filter { UInt8($0) & tested.rawValue == set.rawValue })
    }
}

extension ICMPMatch {
    fileprivate var numbers: NumberSet {
        let base = UInt128(type) << 8
        return code.map { NumberSet(base + UInt128($0)...base + UInt128($0)) } ?? NumberSet(base...base + 255)
    }
}
