// SPDX-License-Identifier: GPL-3.0-or-later

package import ConnectionTracking
package import FirewallPolicy
package import PacketWire

/// One packet of a region, as an example and as a proof.
package struct Witness: Hashable, Sendable {
    package let direction: Direction
    package let kind: PacketKind
    /// By `Dimension`; 0 where the kind lacks it.
    var numbers: [UInt128]
    package let interface: String
    /// Where it is judged only if it is forwarded: the interface that it comes from or goes to.
    package let otherInterface: String?
    package let sourceMAC: MACAddress?
    package let destinationMAC: MACAddress?
    package let moment: PacketUniverse.Moment
    /// Of an outgoing packet that a process of this host has sent.
    package let sender: NamedSender?

    subscript(dimension: Dimension) -> UInt128 { numbers[dimension.rawValue] }

    package var source: IPAddress { IPAddress(number: self[.source], of: kind) }
    package var destination: IPAddress { IPAddress(number: self[.destination], of: kind) }
    package var sourcePort: UInt16 { UInt16(self[.sourcePort]) }
    package var destinationPort: UInt16 { UInt16(self[.destinationPort]) }
    package var flags: TCPFlags { TCPFlags(rawValue: UInt8(self[.flags])) }
    package var icmpType: UInt8 { UInt8(self[.icmp] >> 8) }
    package var icmpCode: UInt8 { UInt8(self[.icmp] & 0xff) }
    package var protocolNumber: UInt8 { kind.protocolNumber ?? UInt8(self[.protocolNumber]) }
    package var etherType: UInt16 {
        kind.isIPv4
            ? EtherType.ipv4 : kind.isIPv6 ? EtherType.ipv6 : kind == .arp ? EtherType.arp : UInt16(self[.etherType])
    }

    /// An ICMP error that quotes a packet of a known exchange.
    package var isOfKnownExchange: Bool { kind.isICMP && self[.quote] == 1 }

    /// Whether it opens a connection or an exchange, or needs none, as plain packets do.
    package var opensSomething: Bool {
        if kind.isTCP { return flags == .syn }
        return !kind.isICMP || self[.icmp] == (kind.isIPv4 ? 8 : 128) << 8
    }

    /// The packet as rules of a policy see it; `place` is that of the policy in the universe.
    package func subject(of policy: Policy, place: Int = 0) -> RuleSubject {
        var subject = RuleSubject()
        subject.direction = direction
        subject.interfacePatterns = policy.traits(ofInterface: interface).patterns
        subject.activeSchedules = moment.activity[place]
        subject.sourceMAC = sourceMAC ?? .none
        subject.destinationMAC = destinationMAC ?? .none
        if let sender { subject.senders = sender.bits(in: policy) }
        subject.etherType = etherType
        subject.network = kind.isIPv4 ? .ipv4 : kind.isIPv6 ? .ipv6 : kind == .arp ? .arp : .other
        guard kind.isIP else { return subject }
        subject.source = source
        subject.destination = destination
        subject.protocolNumber = protocolNumber
        subject.hasPorts = kind.isTCP || kind.isUDP
        subject.sourcePort = sourcePort
        subject.destinationPort = destinationPort
        subject.hasFlags = kind.isTCP
        subject.flags = flags
        subject.hasICMP = kind.isICMP
        subject.icmpType = icmpType
        subject.icmpCode = icmpCode
        if kind.isICMP { subject.quotesKnownExchange = self[.quote] == 1 }
        return subject
    }
}

extension Region {
    /// A packet of the region: the one that people would think of first, where it is in it, else one at its edge.
    ///
    /// `variant` chooses: 0 what is usual, 1 and 2 the edges, others somewhere, the same each time. nil: the region is void.
    func witness(in universe: PacketUniverse, variant: Int = 0) -> Witness? {
        var numbers = [UInt128](repeating: 0, count: Dimension.allCases.count)
        for dimension in kind.dimensions {
            let set = members(dimension, universe)
            guard let number = set.member(preferring: Self.usual(dimension, kind), variant, dimension.rawValue) else {
                return nil
            }
            numbers[dimension.rawValue] = number
        }
        if kind.isIP, !makeSane(&numbers, universe) { return nil }
        if let classes = universe.listClasses?.classes(of: kind) {
            for end in [Dimension.source, .destination] {
                numbers[end.ofClasses.rawValue] = UInt128(classes.number(of: numbers[end.rawValue]))
            }
        }
        guard makeSendable(&numbers, universe) else { return nil }
        let place = universe.interfaces[Int(numbers[Dimension.interface.rawValue])]
        return Witness(
            direction: universe.direction, kind: kind, numbers: numbers,
            interface: place.name, otherInterface: place.other,
            sourceMAC: universe.sourceMACs[Int(numbers[Dimension.sourceMAC.rawValue])],
            destinationMAC: universe.destinationMACs[Int(numbers[Dimension.destinationMAC.rawValue])],
            moment: universe.moments[Int(numbers[Dimension.hour.rawValue])],
            sender: universe.senders[Int(numbers[Dimension.sender.rawValue])])
    }

    /// Nothing that is forwarded has a sender: chooses another interface, where there is one.
    private func makeSendable(_ numbers: inout [UInt128], _ universe: PacketUniverse) -> Bool {
        let place = Dimension.interface.rawValue
        guard numbers[Dimension.sender.rawValue] != 0, universe.interfaces[Int(numbers[place])].other != nil else {
            return true
        }
        let own = universe.interfaces.indices.first { row in
            universe.interfaces[row].other == nil && UInt128(row) != universe.loopback
                && self[.interface]?.contains(UInt128(row)) ?? true
        }
        guard let own else { return false }
        numbers[place] = UInt128(own)
        return true
    }

    /// Whether all its packets are refused before any rule is asked: they go from an address to itself, or have others that are refused,
    /// and not on a loopback interface.
    ///
    /// Or there are none: of the classes of addresses there is none among the addresses.
    func isVoid(in universe: PacketUniverse) -> Bool {
        guard kind.isIP else { return false }
        return lacksAddresses(universe) || !meetsLoopback(universe) && isVoidElsewhere(in: universe)
    }

    private func lacksAddresses(_ universe: PacketUniverse) -> Bool {
        [Dimension.source, .destination].contains { self[$0.ofClasses] != nil && members($0, universe).isEmpty }
    }

    /// What a field can be; of addresses that are limited to classes some, none only if there is none.
    private func members(_ dimension: Dimension, _ universe: PacketUniverse) -> NumberSet {
        some(of: self[dimension] ?? universe.domain(dimension, of: kind), dimension, universe)
    }

    /// Those of a set of addresses that are of the region's classes: all, or some of many.
    private func some(of set: NumberSet, _ dimension: Dimension, _ universe: PacketUniverse) -> NumberSet {
        guard dimension == .source || dimension == .destination, let wanted = self[dimension.ofClasses],
            let classes = universe.listClasses?.classes(of: kind)
        else { return set }
        let some = classes.some(of: set, in: wanted)
        let usual = Self.usual(dimension, kind).filter {
            set.contains($0) && wanted.contains(UInt128(classes.number(of: $0)))
        }
        return usual.isEmpty ? some : NumberSet(some.intervals + usual.map { .init(first: $0, last: $0) })
    }

    /// The same of its packets that are not on a loopback interface.
    private func isVoidElsewhere(in universe: PacketUniverse) -> Bool {
        if universe.loopback == nil, self[.source] == nil || self[.destination] == nil,
            self[.sourceClass] == nil, self[.destinationClass] == nil
        {
            return false
        }
        let (source, destination) = (usable(.source, universe), usable(.destination, universe))
        guard let from = source.first, let to = destination.first else { return true }
        return universe.refusesSameAddresses && from == source.last && to == destination.last && from == to
    }

    private func meetsLoopback(_ universe: PacketUniverse) -> Bool {
        guard let loopback = universe.loopback else { return false }
        return self[.interface]?.contains(loopback) ?? true
    }

    /// The addresses with which packets pass stage V elsewhere than on a loopback interface: all, or some of many.
    private func usable(_ dimension: Dimension, _ universe: PacketUniverse) -> NumberSet {
        let set = self[dimension] ?? universe.domain(dimension, of: kind)
        let usable = universe.loopback == nil ? set : set.subtracting(universe.refused(dimension, of: kind))
        return some(of: usable, dimension, universe)
    }

    /// Chooses other addresses where a packet with these would be refused before any rule is asked, or the loopback interface.
    private func makeSane(_ numbers: inout [UInt128], _ universe: PacketUniverse) -> Bool {
        let place = Dimension.interface.rawValue
        if numbers[place] == universe.loopback { return true }
        if isVoidElsewhere(in: universe) {
            guard meetsLoopback(universe), let loopback = universe.loopback else { return false }
            numbers[place] = loopback
            return true
        }
        let (from, to) = (Dimension.source.rawValue, Dimension.destination.rawValue)
        let isRefused =
            universe.loopback != nil
            && [Dimension.source, .destination].contains {
                universe.refused($0, of: kind).contains(numbers[$0.rawValue])
            }
        func isFine() -> Bool { numbers[from] != numbers[to] || !universe.refusesSameAddresses }
        if isFine(), !isRefused { return true }
        for dimension in [Dimension.source, .destination] {
            let set = usable(dimension, universe)
            if !set.contains(numbers[dimension.rawValue]) { numbers[dimension.rawValue] = set.first ?? 0 }
        }
        if isFine() { return true }
        for dimension in [Dimension.source, .destination] {
            let same = numbers[from]
            if let other = usable(dimension, universe).subtracting(NumberSet(same...same)).first {
                numbers[dimension.rawValue] = other
                return true
            }
        }
        return false
    }

    private static func usual(_ dimension: Dimension, _ kind: PacketKind) -> [UInt128] {
        switch dimension {
        case .source: kind.isIPv4 ? [0xc633_6407] : [0xfd00_0000_0000_0002 << 64 | 7]
        case .destination: kind.isIPv4 ? [0xc000_020a] : [0xfd00_0000_0000_0001 << 64 | 0x10]
        case .sourcePort: [40_000]
        case .destinationPort: [443, 80]
        case .flags: [2, 16, 24]
        case .icmp: kind == .icmp4 ? [8 << 8] : [128 << 8, 135 << 8]
        case .quote: [0]
        case .protocolNumber: [47, 132]
        case .etherType: [0x88cc]
        case .interface, .hour, .sourceClass, .destinationClass, .sender: [0]
        case .sourceMAC, .destinationMAC: [0]
        }
    }
}

extension NumberSet {
    fileprivate func member(preferring usual: [UInt128], _ variant: Int, _ salt: Int) -> UInt128? {
        if variant == 0, let preferred = usual.first(where: contains) { return preferred }
        if variant < 3 || isEmpty { return variant == 1 ? last : first }
        // The steps of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
        var bits = UInt64(variant &* 31 &+ salt) &* 0x9e37_79b9_7f4a_7c15
        bits = (bits ^ bits >> 30) &* 0xbf58_476d_1ce4_e5b9
        bits = (bits ^ bits >> 27) &* 0x94d0_49bb_1331_11eb
        bits ^= bits >> 31
        let interval = intervals[Int(bits >> 33) % intervals.count]
        let span = interval.last - interval.first
        let noise = UInt128(bits) << 64 | UInt128(bits &* 0xd134_2543_de82_ef95)
        return interval.first + (span == .max ? noise : noise % (span + 1))
    }
}
